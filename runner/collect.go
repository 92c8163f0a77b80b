package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/workspace"
	"github.com/bot-bottle/action/runner/ledger"
)

func (p Plan) workspaceDir() string {
	if p.Workspace == nil {
		return ""
	}
	return p.Workspace.Dir
}

// handoverTimeout bounds what we ask of the guest besides the agent's work: to
// unpack the workspace and to print the changes.
const handoverTimeout = 5 * time.Minute

// sendWorkspace packs the checkout and has the guest unpack it, both at once.
func (p *Proven) sendWorkspace(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, handoverTimeout, fmt.Errorf("sending the workspace took longer than %v", handoverTimeout))
	defer cancel()
	checkout, err := workspace.Open(ctx, p.plan.Workspace.Dir)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		var err error
		p.base, err = checkout.Pack(ctx, workspace.PackOptions{Uncommitted: p.plan.Workspace.Uncommitted, TempDir: p.deps.Places.runFolder(p.id)}, w)
		w.CloseWithError(err)
		packed <- err
	}()
	var said bytes.Buffer
	outcome, err := p.exec(ctx, Task{
		Name:   "untar",
		Argv:   []string{backends.GuestBinary, "guest", "untar", backends.GuestWorkspace},
		Stdin:  r,
		Stderr: &bounded{w: &said, left: maxSaid},
	})
	r.CloseWithError(errors.New("the guest stopped reading")) // a packer still at work ends
	if packErr := <-packed; packErr != nil && outcome.Code == 0 {
		return packErr
	}
	if err == nil && outcome.Code != 0 {
		err = fmt.Errorf("the guest ended with code %d: %s", outcome.Code, neutralize.Text(said.String()))
	}
	return inStage(term.StageLaunch, wrap("unpacking the workspace in the guest", err))
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// workAndGather runs the agent and takes what it changed out of the guest.
func (p *Proven) workAndGather(ctx context.Context) (g gathered, err error) {
	g.agent, err = p.runAgent(ctx)
	if err != nil {
		return g, err
	}
	if g.agent.ExitCode != 0 {
		err = AgentError{Code: g.agent.ExitCode}
	}
	if p.plan.Workspace == nil {
		return g, err
	}
	var gatherErr error
	g.patch, gatherErr = p.gatherPatch(ctx) // also of an agent that failed: what it did may be worth a look
	return g, errors.Join(err, gatherErr)
}

// runAgent runs the plan's task within its time, with its output made harmless
// on its way to the log and to whoever watches.
func (p *Proven) runAgent(ctx context.Context) (*report.Agent, error) {
	limit := p.plan.Policy.Limits.WithDefaults().Timeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit, TimeLimitError{limit})
	defer cancel()
	log, err := os.OpenFile(filepath.Join(p.reportDir, agentLogFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, inStage(term.StageCollect, fmt.Errorf("opening the agent's log: %w", err))
	}
	defer log.Close()
	task := p.agentTask()
	out := neutralize.NewWriter(io.MultiWriter(log, quiet{orDiscard(p.deps.Stdout)}), neutralize.Options{})
	diag := neutralize.NewWriter(io.MultiWriter(log, quiet{orDiscard(p.deps.Stderr)}), neutralize.Options{})
	task.Stdout, task.Stderr = out, diag
	outcome, err := p.Work(ctx, task)
	closeErr := errors.Join(out.Close(), diag.Close())
	agent := &report.Agent{Name: p.plan.Agent, Argv: task.Argv, User: userName(task.Root), ExitCode: outcome.Code, Duration: outcome.Duration}
	agent.Output.Dropped = out.Dropped() + diag.Dropped()
	if info, statErr := log.Stat(); statErr == nil {
		agent.Output.Bytes = info.Size()
	}
	if err != nil {
		agent.ExitCode = -1
		return agent, err
	}
	return agent, inStage(term.StageCollect, wrap("keeping the agent's log", closeErr))
}

func userName(root bool) string {
	if root {
		return "root"
	}
	return backends.AgentUser
}

// quiet passes writes on and forgets errors: nobody may be reading the agent's
// output any more (a closed pipe, a starter that died), and the job goes on.
type quiet struct{ w io.Writer }

func (q quiet) Write(p []byte) (int, error) {
	q.w.Write(p)
	return len(p), nil
}

// maxSaid bounds what is kept of a helper's diagnosis.
const maxSaid = 4 << 10

