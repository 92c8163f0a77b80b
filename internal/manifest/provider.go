package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/bot-bottle/action/internal/secret"
)

// Templates are what `agent_provider.template` can be. Command runs the command
// that the agent file or the caller gives; the others are the agent CLIs.
const (
	Claude  = "claude"
	Codex   = "codex"
	Gemini  = "gemini"
	Command = "command"
)

// Provider is a bottle's `agent_provider`: which agent CLI runs in it, with
// which credential, and what of the model's API it may use.
type Provider struct {
	Template string     // claude, codex, gemini or command
	Token    secret.Ref // reference to the credential (key `auth_token`); empty: the provider's default reference
	// Allow lists what of the model's API is allowed beyond plain messages and
	// tools that run in the guest: mcp_servers, web_search, beta:NAME and others.
	// Which words there are is the provider's to know.
	Allow []string
}

func templates() []string { return []string{Claude, Codex, Gemini, Command} }

var providerMoved = map[string]string{
	"forward_host_credentials": "write `auth_token:` with a reference to the credential: env:NAME, file:/path or credential:NAME",
}

var providerLater = map[string]string{
	"dockerfile": "images from a Dockerfile",
}

func (r *reader) agentProvider(n ast.Node, at string) *Provider {
	var p Provider
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"template":   func(n ast.Node, at string) { p.Template = r.template(n, at) },
			"auth_token": func(n ast.Node, at string) { p.Token = r.tokenRef(n, at) },
			"allow": func(n ast.Node, at string) {
				r.list(n, at, func(n ast.Node, at string) { p.Allow = append(p.Allow, r.allowed(n, at)) })
			},
		},
		later:    providerLater,
		moved:    providerMoved,
		required: []string{"template"},
	})
	if p.Template == Command && (p.Token != "" || p.Allow != nil) {
		r.at(at, "give the command its credential by a route's `auth`", fmt.Errorf("template %q has no credential and no model", Command))
	}
	return &p
}

// template reads the name of a provider.
func (r *reader) template(n ast.Node, at string) string {
	name, ok := r.text(n, at)
	if !ok || slices.Contains(templates(), name) {
		return name
	}
	hint := "write one of: " + strings.Join(templates(), ", ")
	if near := nearest(name, templates()); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	r.at(at, hint, fmt.Errorf("there is no provider %.80q", name))
	return ""
}

// maxAllowed bounds a word of `allow`; the names of beta features have some 30
// letters.
const maxAllowed = 80

// allowedKinds are the kinds of names that the model's API has, each before a
// colon: see docs/agents.
var allowedKinds = []string{"beta", "block", "field", "header", "tool"}

// allowed reads one word, such as web_search or beta:NAME.
func (r *reader) allowed(n ast.Node, at string) string {
	text, ok := r.text(n, at)
	if !ok {
		return ""
	}
	kind, word, named := strings.Cut(text, ":")
	if named = named && slices.Contains(allowedKinds, kind); !named {
		word = text
	}
	foreign := func(c rune) bool {
		return !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || named && ('A' <= c && c <= 'Z' || c == '-' || c == '.'))
	}
	if word == "" || len(word) > maxAllowed || strings.ContainsFunc(word, foreign) {
		r.at(at, "write a word such as web_search or mcp_servers, or beta:NAME", fmt.Errorf("%.80q is nothing that can be allowed", text))
	}
	return text
}
