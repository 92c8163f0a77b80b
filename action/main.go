package action

import (
	"context"
	"errors"
	"fmt"

	"github.com/bot-bottle/action/internal/escape"
	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/objectid"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/preflight"
	"github.com/bot-bottle/action/runner"
)

// World is what the action needs of the process that it runs in.
type World struct {
	Getenv func(string) string
	Stdout runner.Output // of the step
	// Forge connects to the job's forge; nothing is asked by that.
	Forge func(Environment, Inputs) (forge.Forge, error)
	// Poster connects to it for writing, with patience.
	Poster func(Environment, Inputs) (forge.Poster, error)
	// HostPoster writes as the host, where the job's token has ended with the job, as
	// that of a cancelled one does on Gitea; nil: the host has no credential for it.
	// Nothing of a guest's may run when it is called.
	HostPoster func(Environment) (forge.Poster, error)
	// Preflight looks at this host for a backend ("": any), and at the workflows of
	// a checkout ("": none).
	Preflight func(ctx context.Context, backend, workspace string) (runner.Survey, error)
	// Run does the whole job. The agent's output, made harmless, goes to out.
	Run func(ctx context.Context, req runner.Request, out runner.Output, progress runner.Progress) runner.Result
	// Attack boots a bottle of its own for a suite, under the name given, and settles
	// it.
	Attack func(ctx context.Context, name, backend string, suite *escape.Suite, progress runner.Progress) runner.Result
	// Head gives the commit that is checked out in dir.
	Head func(ctx context.Context, dir string) (string, error)
}

// Main is the step's main part. Everything was told to the runner when it
// returns; the code is how the step ends.
func Main(ctx context.Context, h Handover, w World) runner.ExitCode {
	v := newVoice(w.Stdout, w.Getenv)
	in, err := ParseInputs(h.Inputs)
	if err != nil {
		return w.tell(ctx, v, Refusal(err), defaultFailOn)
	}
	v.mask(in.Token)
	env, err := ReadEnvironment(w.Getenv)
	if err != nil {
		return w.tell(ctx, v, Refusal(err), in.FailOn)
	}
	if in.PreflightOnly {
		return w.tell(ctx, v, w.preflight(ctx, v, in, env), in.FailOn)
	}
	return w.tell(ctx, v, w.do(ctx, v, h, in, env), in.FailOn)
}

// do does what the inputs ask for, and has the forge told of it. Who may not start
// a job starts no attack either, and is not answered. The suite alone, which works
// on nothing that anybody wrote, needs nobody's leave.
func (w World) do(ctx context.Context, v *voice, h Handover, in Inputs, env Environment) runner.Result {
	a := assignment{where: place{Commit: env.SHA}}
	if !in.alone() {
		var err error
		if a, err = w.assignment(ctx, h, in, env); err != nil {
			return Refusal(err)
		}
	}
	told, err := w.begin(ctx, v, h, in, env, a.where)
	if err != nil {
		return Refusal(err)
	}
	return told.end(ctx, w.propose(ctx, in, env, a, w.work(ctx, v, h, in, a.request)))
}

// assignment is a job as it was asked for.
type assignment struct {
	request runner.Request
	where   place
	base    string // branch that a pull request is to go into; empty: none is known
	title   string // of what asked, in somebody's words; may be empty
}

// done is what came of a step. suite is nil where none was asked for, or it came to
// nothing.
type done struct {
	runner.Result
	suite *escape.Report
	pull  *forge.PullRequest // nil: none was opened
}

// work attacks and does the job, whichever is asked for. The quick suite runs in the
// job's own bottle.
func (w World) work(ctx context.Context, v *voice, h Handover, in Inputs, req runner.Request) (d done) {
	if in.alone() || in.Escape == escape.Full {
		if d = w.attack(ctx, v, h, in); in.alone() || d.Code != runner.ExitOK {
			return d
		}
	}
	suite, err := in.quickly(ctx)
	if err != nil {
		return done{Result: Refusal(err)}
	}
	if suite != nil {
		req.Trials = append(req.Trials, suite)
	}
	result := w.Run(ctx, req, v.out, v)
	if suite != nil {
		d.suite = w.tellSuite(v, suite, result.Report.Dir)
	}
	d.Result = result
	return d
}

