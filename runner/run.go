package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"net/netip"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/doors"
	"github.com/bot-bottle/action/internal/guest/control"
	"github.com/bot-bottle/action/internal/image"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/scan"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/workspace"
	"github.com/bot-bottle/action/preflight"
	"github.com/bot-bottle/action/runner/journal"
	"github.com/bot-bottle/action/runner/ledger"
)

// PatchName is the file with the changes, in their canonical form, in a report
// folder.
const PatchName = "changes.patch"

// AgentLogName is the file with what the agent printed, made harmless, in a report
// folder.
const AgentLogName = "agent.log"

// Files in a report folder, besides those of package report.
const (
	decisionsFile = "decisions.jsonl"
	agentLogFile  = AgentLogName
	patchFile     = PatchName
)

// run is one job from its beginning in the ledger to its end.
type run struct {
	plan Plan
	deps Deps

	id      string
	name    string
	started time.Time
	journal *journal.Journal
	chosen

	reportDir string
	report    report.Report

	alias   netip.Addr
	nonce   string
	canary  canary
	base    workspace.Base
	sidecar *doors.Group
	ready   doors.Ready
	guest   backends.Guest
	given   backends.Given
	control *control.Conn

	lease     *image.Lease // of the image; nil: it needed no unpacking
	imagePath string       // PATH in the guest, as the image sets it; empty: guestPath

	scanner     *scan.Scanner // of results; nil: nobody has asked for it
	beforeAgent int64         // bytes of the doors' log that were written before the agent began
}

// Result is how a job ended.
type Result struct {
	Report report.Report
	Code   ExitCode
	Err    error // what the code was taken from; nil for ExitOK
	// Secrets are the run's, which nothing that is shown to others may hold.
	Secrets []secret.Value
}

// Run does the whole job. It returns when everything of it has been undone, or
// is in the ledger for Reap. Ending ctx ends the job early; its cause says why
// (SignalError, TimeLimitError, ErrStarterGone).
func Run(ctx context.Context, plan Plan, deps Deps) Result {
	r := &run{plan: plan, deps: deps, started: time.Now()}
	defer func() { r.lease.Release() }()
	err := r.begin(ctx)
	if err != nil {
		return r.early(err)
	}
	return r.whole(ctx)
}

// early is the result of a job that had no effect yet.
func (r *run) early(err error) Result {
	code := CodeOf(err)
	r.report.Started, r.report.Finished = r.started, time.Now()
	r.report.Bottle = r.plan.Bottle
	r.report.Outcome = outcomeOf(code, err)
	return Result{Report: r.report, Code: code, Err: err, Secrets: r.plan.known()}
}

func outcomeOf(code ExitCode, err error) report.Outcome {
	o := report.Outcome{Verdict: report.VerdictOf(int(code)), ExitCode: int(code)}
	if err != nil {
		o.Stage, o.Reason, o.Hints = string(term.StageOf(err, term.StageWork)), err.Error(), term.Hints(err)
	}
	return o
}

// begin chooses a backend, sweeps what dead runs left, and enters the job into
// the ledger.
func (r *run) begin(ctx context.Context) (err error) {
	if err := r.deps.Places.ensure(); err != nil {
		return err
	}
	if r.plan.Policy.Image.Packed() {
		if err := r.stage(ctx, "image", func() error { return r.unpackImage(ctx) }); err != nil {
			return err
		}
	}
	err = r.stage(ctx, "preflight", func() (err error) {
		r.chosen, err = choose(ctx, r.plan, r.deps)
		return err
	})
	if err != nil {
		return err
	}
	for _, f := range r.chosen.findings {
		if f.Status == preflight.Warn {
			r.deps.Log.Warn().Str("subject", f.Subject).Str("found", f.Found).Str("remedy", f.Remedy).Msg(f.ID)
		}
	}
	if _, err := Reap(ctx, r.deps); err != nil {
		r.deps.Log.Warn().Err(err).Msg("reaping dead runs")
	}
	return r.enter(ctx)
}

// enter gives the job its id, its lock and its report folder.
func (r *run) enter(ctx context.Context) error {
	begun, lock, err := r.deps.Ledger.Begin(ctx, ledger.NewRun{
		Name: r.plan.Name, Bottle: r.plan.Bottle, Agent: r.plan.Agent,
		Backend: r.backend.Name(), Isolation: string(r.backend.Isolation()), Workspace: r.plan.workspaceDir(), Report: r.plan.ReportDir,
	})
	if err != nil {
		return err
	}
	r.id, r.name = begun.ID, begun.Name
	r.journal = journal.New(r.deps.Ledger, lock, r.deps.registry())
	r.reportDir = r.deps.Places.Report(begun)
	if err := makeReportDir(r.reportDir); err != nil {
		return errors.Join(err, r.journal.Close(ctx))
	}
	return nil
}

// whole is the way of a job that is in the ledger.
func (r *run) whole(ctx context.Context) Result {
	var errs []error
	collected, err := r.inGuest(ctx)
	errs = append(errs, err)
	// From here on nothing ends early: what was done has to be undone.
	ctx = context.WithoutCancel(ctx)
	if err = r.stage(ctx, "settle", func() error { return r.settleGuest(ctx) }); err == nil { // else something of the guest's may still run; settleRest tries again and tells
		errs = append(errs, r.collect(collected))
	}
	errs = append(errs, r.settleRest(ctx))
	return r.finish(ctx, errs)
}

// gathered is what the guest handed over: its word, not looked at yet.
type gathered struct {
	patch string // path of the file that holds it; empty: none
	agent *report.Agent
}

