package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/scan"
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
		p.base, err = checkout.Pack(ctx, workspace.PackOptions{Uncommitted: p.plan.Workspace.Uncommitted, TempDir: p.deps.Places.workFolder(p.id)}, w)
		w.CloseWithError(err)
		packed <- err
	}()
	err = p.unpack(ctx, r)
	r.CloseWithError(errStoppedReading) // a packer still at work ends
	if packErr := <-packed; packErr != nil && !errors.Is(packErr, errStoppedReading) && !errors.Is(err, ErrBroken) {
		err = packErr // the guest only saw a stream that broke off
	}
	return inStage(term.StageWork, wrap("sending the workspace", err))
}

// errStoppedReading is what the packer is told when the guest has no use for the
// rest.
var errStoppedReading = errors.New("the guest stopped reading")

// unpack has the guest make its workspace from a tar.
func (p *Proven) unpack(ctx context.Context, tar io.Reader) error {
	var said bytes.Buffer
	outcome, err := p.exec(ctx, Task{
		Name:   "untar",
		Argv:   []string{backends.GuestBinary, "guest", "untar", backends.GuestWorkspace},
		Stdin:  tar,
		Stderr: &bounded{w: &said, left: maxSaid},
	})
	if err == nil && outcome.Code != 0 {
		err = fmt.Errorf("unpacking it in the guest: %w", outcome.failed(said.String()))
	}
	return err
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// workAndGather runs the agent and takes what it changed out of the guest, also of
// an agent that failed: what it did may be worth a look.
func (p *Proven) workAndGather(ctx context.Context) (g gathered, err error) {
	if err := p.sidecar.Phase(ctx, WorkStage); err != nil {
		return g, p.explainBreak(err)
	}
	g.agent, err = p.runAgent(ctx)
	if !p.plan.hasWorkspace() || cutShort(err) {
		return g, err
	}
	if closeErr := p.closeRoutes(ctx); closeErr != nil {
		return g, together(err, closeErr)
	}
	var gatherErr error
	g.patch, gatherErr = p.gatherPatch(ctx)
	return g, together(err, gatherErr)
}

// cutShort tells an agent that was ended, or whose bottle broke, from one that
// ended by itself.
func cutShort(err error) bool {
	for _, part := range parts(err) {
		switch codeOf(part) {
		case ExitAgent, ExitPost:
		default:
			return true
		}
	}
	return false
}

// runAgent runs the plan's task within its time.
func (p *Proven) runAgent(ctx context.Context) (*report.Agent, error) {
	log, err := create(filepath.Join(p.reportDir, agentLogFile))
	if err != nil {
		return nil, inStage(term.StagePost, fmt.Errorf("opening the agent's log: %w", err))
	}
	defer log.Close()
	var scanner *scan.Scanner // none: what is shown stays with who started this
	if p.plan.UnderRunner {
		if scanner, err = p.results(); err != nil {
			return nil, inStage(term.StagePost, fmt.Errorf("preparing the agent's log: %w", err))
		}
	}
	out := newAgentOutput(log, p.deps.Stdout, p.deps.Stderr, scanner)
	task := p.agentTask()
	task.Stdout, task.Stderr = out.stdout, out.stderr
	outcome, err := p.workInTime(ctx, task, out)
	out.hurry()
	keptErr := inStage(term.StagePost, wrap("keeping the agent's log", out.close()))
	agent := &report.Agent{Name: p.plan.Agent, Argv: task.Argv, User: userName(task.Root), ExitCode: outcome.Code, Duration: outcome.Duration}
	agent.Output.Dropped = out.dropped()
	if info, statErr := log.Stat(); statErr == nil {
		agent.Output.Bytes = info.Size()
	}
	if err != nil {
		agent.ExitCode = -1
		return agent, together(err, keptErr)
	}
	return agent, together(agentError(outcome), keptErr, p.endLeftovers(ctx))
}

// workInTime is Work within the policy's time.
func (p *Proven) workInTime(ctx context.Context, task Task, out *agentOutput) (Outcome, error) {
	limit := p.plan.Policy.Limits.WithDefaults().Timeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit, TimeLimitError{limit})
	defer cancel()
	defer context.AfterFunc(ctx, out.hurry)()
	return p.Work(ctx, task)
}

// agentError is nil for an agent that ended well.
func agentError(o Outcome) error {
	if o.Reason != "" {
		failed := &term.Error{Stage: term.StageWork, Err: AgentError{Code: o.Code, Reason: o.Reason}}
		return failed.WithHint("the guest has what its image has: by default the host's /usr, without /usr/local")
	}
	if o.Code != 0 {
		return AgentError{Code: o.Code}
	}
	return nil
}

// leftoversTimeout bounds how long the guest may take to end what the agent left
// running: a fork bomb is killed within seconds.
const leftoversTimeout = 30 * time.Second

// endLeftovers ends what the agent left running, so that the changes are read from
// a guest at rest.
func (p *Proven) endLeftovers(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, leftoversTimeout, fmt.Errorf("it took longer than %v", leftoversTimeout))
	defer cancel()
	if err := p.control.KillAll(ctx); err != nil {
		return p.explainBreak(err)
	}
	return nil
}

// closeRoutes lets nothing more pass: the agent's time is over, and what is asked of
// the guest from here on needs no network. Root in the guest may have put its own in
// the place of the programs that read the changes.
func (p *Proven) closeRoutes(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, leftoversTimeout, fmt.Errorf("it took longer than %v", leftoversTimeout))
	defer cancel()
	none := p.plan.Policy
	none.Epoch++
	if !mutation.On(mutation.RoutesStayOpen) {
		none.Egress, none.Git = policy.Egress{}, nil
	}
	err := p.sidecar.Swap(ctx, none)
	if err == nil {
		err = p.sidecar.Phase(ctx, string(term.StageCollect))
	}
	if err != nil {
		return inStage(term.StageWork, fmt.Errorf("%w: closing the routes: %w", ErrBroken, err))
	}
	return nil
}

