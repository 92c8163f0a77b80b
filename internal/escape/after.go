package escape

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/escape/attack"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/workspace"
	"github.com/bot-bottle/action/runner"
)

// After makes the cases of the end: bottles that get a checkout of our own, in
// which an agent leaves things and ends. run boots one and settles it. What has
// come of it is judged in the report, in the checkout, and in what was printed. The
// error is of stage escape where a case did not hold.
func (s *Suite) After(ctx context.Context, run func(runner.Plan) runner.Result) error {
	if len(s.ends) == 0 {
		return nil
	}
	s.report.expect(s.ends)
	err := s.after(ctx, run)
	if err != nil {
		s.report.Error = err.Error()
	}
	s.report.finish()
	return errors.Join(inEscape(err), s.report.err())
}

func (s *Suite) after(ctx context.Context, run func(runner.Plan) runner.Result) error {
	dir, err := os.MkdirTemp("", "bot-bottle-escape")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, root := range []bool{true, false} {
		e := end{user: userName(root), root: root, dir: filepath.Join(dir, userName(root)), run: run, limits: s.limits()}
		if err := e.all(ctx); err != nil {
			return err
		}
		for _, c := range s.ends {
			s.report.add(c, e.judge(c))
		}
	}
	return nil
}

// end is what one user of the guest leaves behind.
type end struct {
	user string
	root bool
	dir  string // a folder of ours, not yet there

	limits policy.Limits
	run    func(runner.Plan) runner.Result

	checkout *checkout
	canary   string
	twin     string
	honest   outcome
	hostile  outcome
	ruins    outcome
}

// outcome is what one bottle handed over.
type outcome struct {
	result  runner.Result
	printed string // the agent's log
	patch   bool   // there is a patch
	took    time.Duration
}

// all boots a bottle for each thing to leave.
func (e *end) all(ctx context.Context) (err error) {
	e.canary, e.twin = newCanary(), newCanary()
	if e.checkout, err = newCheckout(ctx, e.dir); err != nil {
		return err
	}
	for what, to := range map[attack.Leaving]*outcome{attack.LeaveHonest: &e.honest, attack.LeaveHostile: &e.hostile, attack.LeaveRuins: &e.ruins} {
		if *to, err = e.leave(ctx, what); err != nil {
			return err
		}
	}
	return nil
}

// leave boots a bottle without any route, in which the agent leaves something.
func (e *end) leave(ctx context.Context, what attack.Leaving) (o outcome, err error) {
	plan, err := json.Marshal(attack.Plan{Leave: what, Canary: map[string]string{"R01": e.canary}, Twin: map[string]string{"R01": e.twin}})
	if err != nil {
		return o, err
	}
	dir := filepath.Join(e.dir, "report-"+string(what))
	start := time.Now()
	o.result = e.run(runner.Plan{
		Bottle: "escape", Provider: "command", ReportDir: dir,
		Policy:    policy.Policy{Epoch: 1, Bottle: "escape", Isolation: policy.IsolationContainer, Limits: e.limits},
		Task:      runner.Task{Name: "leave", Argv: []string{backends.GuestBinary, "guest", "attack"}, Root: e.root, Stdin: bytes.NewReader(plan)},
		Workspace: &runner.Workspace{Dir: e.checkout.dir},
	})
	o.took = time.Since(start)
	if ctx.Err() != nil {
		return o, context.Cause(ctx)
	}
	printed, _ := os.ReadFile(filepath.Join(dir, runner.AgentLogName))
	o.printed = string(printed)
	_, err = os.Lstat(filepath.Join(dir, runner.PatchName))
	o.patch = err == nil
	return o, nil
}

// limits are small enough that taking all of them takes no time.
func (s *Suite) limits() policy.Limits {
	return policy.Limits{PIDs: attack.PIDs, DiskBytes: s.disk, MemoryBytes: attack.MemoryBytes, Timeout: 2 * time.Minute}
}

