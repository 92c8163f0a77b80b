package runner

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/provider"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
)

// Request is what somebody asks for, as flags or inputs gave it. MakePlan
// resolves it, without any effect.
type Request struct {
	Name       string
	Bottles    []string // merged in order; empty: the agent's, else, for argv without an agent, the one that reaches nothing
	BottleDirs []string // the host's folders; the first that has a bottle wins
	Agent      string
	AgentDirs  []string          // likewise
	Repository *RepositoryAgents // agents of the workspace, found after AgentDirs; nil: none
	Prompt     string            // the task in words: an agent CLI's, or the standard input of an agent's command
	Model      string            // overrides the agent file's
	Argv       []string          // a command, instead of an agent's
	Root       bool
	Backend    string
	Workspace  *Workspace
	// Clone asks for a clone of the job's repository, where the bottle declares it, in
	// the place of Workspace. Self is that repository; nil: there is no job.
	Clone     *Clone
	Self      *manifest.SelfRepository
	Timeout   time.Duration // 0: the bottle's
	ReportDir string
	Trials    []Trial       // made in the guest before the agent
	Job       *manifest.Job // what `for` of the bottles is checked against; nil: not under a runner
	// Lookup is the host's environment, for ${HOST_VAR} and env: references.
	Lookup func(name string) (string, bool)
	// Ask asks a person for a secret; nil: no terminal, so that `?prompt` is an error.
	Ask func(name, prompt string) (secret.Value, error)
}

// RepositoryAgents are the agents that a repository ships in .bot-bottle/agents,
// as a commit has them, never as the working tree does.
type RepositoryAgents struct {
	Dir string // the checkout
	Rev string // the commit of the base branch, or what names it
}

// NoBottle is what the bottle is called that is used where none is named: it
// reaches nothing. No file can have this name.
const NoBottle = "(none)"

// MaxPrompt bounds a task in words, in bytes: four times the context of a large
// model.
const MaxPrompt = 1 << 20

// MakePlan resolves req: reads the files that it names, checks that they may be
// used by its job, and reads what they refer to on the host. The errors are of
// the stages usage, manifest and preflight.
func MakePlan(ctx context.Context, req Request) (Plan, error) {
	a, err := assemble(ctx, req)
	if err != nil {
		return Plan{Bottle: a.bottleName(), Agent: req.Agent}, err
	}
	plan := a.plan(req)
	if plan.Policy, plan.Secrets, err = a.resolve(req); err != nil {
		return plan, err
	}
	if req.Timeout > 0 {
		plan.Policy.Limits.Timeout = req.Timeout
	}
	plan.clone(req.Clone)
	if err := prepareAgent(ctx, req, a, &plan); err != nil {
		return plan, err
	}
	if plan.Workspace == nil {
		return plan, nil
	}
	return plan, plan.Workspace.Check(ctx)
}

// assembled is what the files say, before anything that they refer to is read.
type assembled struct {
	agent    *manifest.Agent  // nil: none
	bottle   *manifest.Bottle // merged; nil: the one that reaches nothing
	template string           // of the provider
	warnings []string
}

func assemble(ctx context.Context, req Request) (assembled, error) {
	var a assembled
	if err := checkPrompt(req); err != nil {
		return a, err
	}
	names := req.Bottles
	if req.Agent != "" {
		agent, err := loadAgent(ctx, req)
		if err != nil {
			return a, err
		}
		a.agent = &agent
		if len(names) == 0 && agent.Bottle != "" {
			names = []string{agent.Bottle}
		}
	}
	if err := a.addBottles(req, names); err != nil {
		return a, err
	}
	a.warnings = append(a.warnings, repositoryBottles(req.Workspace)...)
	return a, a.chooseTemplate(req)
}