// inGuest is launch, prove and work.
func (r *run) inGuest(ctx context.Context) (g gathered, err error) {
	var started *Started
	err = r.stage(ctx, "launch", func() (err error) { started, err = r.launch(ctx); return err })
	if err != nil {
		return g, err
	}
	var proven *Proven
	err = r.stage(ctx, "prove", func() (err error) { proven, err = started.Prove(ctx); return err })
	if err != nil {
		return g, err
	}
	if err := r.trials(ctx, proven); err != nil {
		return g, err
	}
	if len(r.plan.Task.Argv) == 0 {
		return g, nil
	}
	if err := r.giveWorkspace(ctx, proven); err != nil {
		return g, err
	}
	err = r.stage(ctx, WorkStage, func() (err error) { g, err = proven.workAndGather(ctx); return err })
	return g, err
}

// trials makes what was planned before the agent. What the doors wrote down by
// then is none of the agent's doing, and not counted as that.
func (r *run) trials(ctx context.Context, proven *Proven) error {
	for _, t := range r.plan.Trials {
		err := r.stage(ctx, t.Name(), func() error {
			if err := r.sidecar.Phase(ctx, t.Name()); err != nil {
				return r.explainBreak(err)
			}
			return t.Try(ctx, proven)
		})
		if err != nil {
			return err
		}
	}
	if len(r.plan.Trials) == 0 {
		return nil
	}
	return inStage(term.StageEscape, r.countFromHere())
}

// giveWorkspace gives the guest what it is to work on. What a clone did at the doors
// is none of the agent's doing either.
func (r *run) giveWorkspace(ctx context.Context, proven *Proven) error {
	switch {
	case r.plan.Clone != nil:
		if err := r.stage(ctx, "workspace", func() error { return proven.cloneWorkspace(ctx) }); err != nil {
			return err
		}
		return inStage(term.StageWork, r.countFromHere())
	case r.plan.Workspace != nil:
		return r.stage(ctx, "workspace", func() error { return proven.sendWorkspace(ctx) })
	}
	return nil
}

// countFromHere leaves what the doors have written down so far out of the report.
func (r *run) countFromHere() error {
	info, err := os.Stat(filepath.Join(r.reportDir, decisionsFile))
	if err != nil {
		return fmt.Errorf("looking at the doors' log: %w", err)
	}
	r.beforeAgent = info.Size()
	return nil
}

// WorkStage is the stage in which the agent runs.
const WorkStage = "work"

// stage measures do and tells the progress. Where the job was told to end, that is
// the reason for whatever do failed with.
func (r *run) stage(ctx context.Context, name string, do func() error) error {
	start := time.Now()
	if r.deps.Progress != nil {
		r.deps.Progress.Begin(name)
	}
	err := do()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	took := time.Since(start)
	if r.deps.Progress != nil {
		r.deps.Progress.End(name, took, err == nil)
	}
	r.addStage(name, took)
	return err
}

func (r *run) addStage(name string, took time.Duration) {
	for i := range r.report.Stages {
		if r.report.Stages[i].Name == name {
			r.report.Stages[i].Duration += took
			return
		}
	}
	r.report.Stages = append(r.report.Stages, report.Stage{Name: name, Duration: took})
}

// settleGuest undoes guest and sidecar: after it nothing of the guest's runs.
func (r *run) settleGuest(ctx context.Context) error {
	if r.control != nil {
		r.control.Close()
	}
	if r.sidecar != nil {
		r.sidecar.Stop(ctx) // by itself it can still finish the decision log; Settle sees it gone
	}
	return r.remainders(r.journal.Settle(ctx, ofGuest...))
}

// settleRest undoes everything else and closes the run in the ledger. What is
// left stays there, so that a reap can try again.
func (r *run) settleRest(ctx context.Context) error {
	r.report.Remainders = nil // of the first half, tried again now
	err := r.remainders(r.journal.Settle(ctx))
	return together(err, inStage(term.StageSettle, r.journal.Close(ctx)))
}

// remainders puts what could not be undone into the report and makes an error of
// it.
func (r *run) remainders(left []journal.Remainder) error {
	var errs []error
	for _, m := range left {
		r.report.Remainders = append(r.report.Remainders, report.Remainder{Kind: m.Kind, Reason: m.Reason})
		errs = append(errs, m.Err)
	}
	if len(errs) == 0 {
		return nil
	}
	return term.Errorf(term.StageSettle, "", "settling: %w", errors.Join(errs...)).WithHint("bot-bottle reap tries again")
}

// finish writes the report and the ledger's last word.
func (r *run) finish(ctx context.Context, errs []error) Result {
	code, err := r.tell(errs)
	if werr := report.WriteDir(r.reportDir, r.report); werr != nil {
		post := &term.Error{Stage: term.StagePost, Err: werr} // the job itself is done
		post.Hints = term.Hints(werr)
		code, err = r.tell(append(errs, post))
	}
	if lerr := r.deps.Ledger.Record(ctx, r.id, r.ledgerOutcome(code, err)); lerr != nil {
		r.deps.Log.Error().Err(lerr).Msg("recording the outcome")
	}
	return Result{Report: r.report, Code: code, Err: err, Secrets: r.plan.known()}
}

// tell gives the code and the error it was taken from. What else went wrong is
// noted in the report.
func (r *run) tell(errs []error) (ExitCode, error) {
	code := CodeOf(errs...)
	var told error
	r.report.Notes = r.chosen.notes()
	for _, line := range r.ready.Unusable {
		r.report.Notes = append(r.report.Notes, "At the egress door, "+line+".")
	}
	for _, err := range parts(errs...) {
		switch c := codeOf(err); {
		case c == code && told == nil:
			told = err
		case c != ExitSettle: // those are the remainders
			r.report.Notes = append(r.report.Notes, "This went wrong too: "+err.Error())
		}
	}
	r.complete(code, told)
	return code, told
}