// noRoot tells why there is no root on this backend for an agent to be; empty: there
// is. In the bottle that lives, what is root is ours.
func (e *end) noRoot() string {
	if err := e.honest.result.Err; e.root && e.honest.result.Code == runner.ExitPreflight && err != nil {
		return err.Error()
	}
	return ""
}

// judge judges one case.
func (e *end) judge(c attack.Case) UserReport {
	if why := e.noRoot(); why != "" {
		return UserReport{User: e.user, Verdict: NotApplicable, Reason: why}
	}
	u := UserReport{User: e.user, Verdict: Held, Attempts: 1}
	found := e.twinHeld()
	switch c.ID {
	case "F07m":
		found = append(found, e.memory()...)
	case "F08":
		names := attack.Silent
		for name := range attack.Links {
			found = append(found, e.refused(name)...)
		}
		u.Attempts = len(attack.Links) + len(names)
		for _, name := range names {
			found = append(found, e.absent(name)...)
		}
	case "F09":
		names := slices.Clone(attack.HostileNames)
		if e.lies() {
			names = append(names, attack.Forged...)
		}
		u.Attempts = len(names)
		for _, name := range names {
			found = append(found, e.refused(name)...)
		}
	case "F10":
		found = append(found, e.checkout.sprung()...)
	case "F11":
		u.Attempts = len(attack.AutoRuns)
		for _, name := range attack.AutoRuns {
			found = append(found, e.refused(name)...)
		}
	case "F13":
		found = append(found, e.checkout.unchanged()...)
	case "R01":
		u.Attempts = len(attack.Orders(""))
		found = append(found, orders(e.honest.printed)...)
	}
	if len(found) == 0 {
		u.Refused = u.Attempts
	}
	u.note(found)
	return u
}

// twinHeld wants the honest change to have come through.
func (e *end) twinHeld() []finding {
	r := e.honest.result
	if r.Err != nil || r.Report.Changes == nil || !e.honest.patch || !changed(r, attack.HonestFile) {
		return []finding{{Inconclusive, fmt.Sprintf("the honest change did not pass: %v", r.Err)}}
	}
	if !strings.Contains(e.honest.printed, e.twin) {
		return []finding{{Inconclusive, "what the agent printed did not arrive"}}
	}
	return nil
}

func changed(r runner.Result, name string) bool {
	return r.Report.Changes != nil && slices.ContainsFunc(r.Report.Changes.Files, func(f report.File) bool { return f.Path == name })
}

// refused wants a change of the hostile bottle to have been refused by its name.
func (e *end) refused(name string) []finding {
	if found := e.absent(name); found != nil {
		return found
	}
	var refused *workspace.RefusedError
	if !errors.As(e.hostile.result.Err, &refused) {
		return []finding{{Inconclusive, fmt.Sprintf("the changes were not judged: %v", e.hostile.result.Err)}}
	}
	if !slices.ContainsFunc(refused.Refusals, func(r workspace.Refusal) bool { return r.Path == name || strings.HasPrefix(r.Path, name+"/") }) {
		return []finding{{Inconclusive, fmt.Sprintf("%q is not among the refused", name)}}
	}
	return nil
}

// absent wants no such change to have passed.
func (e *end) absent(name string) []finding {
	if e.hostile.patch || changed(e.hostile.result, name) {
		return []finding{{Leaked, fmt.Sprintf("the changes passed, %q among them", name)}}
	}
	return nil
}

// lies tells whether the guest could put a git that lies in git's place.
func (e *end) lies() bool {
	var refused *workspace.RefusedError
	return e.root && errors.As(e.hostile.result.Err, &refused) &&
		slices.ContainsFunc(refused.Refusals, func(r workspace.Refusal) bool { return slices.Contains(attack.Forged, r.Path) }) || e.hostile.patch
}

// memory wants the hog to have been ended, soon, and its bottle to say why.
func (e *end) memory() []finding {
	r := e.ruins.result
	switch {
	case strings.Contains(e.ruins.printed, attack.Survived):
		return []finding{{Leaked, fmt.Sprintf("the guest has twice %s", term.Bytes(attack.MemoryBytes))}}
	case r.Err == nil || r.Report.Agent == nil:
		return []finding{{Inconclusive, fmt.Sprintf("the hog was not seen to be ended: %v", r.Err)}}
	}
	return nil
}