// bounded passes on the first left bytes and drops the rest.
type bounded struct {
	w    io.Writer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	if _, err := b.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// gatherPatch has the guest print its changes into a file that nothing trusts.
func (p *Proven) gatherPatch(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, handoverTimeout, fmt.Errorf("reading the changes took longer than %v", handoverTimeout))
	defer cancel()
	path := filepath.Join(p.deps.Places.runFolder(p.id), "patch.untrusted")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", inStage(term.StageCollect, fmt.Errorf("opening a file for the changes: %w", err))
	}
	defer f.Close()
	var said bytes.Buffer
	outcome, err := p.exec(ctx, Task{
		Name:   "diff",
		Argv:   workspace.GuestDiff(p.base),
		Stdout: &bounded{w: f, left: workspace.DefaultMaxPatchBytes + 1}, // one more, so that the parser sees it is too much
		Stderr: &bounded{w: &said, left: maxSaid},
	})
	if err != nil {
		return "", err
	}
	if outcome.Code != 0 {
		return "", term.Errorf(term.StageCollect, "workspace", "asking the guest for its changes: it ended with code %d: %s", outcome.Code, neutralize.Text(said.String())).
			WithHint("the image needs git and /bin/sh, and /workspace must still be the repository")
	}
	return path, nil
}

// collect makes results of what the guest handed over. Nothing of the guest's
// runs any more.
func (r *run) collect(g gathered) error {
	r.report.Agent = g.agent
	r.report.Doors = r.countDecisions()
	if g.patch == "" {
		return nil
	}
	f, err := os.Open(g.patch)
	if err != nil {
		return inStage(term.StageCollect, fmt.Errorf("opening the changes: %w", err))
	}
	defer f.Close()
	patch, err := workspace.ParsePatch(f, workspace.Rules{Allow: r.plan.Workspace.Allow})
	changes := &report.Changes{Base: r.base.Commit}
	r.report.Changes = changes
	if err != nil {
		changes.Refused = "the changes hold what may not leave the bottle"
		return inStage(term.StageCollect, err)
	}
	changes.Digest = patch.Digest()
	for _, c := range patch.Files() {
		changes.Files = append(changes.Files, report.File{
			Path: c.Path, Kind: report.Kind(c.Kind), Added: c.Added, Deleted: c.Deleted, Binary: c.Binary, Mode: c.Mode, AutoRun: c.AutoRun,
		})
	}
	return inStage(term.StageCollect, wrap("writing the patch", writePatch(filepath.Join(r.reportDir, patchFile), patch)))
}

func writePatch(path string, patch *workspace.Patch) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = patch.WriteTo(f)
	return errors.Join(err, f.Close())
}

// countDecisions reads the decision log; what can't be read is a note.
func (r *run) countDecisions() report.Doors {
	f, err := os.Open(filepath.Join(r.reportDir, decisionsFile))
	if err != nil {
		return report.Doors{}
	}
	defer f.Close()
	return report.FromDecisions(decision.Read(f))
}

// complete fills in what the whole job knows.
func (r *run) complete(code ExitCode, err error) {
	rep := &r.report
	rep.Run = report.Run{ID: r.id, Name: r.name, Host: r.deps.Ledger.HostID()}
	rep.Versions = report.Versions{BotBottle: r.deps.Version, Kernel: kernelVersion()}
	rep.Started, rep.Finished = r.started, time.Now()
	rep.Bottle, rep.Backend, rep.Isolation = r.plan.Bottle, r.backend.Name(), string(r.backend.Isolation())
	rep.Outcome = outcomeOf(code, err)
	rep.Limits = r.limits()
	rep.Sidecar = r.hardening()
	rep.Dir = r.reportDir
}

// ledgerOutcome is what the ledger keeps.
func (r *run) ledgerOutcome(code ExitCode, err error) ledger.Outcome {
	o := ledger.Outcome{ExitCode: int(code)}
	if err != nil {
		o.Reason = string(term.StageOf(err, term.StageWork))
	}
	if c := r.report.Changes; c != nil {
		added, deleted := c.Lines()
		o.Patch, o.Files, o.Added, o.Deleted = c.Digest, len(c.Files), int(added), int(deleted)
	}
	return o
}

// limits says of each limit how it was held.
func (r *run) limits() []report.Limit {
	l := r.plan.Policy.Limits.WithDefaults()
	held := map[string]string{}
	if r.guest != nil {
		held = r.guest.Held()
	}
	return []report.Limit{
		{Name: "memory", Value: term.Bytes(l.MemoryBytes), HeldBy: held["memory"]},
		{Name: "cpus", Value: fmt.Sprint(l.CPUs), HeldBy: held["cpus"]},
		{Name: "pids", Value: fmt.Sprint(l.PIDs), HeldBy: held["pids"]},
		{Name: "disk", Value: term.Bytes(l.DiskBytes), HeldBy: held["disk"]},
		{Name: "time", Value: term.Duration(l.Timeout), HeldBy: "supervisor"},
	}
}
