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

// Resolve reads what a bottle refers to on the host and gives the complete
// policy, with default limits filled in, and the tokens. The host's environment
// is seen through lookupEnv alone. The error lists everything that is missing,
// each a *term.Error whose subject is "file:line". An agent has no part in it:
// agents come from repositories, which grant nothing.
func Resolve(b Bottle, lookupEnv func(string) (string, bool)) (policy.Policy, Secrets, error) {
	p := b.Policy
	p.Limits = p.Limits.WithDefaults()
	p.Egress.Routes = slices.Clone(p.Egress.Routes)
	r := &reader{lines: b.lines}
	p.Env = r.resolveEnv(b.Env, lookupEnv)
	secrets := Secrets{}
	for i, refs := range b.Routes {
		place := fmt.Sprintf("egress.routes[%d]", i)
		r.resolveToken(place+".auth.token_ref", refs.Token, secrets, lookupEnv)
		p.Egress.Routes[i].CAs = r.resolveCAs(place+".ca_file", refs.CAFile)
	}
	if len(r.faults) == 0 {
		r.judge(p)
	}
	if err := asError(b.Path, r.faults); err != nil {
		return policy.Policy{}, nil, err
	}
	return p, secrets, nil
}

func (r *reader) resolveEnv(entries []EnvEntry, lookupEnv func(string) (string, bool)) []policy.EnvVar {
	var vars []policy.EnvVar
	for _, e := range entries {
		v := policy.EnvVar{Name: e.Name, Value: e.Literal}
		if e.HostVar != "" {
			value, ok := lookupEnv(e.HostVar)
			if !ok {
				r.at("env."+e.Name, fmt.Sprintf("set %s in the environment of bot-bottle", e.HostVar),
					fmt.Errorf("the host's environment has no variable %q", e.HostVar))
			}
			v.Value, v.Secret = value, true
		}
		vars = append(vars, v)
	}
	slices.SortFunc(vars, func(a, b policy.EnvVar) int { return cmp.Compare(a.Name, b.Name) })
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
