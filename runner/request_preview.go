package runner

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

// Preview is what a job would do, for people and programs: `run --dry-run`. It
// names secrets and holds none.
type Preview struct {
	Schema  int                `json:"schema"`  // 1
	Lineage string             `json:"lineage"` // "base -> dev -> claude-dev"
	Agent   *PreviewAgent      `json:"agent,omitempty"`
	Task    PreviewTask        `json:"task"`
	Secrets PreviewSecrets     `json:"secrets"`
	Policy  manifest.Effective `json:"policy"` // the bottle's own
	// ProviderRoutes are what the agent CLI needs besides.
	ProviderRoutes []manifest.ShownRoute `json:"provider_routes,omitempty"`
	Warnings       []string              `json:"warnings,omitempty"`
}

// PreviewAgent is the agent file.
type PreviewAgent struct {
	Name string `json:"name"`
	File string `json:"file"`
}

// PreviewTask is what would be started in the guest.
type PreviewTask struct {
	Provider string   `json:"provider"`
	Model    string   `json:"model,omitempty"`
	Command  []string `json:"command,omitempty"`
	Root     bool     `json:"root,omitempty"`
	System   string   `json:"system,omitempty"` // the agent file's body, for an agent CLI
	Prompt   string   `json:"prompt,omitempty"`
}

// PreviewSecrets names the secrets by where they go.
type PreviewSecrets struct {
	EnterTheGuest []string     `json:"enter_the_guest"` // variables; the agent can read them
	AddedByDoors  []secret.Ref `json:"added_by_doors"`  // references; they stay on the host
}

// Explain gives what a job of req would do, and the error that MakePlan would
// give, without asking anybody. It is not ok if the files can't be read, so that
// there is nothing to show.
func Explain(ctx context.Context, req Request) (preview Preview, ok bool, err error) {
	a, err := assemble(ctx, req)
	if err != nil {
		return Preview{}, false, err
	}
	if req.Ask != nil { // somebody could be asked; an empty answer does to see the rest
		req.Ask = func(name, _ string) (secret.Value, error) { return secret.New(name, ""), nil }
	}
	plan, err := MakePlan(ctx, req)
	return a.preview(req, plan), true, err
}

func (a *assembled) preview(req Request, plan Plan) Preview {
	bottle := manifest.Bottle{Name: NoBottle, Lineage: []string{NoBottle}, Policy: policy.Policy{Isolation: policy.IsolationGVisor}}
	if a.bottle != nil {
		bottle = *a.bottle
	}
	if req.Timeout > 0 {
		bottle.Policy.Limits.Timeout = req.Timeout
	}
	p := Preview{
		Schema: 1, Lineage: strings.Join(bottle.Lineage, " -> "), Policy: bottle.Effective(), Warnings: a.warnings,
		Task: PreviewTask{Provider: a.template, Model: a.model(req), Command: plan.Task.Argv, Root: req.Root, Prompt: req.Prompt},
	}
	if a.agent != nil {
		p.Agent = &PreviewAgent{a.agent.Name, a.agent.Path}
	}
	if a.template == manifest.Command {
		p.Task.Command, p.Task.Model = a.argv(req), ""
	} else if a.agent != nil {
		p.Task.System = a.agent.Prompt
	}
	p.addSecrets(bottle, plan)
	if own := len(p.Policy.Egress.Routes); own < len(plan.Policy.Egress.Routes) {
		p.ProviderRoutes = manifest.ShowRoutes(plan.Policy.Egress.Routes[own:])
	}
	return p
}

// addSecrets names those of the bottle and, where the plan got that far, of the
// provider.
func (p *Preview) addSecrets(bottle manifest.Bottle, plan Plan) {
	entering, added := bottle.SecretNames()
	for _, v := range plan.Policy.Env {
		if v.Secret && !slices.Contains(entering, v.Name) {
			entering = append(entering, v.Name)
		}
	}
	if p := bottle.Provider; p != nil && p.Token != "" && !slices.Contains(added, p.Token) {
		added = append(added, p.Token)
	}
	for name := range plan.Secrets {
		if !slices.Contains(added, secret.Ref(name)) {
			added = append(added, secret.Ref(name))
		}
	}
	slices.Sort(entering)
	slices.SortFunc(added, cmp.Compare[secret.Ref])
	p.Secrets = PreviewSecrets{append([]string{}, entering...), append([]secret.Ref{}, added...)}
}