// Refusal is the result of a job that was refused before it began.
func Refusal(err error) runner.Result {
	code := runner.CodeOf(err)
	return runner.Result{Code: code, Err: err, Report: report.Report{Outcome: report.Outcome{
		Verdict: report.VerdictOf(int(code)), ExitCode: int(code),
		Stage: string(term.StageOf(err, term.StageUsage)), Reason: err.Error(), Hints: term.Hints(err),
	}}}
}

// failing is r, which passed, after something that was asked for besides has not.
func failing(r runner.Result, err error) runner.Result {
	told := Refusal(err)
	r.Code, r.Err, r.Report.Outcome = told.Code, err, told.Report.Outcome
	return r
}

// tell hands the result to the runner: the error as an annotation, the report as
// a summary, and the outputs.
func (w World) tell(ctx context.Context, v *voice, r runner.Result, on []Failure) runner.ExitCode {
	if r.Err != nil {
		v.failure(r.Err)
	}
	err := errors.Join(
		writeOutputs(w.Getenv("GITHUB_OUTPUT"), Outputs(r)),
		writeSummary(w.Getenv("GITHUB_STEP_SUMMARY"), public(ctx, summary(r), r.Secrets...)),
	)
	if err != nil {
		v.failure(err)
		if r.Code == runner.ExitOK {
			r.Code = runner.ExitPost
		}
	}
	return stepCode(r, on)
}

// summary is the report, or what stood in the way of one.
func summary(r runner.Result) string {
	if r.Report.Run.ID != "" {
		return report.Markdown(r.Report)
	}
	if r.Err == nil {
		return ""
	}
	text := "# bot-bottle: " + string(r.Report.Outcome.Verdict) + "\n\nNothing was started: " + report.Code(r.Err.Error()) + "\n"
	for _, hint := range term.Hints(r.Err) {
		text += "\n- hint: " + report.Code(hint) + "\n"
	}
	return text
}

// preflight looks at the host as the service sees it, and tells.
func (w World) preflight(ctx context.Context, v *voice, in Inputs, env Environment) runner.Result {
	dir, err := findWorkspace(env.Workspace, in.Workspace)
	if err != nil {
		return Refusal(err)
	}
	survey, err := w.Preflight(ctx, in.Backend, dir)
	if err != nil {
		return Refusal(err)
	}
	v.findings("host", survey.Host)
	for _, p := range survey.Backends {
		v.findings(p.Backend, p.Findings)
	}
	if err := survey.Err(); err != nil {
		return Refusal(err)
	}
	return runner.Result{Report: report.Report{Backend: survey.Backend(), Outcome: report.Outcome{Verdict: report.Passed}}}
}

// findings tells what was found of subject.
func (v *voice) findings(subject string, findings []preflight.Finding) {
	for _, f := range findings {
		v.line(string(f.Status) + " " + subject + ": " + f.ID + ": " + f.Subject + ": " + f.Found)
		if f.Remedy != "" {
			v.line("  remedy: " + f.Remedy)
		}
	}
}