// addBottles reads the bottles and checks each against the job, since a merged
// one would hide which of them doesn't serve it.
func (a *assembled) addBottles(req Request, names []string) error {
	if len(names) == 0 {
		return a.needsBottle(req)
	}
	bottles, err := manifest.ReadBottles(req.BottleDirs, names)
	if err != nil {
		return a.explainMissing(req, err)
	}
	if req.Job != nil {
		var errs []error
		for _, b := range bottles {
			errs = append(errs, b.CheckFor(*req.Job))
			a.warnings = append(a.warnings, warnWritable(b)...)
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	merged := manifest.Merge(bottles...)
	if a.agent != nil {
		merged = merged.WithUser(a.agent.User)
	}
	a.bottle = &merged
	return nil
}

// needsBottle refuses an agent without a bottle. A command of the caller's own
// may do without.
func (a *assembled) needsBottle(req Request) error {
	if a.agent == nil {
		return nil
	}
	return term.Errorf(term.StageManifest, a.agent.Path, "choosing a bottle: agent %q names none", a.agent.Name).
		WithHint("name one with --bottle, or in the agent's file: `bottle: NAME`")
}

// explainMissing says, where it was the agent that asked for a bottle, that the
// host has to have it: a repository can't bring one.
func (a *assembled) explainMissing(req Request, err error) error {
	if a.agent == nil || len(req.Bottles) > 0 || !manifest.IsMissing(err) {
		return err
	}
	return term.Errorf(term.StageManifest, a.agent.Path, "choosing the bottle of agent %q: %w", a.agent.Name, err).
		WithHint("bottles come from this host's own folders: %s", strings.Join(req.BottleDirs, ", "))
}

// chooseTemplate finds out who works in the bottle.
func (a *assembled) chooseTemplate(req Request) error {
	switch {
	case len(req.Argv) > 0 || a.agent != nil && a.agent.Command != nil:
		a.template = manifest.Command
	case a.bottle != nil && a.bottle.Provider != nil:
		a.template = a.bottle.Provider.Template
	}
	if a.template == "" || a.template == manifest.Command && len(a.argv(req)) == 0 {
		return a.nothingToRun()
	}
	if a.agent == nil || len(req.Argv) > 0 || a.agent.Provider == "" || a.agent.Provider == a.template {
		return nil
	}
	return term.Errorf(term.StageManifest, a.agent.Path, "choosing a provider: the agent is for %s, the bottle %q for %s", a.agent.Provider, a.bottleName(), a.template).
		WithHint("name a bottle with `agent_provider: {template: %s}`", a.agent.Provider)
}

func (a *assembled) nothingToRun() error {
	if a.agent != nil || a.bottle != nil {
		return term.Errorf(term.StageUsage, "", "reading the arguments: there is nothing to run: neither a command nor an agent_provider in bottle %q", a.bottleName()).
			WithHint("build the bottle on an agent CLI's, such as `extends: claude`, or give a command: bot-bottle run -- COMMAND")
	}
	return term.Errorf(term.StageUsage, "", "reading the arguments: there is nothing to run").
		WithHint("name an agent with --agent, or give a command: bot-bottle run -- COMMAND")
}

// argv is the command that is given, the caller's before the agent's.
func (a *assembled) argv(req Request) []string {
	if len(req.Argv) > 0 || a.agent == nil {
		return req.Argv
	}
	return a.agent.Command
}

func (a *assembled) bottleName() string {
	if a.bottle == nil {
		return NoBottle
	}
	return a.bottle.Name
}

// plan is what is known without looking at the host.
func (a *assembled) plan(req Request) Plan {
	p := Plan{
		Name: req.Name, Bottle: a.bottleName(), Agent: req.Agent, Backend: req.Backend, Workspace: req.Workspace, ReportDir: req.ReportDir,
		Provider: a.template, Warnings: a.warnings, Trials: req.Trials, UnderRunner: req.Job != nil,
	}
	if a.bottle != nil {
		p.Lineage = a.bottle.Lineage
	}
	p.Task.Name, p.Task.Root = "agent", req.Root
	return p
}

func (a *assembled) resolve(req Request) (policy.Policy, map[string]secret.Value, error) {
	if a.bottle == nil {
		return policy.Policy{Epoch: 1, Isolation: policy.IsolationGVisor, Limits: policy.Limits{}.WithDefaults()}, nil, nil
	}
	return manifest.Resolve(*a.bottle, manifest.Host{Lookup: req.Lookup, Ask: req.Ask, Self: req.Self})
}

// model is the one that is asked for, or "" for the provider's own choice.
func (a *assembled) model(req Request) string {
	if a.agent == nil {
		return req.Model
	}
	return cmp.Or(req.Model, a.agent.Model)
}

// prepareAgent adds to the plan what its provider needs: routes, secrets and the
// task. A command needs nothing.
func prepareAgent(ctx context.Context, req Request, a assembled, plan *Plan) error {
	if a.template == manifest.Command {
		plan.Task.Argv = a.argv(req)
		if req.Prompt != "" {
			plan.Task.Stdin = strings.NewReader(req.Prompt)
		}
		return nil
	}
	if strings.TrimSpace(req.Prompt) == "" {
		return term.Errorf(term.StageUsage, "--prompt", "reading the task: there is none for %s to do", a.template).
			WithHint("say it with --prompt, or from a file with --prompt-file")
	}
	in := provider.Input{
		Template: a.template, Prompt: req.Prompt, Model: a.model(req), Image: plan.Policy.Image, Lookup: req.Lookup,
	}
	if a.agent != nil {
		in.System = a.agent.Prompt
	}
	in.System = strings.TrimSpace(in.System + "\n\n" + plan.advice())
	if a.bottle != nil && a.bottle.Provider != nil {
		in.Token, in.Allow = a.bottle.Provider.Token, a.bottle.Provider.Allow
	}
	prepared, err := provider.Prepare(ctx, in)
	if err != nil {
		return err
	}
	plan.take(prepared)
	if err := plan.Policy.Validate(); err != nil {
		return term.Errorf(term.StageManifest, plan.Bottle, "adding the routes of %s: %w", a.template, err).
			WithHint("look at agent_provider and at the routes for the same host")
	}
	return nil
}

// take adds what a provider has prepared.
func (p *Plan) take(prepared provider.Prepared) {
	p.Policy.Egress.Routes = provider.AddRoutes(p.Policy.Egress.Routes, prepared.Routes)
	p.Policy.Image.Programs = append(p.Policy.Image.Programs, prepared.Programs...)
	p.Task.Argv, p.Task.Env, p.Task.Stdin = prepared.Argv, prepared.Env, bytes.NewReader(prepared.Stdin)
	secrets := maps.Clone(p.Secrets)
	if secrets == nil {
		secrets = map[string]secret.Value{}
	}
	maps.Copy(secrets, prepared.Secrets)
	p.Secrets = secrets
}

// checkPrompt refuses a task that nobody could read, and one that nobody would.
func checkPrompt(req Request) error {
	wrong := func(hint, format string, args ...any) error {
		return term.Errorf(term.StageUsage, "--prompt", "reading the task: "+format, args...).WithHint("%s", hint)
	}
	switch {
	case len(req.Prompt) > MaxPrompt:
		return wrong("put what is long into a file of the workspace and name it", "it has %d bytes, more than %d", len(req.Prompt), MaxPrompt)
	case strings.ContainsRune(req.Prompt, 0):
		return wrong("write it as text", "it holds a NUL byte")
	case len(req.Argv) > 0 && req.Prompt != "":
		return wrong("leave out one of the two", "a command has no task in words")
	case len(req.Argv) > 0 && req.Model != "":
		return term.Errorf(term.StageUsage, "--model", "reading the model: a command has none").WithHint("leave out one of the two")
	}
	if req.Model != "" {
		if err := manifest.CheckModel(req.Model); err != nil {
			return term.Errorf(term.StageUsage, "--model", "reading the model: %w", err).WithHint("write it as the provider does")
		}
	}
	return nil
}