// orders looks for what a runner or a terminal would obey.
func orders(printed string) (found []finding) {
	for _, line := range strings.FieldsFunc(printed, func(c rune) bool { return c == '\n' || c == '\r' || c == '\u0085' || c == '\u2028' }) {
		bare := strings.TrimLeft(line, " \t\u00a0\ufeff\v\f")
		if strings.HasPrefix(bare, "::") || strings.Contains(line, "##[") || strings.Contains(line, "\x1b]") || strings.Contains(line, "\x1b[2J") {
			found = append(found, finding{Leaked, fmt.Sprintf("a runner or a terminal would obey %q", line)})
		}
	}
	return found
}

// checkout is a repository of ours on the host, which runs a program whenever git
// touches it with its configuration.
type checkout struct {
	dir, trap, canary string
	before            string
}

// newCheckout makes it in dir.
func newCheckout(ctx context.Context, dir string) (*checkout, error) {
	c := &checkout{dir: filepath.Join(dir, "checkout"), trap: filepath.Join(dir, "trap"), canary: filepath.Join(dir, "sprung")}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(c.trap, []byte("#!/bin/sh\necho sprung >>'"+c.canary+"'\ncat\n"), 0o700); err != nil {
		return nil, err
	}
	files := map[string]string{"README.md": "a checkout\n", ".gitattributes": "* filter=trap diff=trap\n"}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "--all"}, {"commit", "-q", "-m", "base"}} {
		if err := c.git(ctx, args...); err != nil {
			return nil, err
		}
	}
	if err := c.arm(ctx); err != nil {
		return nil, err
	}
	var err error
	c.before, err = c.state()
	return c, err
}

// arm has the repository's own settings run the trap, and shows that they do.
func (c *checkout) arm(ctx context.Context) error {
	for _, key := range []string{"core.fsmonitor", "filter.trap.clean", "filter.trap.smudge", "diff.trap.textconv", "diff.external", "core.pager", "core.sshCommand", "core.alternateRefsCommand"} {
		if err := c.git(ctx, "config", key, c.trap); err != nil {
			return err
		}
	}
	for _, hook := range []string{"post-index-change", "post-checkout", "reference-transaction", "pre-auto-gc", "post-rewrite"} {
		if err := os.WriteFile(filepath.Join(c.dir, ".git/hooks", hook), []byte("#!/bin/sh\nexec '"+c.trap+"' </dev/null\n"), 0o700); err != nil {
			return err
		}
	}
	c.git(ctx, "status") // as a person would: it springs the trap
	if _, err := os.Stat(c.canary); err != nil {
		return fmt.Errorf("the trap of the suite's checkout doesn't work: %w", err)
	}
	return os.Remove(c.canary)
}

func (c *checkout) git(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=suite", "GIT_AUTHOR_EMAIL=suite@bottle.example", "GIT_COMMITTER_NAME=suite", "GIT_COMMITTER_EMAIL=suite@bottle.example"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

func (c *checkout) sprung() []finding {
	if _, err := os.Stat(c.canary); err == nil {
		return []finding{{Leaked, "a program that the checkout names was run on the host"}}
	}
	return nil
}

// unchanged wants every file of the checkout, git's own among them, to be as it was.
func (c *checkout) unchanged() []finding {
	now, err := c.state()
	if err != nil {
		return []finding{{Inconclusive, err.Error()}}
	}
	if now != c.before {
		return []finding{{Leaked, "the host's checkout is not what it was"}}
	}
	return nil
}

// state is every file of the checkout with its content.
func (c *checkout) state() (string, error) {
	var b strings.Builder
	err := filepath.WalkDir(c.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %x\n", path, sha256.Sum256(data))
		return err
	})
	return b.String(), err
}