// assignment is everything between the inputs and the run: who asked, for what, on
// what, and where that is answered.
func (w World) assignment(ctx context.Context, h Handover, in Inputs, env Environment) (a assignment, err error) {
	event, err := LoadEvent(env.EventName, env.EventPath)
	if err != nil {
		return a, err
	}
	t, err := TriggerOf(event, env)
	if err != nil {
		return a, err
	}
	asked, err := w.ask(ctx, in, env, event, t)
	if err != nil {
		return a, err
	}
	a.where, a.base, a.title = placeOf(env, t, asked.facts), baseBranch(env, event, asked.facts.PullRequest), event.title()
	a.request = runner.Request{
		Name: h.runName(), Bottles: in.Bottles, Agent: in.Agent, Prompt: asked.prompt, Model: in.Model,
		Backend: in.Backend, Timeout: in.Timeout, ReportDir: in.ReportDir,
		Job: &manifest.Job{Server: env.ServerURL, Repository: env.Repository, Event: env.EventName, Ref: env.Ref},
	}
	if in.Command != "" {
		a.request.Argv = []string{"/bin/sh", "-c", in.Command}
	}
	if in.Workspace == "" {
		a.request.Clone = cloneOf(env, asked.facts.PullRequest)
	}
	return a, w.checkout(ctx, &a.request, in, env, event, asked.facts)
}

// asked is what the forge was asked for.
type asked struct {
	facts  Facts
	prompt string
}

// ask has the trigger judged, and makes the prompt. A trigger that goes by policy
// asks the forge nothing.
func (w World) ask(ctx context.Context, in Inputs, env Environment, e Event, t Trigger) (a asked, err error) {
	if a.prompt, err = givenPrompt(in, env); err != nil {
		return a, err
	}
	if t.ByPolicy {
		return a, Judge(t, a.facts)
	}
	f, err := w.Forge(env, in)
	if err != nil {
		return a, err
	}
	if a.facts, err = Gather(ctx, f, t); err != nil {
		return a, err
	}
	if err := Judge(t, a.facts); err != nil || a.prompt != "" || in.Command != "" {
		return a, err
	}
	thread, err := GatherThread(ctx, f, t, a.facts)
	a.prompt = Prompt(e, t, a.facts, thread)
	return a, err
}

func givenPrompt(in Inputs, env Environment) (string, error) {
	if in.PromptFile != "" {
		return readPrompt(env.Workspace, in.PromptFile)
	}
	return in.Prompt, nil
}

// checkout adds the checkout, if there is one, and where a repository's own agents
// come from. A pull request's checkout is at the commit that was judged, or at
// the job's own.
func (w World) checkout(ctx context.Context, req *runner.Request, in Inputs, env Environment, e Event, facts Facts) error {
	dir, err := findWorkspace(env.Workspace, in.Workspace)
	if err != nil || dir == "" {
		return err
	}
	head, err := w.Head(ctx, dir)
	if err != nil {
		return err
	}
	pr := facts.PullRequest
	if pr != nil && head != pr.HeadSHA && head != env.SHA {
		return refused("the workspace is at commit %q, the pull request's head is %q and the job's commit %q", head, pr.HeadSHA, env.SHA).
			WithHint("check out the pull request's head, or nothing in particular, before this step")
	}
	req.Workspace = &runner.Workspace{Dir: dir}
	if rev := baseCommit(env, e, pr); rev != "" {
		req.Repository = &runner.RepositoryAgents{Dir: dir, Rev: rev}
	}
	return nil
}

// cloneOf is the job's repository at the commit of the event: of a pull request its
// head, which may be in nobody's branch.
func cloneOf(env Environment, pr *forge.PullRequest) *runner.Clone {
	switch {
	case pr != nil:
		return &runner.Clone{Commit: pr.HeadSHA, Ref: fmt.Sprintf("refs/pull/%d/head", pr.Number)}
	case objectid.Is(env.SHA):
		return &runner.Clone{Commit: env.SHA}
	}
	return &runner.Clone{}
}

// baseCommit is one that only those who may write have put there: of a pull
// request its base, else the job's commit where that is the default branch's.
func baseCommit(env Environment, e Event, pr *forge.PullRequest) string {
	switch b := e.Repository.DefaultBranch; {
	case pr != nil:
		return pr.BaseSHA
	case e.Name == "schedule", b != "" && env.Ref == "refs/heads/"+b:
		return env.SHA
	}
	return ""
}
