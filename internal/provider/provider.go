// Package provider knows how to start the agent CLIs: where each is found on the
// host, what it needs of its model's API, which credential that takes, and how it
// is told its task without anybody there to ask.
//
// It promises that the credential is in no value that enters the guest: what the
// CLI is given there is a placeholder, which the egress door replaces. The CLIs'
// own permission checks are off, because the bottle is the boundary.
//
// It has no effect on the host. It reads the file system, and where a CLI needs
// Node.js it asks that for its version.
package provider

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
)

// The templates of a bottle's agent_provider.
const (
	Claude  = "claude"
	Codex   = "codex"
	Gemini  = "gemini"
	Command = "command"
)

// Input is what one agent is prepared from.
type Input struct {
	Template string     // one of the templates
	Token    secret.Ref // of the bottle; empty: the provider's own references, in order
	Allow    []string   // of the bottle: features of the model's API
	Prompt   string     // the task in words
	System   string     // the agent file's body: what the agent is; may be empty
	Model    string     // empty: the CLI's own choice
	Image    policy.Image
	Lookup   func(string) (string, bool) // the host's environment
}

// Prepared is what an agent CLI needs.
type Prepared struct {
	Routes   []policy.Route          // least; see AddRoutes
	Secrets  map[string]secret.Value // by policy.Auth.TokenName, which is the reference
	Programs []policy.Program        // what of the host the guest gets, read-only
	Argv     []string                // in the guest
	Env      []string                // NAME=value; the credential is a placeholder
	Stdin    []byte                  // the prompt: other processes could read it in argv
}

// agent is what differs between the CLIs.
type agent struct {
	cli
	host       string
	wire       string
	endpoints  []policy.Match
	references []secret.Ref // where the token is looked for
	// auth says how the token is sent, and with which placeholder the CLI is
	// made to send one.
	auth func(token secret.Value) (auth policy.Auth, env []string)
	// start gives the arguments after the program, and variables.
	start func(in Input) (args, env []string)
	stdin func(in Input) string
}

var agents = map[string]agent{Claude: claude, Codex: codex, Gemini: gemini}

// Prepare finds everything an agent needs. The template command needs nothing but
// its prompt. Errors are of the stages manifest (no credential) and preflight (no
// program that could be run).
func Prepare(ctx context.Context, in Input) (Prepared, error) {
	if in.Template == Command {
		return Prepared{Stdin: []byte(in.Prompt)}, nil
	}
	a, known := agents[in.Template]
	if !known {
		return Prepared{}, term.Errorf(term.StageManifest, "agent_provider.template", "choosing a provider: there is no %q", in.Template).
			WithHint("write claude, codex, gemini or command")
	}
	ref, token, err := a.token(in)
	if err != nil {
		return Prepared{}, err
	}
	argv, programs, err := a.program(ctx, in)
	if err != nil {
		return Prepared{}, err
	}
	auth, placeholder := a.auth(token)
	auth.TokenName = string(ref)
	args, env := a.start(in)
	return Prepared{
		Routes: []policy.Route{{
			Host: a.host, Port: policy.DefaultPort, Matches: a.endpoints, Auth: &auth,
			Model: &policy.ModelAPI{Wire: a.wire, Allow: in.Allow},
		}},
		Secrets:  map[string]secret.Value{string(ref): token},
		Programs: programs,
		Argv:     append(argv, args...),
		Env:      append(env, placeholder...),
		Stdin:    []byte(a.stdin(in)),
	}, nil
}

// AddRoutes puts the provider's routes before the bottle's own, so that what a
// bottle lists besides takes nothing from the judging of the model's API. A route
// of the bottle for exactly the same host and port says where the provider's leads
// (connect_to, CAs, addresses), for a gateway of one's own. One that says nothing
// else is gone then: by itself it would allow GET on every path.
func AddRoutes(own, provider []policy.Route) []policy.Route {
	all := slices.Clone(provider)
	for _, r := range own {
		i := slices.IndexFunc(provider, func(p policy.Route) bool { return p.Host == r.Host && p.Port == r.Port })
		if i >= 0 {
			all[i].ConnectTo, all[i].CAs, all[i].Addresses = r.ConnectTo, r.CAs, r.Addresses
		}
		if i < 0 || r.Matches != nil || r.Auth != nil || r.Credentials != nil {
			all = append(all, r)
		}
	}
	return all
}

// token reads the credential from where the bottle says, or from the first of the
// provider's own places that has one.
func (a agent) token(in Input) (secret.Ref, secret.Value, error) {
	places := a.references
	if in.Token != "" {
		places = []secret.Ref{in.Token}
	}
	var first error
	for _, ref := range places {
		v, err := ref.Resolve(in.Lookup)
		if err == nil && strings.ContainsFunc(v.Reveal(), notInField) { // looked at, not shown
			err = fmt.Errorf("%s holds a character that can't be in a header field", v)
		}
		if err == nil {
			return ref, v, nil
		}
		if first == nil {
			first = err
		}
	}
	var names []string
	for _, ref := range places {
		names = append(names, string(ref))
	}
	return "", secret.Value{}, term.Errorf(term.StageManifest, "agent_provider.auth_token", "reading the credential of %s: %w", a.name, first).
		WithHint("put it at %s, or name its place: `agent_provider: {template: %s, auth_token: file:/path}`", strings.Join(names, " or "), a.name)
}

// notInField is true for what would end a header field or be changed on its way
// (RFC 9110 §5.5).
func notInField(c rune) bool { return c < ' ' || c > '~' }

// endpoint is a match for one method and path.
func endpoint(method string, t policy.MatchType, path string) policy.Match {
	return policy.Match{Methods: []string{method}, Path: &policy.PathMatch{Type: t, Value: path}}
}

// withSystem puts what the agent is before its task, for CLIs that have no other
// place for it.
func withSystem(in Input) string {
	if strings.TrimSpace(in.System) == "" {
		return in.Prompt
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\n# Task\n\n%s", strings.TrimSpace(in.System), in.Prompt)
	return b.String()
}