func userName(root bool) string {
	if root {
		return "root"
	}
	return backends.AgentUser
}

// gatherPatch has the guest print its changes into a file that nothing trusts.
func (p *Proven) gatherPatch(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, handoverTimeout, fmt.Errorf("reading the changes took longer than %v", handoverTimeout))
	defer cancel()
	path := filepath.Join(p.deps.Places.workFolder(p.id), "patch.untrusted")
	f, err := create(path)
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
		return "", term.Errorf(term.StageCollect, "workspace", "asking the guest for its changes: %w", outcome.failed(said.String())).
			WithHint("the image needs git and /bin/sh, and /workspace must still be the repository")
	}
	return path, nil
}

// collect makes results of what the guest handed over. Nothing of the guest's
// runs any more.
func (r *run) collect(g gathered) error {
	r.report.Agent = g.agent
	r.report.Doors = r.countDecisions()
	r.readDecisions(func(lines iter.Seq[decision.Line]) { r.report.Usage = report.UsageOf(lines) })
	r.report.Pushes = r.pushes()
	if g.patch == "" {
		return nil
	}
	f, err := os.Open(g.patch)
	if err != nil {
		return inStage(term.StageCollect, fmt.Errorf("opening the changes: %w", err))
	}
	defer f.Close()
	patch, err := workspace.ParsePatch(f, r.plan.patchRules())
	changes := &report.Changes{Base: r.base.Commit}
	r.report.Changes = changes
	if err != nil {
		changes.Refused = "the changes hold what may not leave the bottle"
		if len(r.report.Pushes) > 0 { // which the git-gate has judged; the patch is for reading
			r.report.Notes = append(r.report.Notes, "There is no patch of what was pushed: "+err.Error())
			return nil
		}
		return inStage(term.StageCollect, err)
	}
	changes.Digest = patch.Digest()
	for _, c := range patch.Files() {
		changes.Files = append(changes.Files, report.File{
			Path: c.Path, Kind: report.Kind(c.Kind), Added: c.Added, Deleted: c.Deleted, Binary: c.Binary, Mode: c.Mode, AutoRun: c.AutoRun,
		})
	}
	path := filepath.Join(r.reportDir, patchFile)
	if err := writePatch(path, patch); err != nil {
		return inStage(term.StagePost, wrap("writing the patch", err))
	}
	return inStage(term.StagePost, wrap("scanning the patch", r.scanPatch(context.Background(), path, changes)))
}

func (p *Plan) patchRules() workspace.Rules {
	if p.Workspace == nil {
		return workspace.Rules{}
	}
	return workspace.Rules{Allow: p.Workspace.Allow}
}

func writePatch(path string, patch *workspace.Patch) error {
	f, err := create(path)
	if err != nil {
		return err
	}
	_, err = patch.WriteTo(f)
	return errors.Join(err, f.Close())
}

// countDecisions counts what the agent did at the doors.
func (r *run) countDecisions() (d report.Doors) {
	r.readDecisions(func(lines iter.Seq[decision.Line]) { d = report.FromDecisions(lines) })
	return d
}

// pushes is what the upstreams took from the agent.
func (r *run) pushes() (all []report.Push) {
	if len(r.plan.Policy.Git) == 0 {
		return nil
	}
	listed := func(repository, ref string) bool {
		return slices.ContainsFunc(r.plan.Policy.Git, func(g policy.GitRemote) bool { return g.Name == repository && g.ForRun(r.id).Lists(ref) })
	}
	r.readDecisions(func(lines iter.Seq[decision.Line]) { all = report.PushesOf(lines, listed) })
	return all
}

// readDecisions reads the decision log from where the agent began. What can't be read
// is missing in the report, which has the log beside it.
func (r *run) readDecisions(take func(iter.Seq[decision.Line])) {
	f, err := os.Open(filepath.Join(r.reportDir, decisionsFile))
	if err != nil {
		return
	}
	defer f.Close()
	if _, err := f.Seek(r.beforeAgent, io.SeekStart); err == nil {
		take(decision.Read(f))
	}
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
	var used report.Tokens
	if u := r.report.Usage; u != nil {
		used = u.Tokens
	}
	limits := []report.Limit{
		{Name: "memory", Value: term.Bytes(l.MemoryBytes), HeldBy: held["memory"]},
		{Name: "cpus", Value: fmt.Sprint(l.CPUs), HeldBy: held["cpus"]},
		{Name: "pids", Value: fmt.Sprint(l.PIDs), HeldBy: held["pids"]},
		{Name: "disk", Value: term.Bytes(l.DiskBytes), HeldBy: held["disk"]},
		{Name: "time", Value: term.Duration(l.Timeout), HeldBy: "supervisor"},
		{Name: "requests", Value: fmt.Sprint(l.Requests), HeldBy: "egress door"},
		{Name: "egress", Value: term.Bytes(l.EgressBytes), HeldBy: "egress door"},
		{Name: "tokens", Value: fmt.Sprintf("%d, of which %d were used", l.Tokens, used.Total()), HeldBy: "egress door"},
	}
	if l.Cost > 0 {
		limits = append(limits, report.Limit{Name: "cost", Value: fmt.Sprintf("%s, of which %s were used", report.Dollars(l.Cost), report.Dollars(used.Cost)), HeldBy: "egress door"})
	}
	return limits
}
