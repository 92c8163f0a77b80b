package manifest

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

// Secrets are the tokens that doors inject, by their Auth.TokenName.
type Secrets map[string]secret.Value

// Host is what of the host a bottle can refer to.
type Host struct {
	// Lookup gives a variable of the host's environment.
	Lookup func(name string) (string, bool)
	// Ask asks a person for the value of a variable; nil: there is nobody.
	Ask func(name, prompt string) (secret.Value, error)
	// Self is the job's own repository; nil: there is no job.
	Self *SelfRepository
}

// Resolve reads what a bottle refers to on the host and gives the complete
// policy, with default limits filled in and presets written out, and the tokens.
// Only if nothing is wrong so far a person is asked. The error lists everything
// that is missing or that this build can't hold, each a *term.Error whose subject
// is "file:line". An agent has no part in it: agents come from repositories,
// which grant nothing.
func Resolve(b Bottle, host Host) (policy.Policy, Secrets, error) {
	if b.Extends != "" {
		panic("manifest: Resolve of a bottle whose parents are not merged")
	}
	r := &reader{file: b.Path, places: b.places}
	r.refuseUnenforced(b)
	r.refuseUncounted(b)
	b.Git.Repos = r.resolveSelf(b.Git.Repos, host.Self)
	p := b.withPresets()
	p.Env = r.resolveEnv(b.Env, host.Lookup)
	secrets := Secrets{}
	for _, repo := range b.Git.Repos {
		r.resolveKey(repo, secrets)
	}
	for i, refs := range b.Routes {
		at := fmt.Sprintf("egress.routes[%d]", i)
		r.resolveToken(at+".auth.token_ref", refs.Token, secrets, host.Lookup)
		p.Egress.Routes[i].CAs = r.resolveCAs(at+".ca_file", refs.CAFile)
	}
	if len(r.faults) == 0 {
		p.Env = append(p.Env, r.ask(b.Env, host.Ask)...)
		p.Env = append(p.Env, b.identity(p.Env)...)
		slices.SortFunc(p.Env, func(a, b policy.EnvVar) int { return cmp.Compare(a.Name, b.Name) })
	}
	if len(r.faults) == 0 {
		r.judge(p)
	}
	if err := asError(r.faults); err != nil {
		return policy.Policy{}, nil, err
	}
	return p, secrets, nil
}

// withPresets gives the policy with default limits, and the presets' routes
// behind the bottle's own.
func (b Bottle) withPresets() policy.Policy {
	p := b.Policy
	p.Limits = p.Limits.WithDefaults()
	p.Egress.Routes = slices.Concat(p.Egress.Routes, presetRoutes(b.Presets))
	for _, repo := range b.Git.Repos {
		p.Git = append(p.Git, repo.remote())
	}
	return p
}

// resolveKey reads a static key.
func (r *reader) resolveKey(repo GitRepo, into Secrets) {
	if repo.Key.Provider != keyStatic {
		return
	}
	value, err := secret.Ref("file:" + repo.Key.Path).Resolve(nil)
	if err != nil {
		hint := ""
		if missing := (*secret.MissingError)(nil); errors.As(err, &missing) {
			hint = missing.Hint
		}
		r.at("git-gate.repos."+repo.Name+".key.path", hint, err)
		return
	}
	into[repo.KeyName()] = value
}

// refuseUnenforced notes what is well written and can't be held yet.
func (r *reader) refuseUnenforced(b Bottle) {
	if b.Supervise {
		r.at("supervise", notEnforcedHint, fmt.Errorf(notEnforced, "questions to a human"))
	}
}

// refuseUncounted notes limits of what calls to a model take where there is none that
// the egress door could read: a route that the bottle lists by hand is no model's.
func (r *reader) refuseUncounted(b Bottle) {
	if b.Policy.Limits.BestEffort || b.Provider != nil && b.Provider.Template != Command {
		return
	}
	for _, key := range []string{"limits.tokens", "limits.cost"} {
		if b.declares(key) {
			r.at(key, "name an `agent_provider`, remove the key, or take it as it is with `limits: {best_effort: true}`",
				errors.New("nothing holds it: the bottle has no agent whose calls to a model are counted"))
		}
	}
}

// identity gives the variables by which git knows who commits (git(1), "git
// Commits"), but for those that the bottle sets itself.
func (b Bottle) identity(set []policy.EnvVar) []policy.EnvVar {
	var vars []policy.EnvVar
	for name, value := range map[string]string{
		"GIT_AUTHOR_NAME": b.Git.User.Name, "GIT_COMMITTER_NAME": b.Git.User.Name,
		"GIT_AUTHOR_EMAIL": b.Git.User.Email, "GIT_COMMITTER_EMAIL": b.Git.User.Email,
	} {
		if value != "" && !slices.ContainsFunc(set, func(v policy.EnvVar) bool { return v.Name == name }) {
			vars = append(vars, policy.EnvVar{Name: name, Value: value})
		}
	}
	return vars
}

func (r *reader) resolveEnv(entries []EnvEntry, lookupEnv func(string) (string, bool)) []policy.EnvVar {
	var vars []policy.EnvVar
	for _, e := range entries {
		switch {
		case e.Ask:
		case e.HostVar != "":
			value, ok := lookupEnv(e.HostVar)
			if !ok {
				r.at("env."+e.Name, fmt.Sprintf("set %s in the environment of bot-bottle", e.HostVar),
					fmt.Errorf("the host's environment has no variable %q", e.HostVar))
			}
			vars = append(vars, policy.EnvVar{Name: e.Name, Value: value, Secret: true})
		default:
			vars = append(vars, policy.EnvVar{Name: e.Name, Value: e.Literal})
		}
	}
	return vars
}

// ask gives the variables whose values a person knows.
func (r *reader) ask(entries []EnvEntry, ask func(name, prompt string) (secret.Value, error)) []policy.EnvVar {
	var vars []policy.EnvVar
	for _, e := range entries {
		if !e.Ask {
			continue
		}
		if ask == nil {
			r.at("env."+e.Name, fmt.Sprintf("run it from a terminal, or take the value from the host: `%s: ${NAME}`", e.Name),
				errors.New("the value is asked for, and there is no terminal to ask on"))
			continue
		}
		value, err := ask(e.Name, e.Prompt)
		if err != nil {
			r.at("env."+e.Name, "", fmt.Errorf("asking for the value: %w", err))
			continue
		}
		// It enters the guest, as the bottle says it shall.
		vars = append(vars, policy.EnvVar{Name: e.Name, Value: value.Reveal(), Secret: true})
	}
	return vars
}

func (r *reader) resolveToken(at string, ref secret.Ref, into Secrets, lookupEnv func(string) (string, bool)) {
	if ref == "" {
		return
	}
	value, err := ref.Resolve(lookupEnv)
	if err == nil && strings.ContainsFunc(value.Reveal(), notInField) { // looked at, not shown
		err = fmt.Errorf("%s holds a character that can't be in a header field", value)
	}
	if err != nil {
		var hint string
		if missing := (*secret.MissingError)(nil); errors.As(err, &missing) {
			hint = missing.Hint
		}
		r.at(at, hint, err)
		return
	}
	into[string(ref)] = value
}

// notInField is true for what would end a header field or be changed on its way
// (RFC 9110 §5.5).
func notInField(c rune) bool { return c < ' ' || c > '~' }

func (r *reader) resolveCAs(at, path string) string {
	if path == "" {
		return ""
	}
	b, err := readFile(path)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(b) {
		err = errors.New("it holds no certificate in PEM")
	}
	if err != nil {
		r.at(at, "point ca_file at the certificates of the CAs, in PEM", fmt.Errorf("reading %q: %w", path, err))
	}
	return string(b)
}
