package manifest

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/bot-bottle/action/internal/policy"
)

var (
	bottleLater = map[string]string{"canary": "canary secrets"}
	bottleMoved = map[string]string{
		"git":      "write `git-gate: {repos: …}`",
		"git_user": "write `git-gate: {user: {name: …, email: …}}`",
		"ssh":      "write `git-gate: {repos: …}`, each with its `key` and `host_key`",
		"runtime":  "write `isolation: vm`, `gvisor` or `container`",
	}
)

// LoadBottle reads a bottle file, without the bottle that it extends. The error
// lists everything that is wrong, each a *term.Error whose subject is "file:line".
func LoadBottle(path string) (Bottle, error) {
	d, err := open(path)
	if err != nil {
		return Bottle{}, err
	}
	return readBottle(d)
}

func readBottle(d document) (Bottle, error) {
	b := Bottle{Name: d.name, Path: d.path, Lineage: []string{d.name}}
	b.Policy = policy.Policy{Epoch: 1, Bottle: d.name, Isolation: policy.IsolationGVisor}
	r := newReader(d.path)
	if n, ok := r.parse(d.yaml); ok {
		r.bottle(n, &b)
		r.judge(b.Policy)
	}
	if err := asError(r.faults); err != nil {
		return Bottle{}, err
	}
	b.places = r.places
	return b, nil
}

func (r *reader) bottle(n ast.Node, b *Bottle) {
	p := &b.Policy
	r.mapping(n, "", schema{
		fields: map[string]func(ast.Node, string){
			"extends": func(n ast.Node, at string) { b.Extends = r.parent(n, at, b.Name) },
			"for":     func(n ast.Node, at string) { b.For = []For{r.serves(n, at)} },
			"isolation": func(n ast.Node, at string) {
				if s, ok := r.text(n, at); ok {
					p.Isolation = policy.Isolation(s)
				}
			},
			"image":          func(n ast.Node, at string) { p.Image = r.image(n, at) },
			"env":            func(n ast.Node, at string) { b.Env = r.env(n, at) },
			"agent_provider": func(n ast.Node, at string) { b.Provider = r.agentProvider(n, at) },
			"egress":         func(n ast.Node, at string) { r.egress(n, at, b) },
			"git-gate":       func(n ast.Node, at string) { b.Git = r.gitGate(n, at) },
			"supervise":      func(n ast.Node, at string) { b.Supervise, _ = r.boolean(n, at) },
			"limits":         func(n ast.Node, at string) { p.Limits = r.limits(n, at) },
		},
		later: bottleLater,
		moved: bottleMoved,
	})
}

// parent reads the name of the bottle that this one builds on.
func (r *reader) parent(n ast.Node, at, self string) string {
	name := r.name(n, at)
	if name != "" && name == self {
		r.at(at, "name another bottle, or remove the key", fmt.Errorf("bottle %q extends itself", self))
	}
	return name
}

// judge notes what the policy itself finds wrong, except at or below a place in
// which the file was already found wrong.
func (r *reader) judge(p policy.Policy) {
	var faults policy.Faults
	if !errors.As(p.Validate(), &faults) {
		return
	}
	known := slices.Clone(r.faults)
	for _, f := range faults {
		if !slices.ContainsFunc(known, func(k Fault) bool { return within(f.Field, k.Key) }) {
			r.at(f.Field, hintFor(f), f.Err)
		}
	}
}

// within tells whether place is outer or lies below it.
func within(place, outer string) bool {
	rest, ok := strings.CutPrefix(place, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// hintFor says what helps against a fault that the policy found, by the last key
// of its place.
func hintFor(f policy.Fault) string {
	if errors.Is(f, policy.ErrNever) {
		return ""
	}
	switch f.Field[strings.LastIndexByte(f.Field, '.')+1:] {
	case "host":
		return "a non-public address has to be listed: `addresses: [10.1.2.3/32]`"
	case "connect_to":
		return "write host:port; a non-public address has to be listed in `addresses`"
	case "isolation":
		return "write vm, gvisor or container"
	}
	return ""
}

func (r *reader) absolute(n ast.Node, at string) string {
	s, ok := r.text(n, at)
	if ok && !filepath.IsAbs(s) {
		r.at(at, "write the path from the root on", fmt.Errorf("%.80q is not an absolute path", s))
	}
	return s
}

func (r *reader) env(n ast.Node, at string) []EnvEntry {
	var entries []EnvEntry
	r.eachPair(n, at, func(name string, _ int, value ast.Node, place string) {
		if err := policy.CheckEnvName(name); err != nil {
			r.at(place, "", err)
		}
		if text, ok := r.text(value, place); ok {
			entries = append(entries, r.envEntry(name, text, place))
		}
	})
	return entries
}

// envEntry reads one value: "?" and a prompt for a secret that is asked for,
// "${NAME}" for a variable of the host, anything else for itself.
func (r *reader) envEntry(name, text, at string) EnvEntry {
	if prompt, asked := strings.CutPrefix(text, "?"); asked {
		return EnvEntry{Name: name, Ask: true, Prompt: r.prompt(prompt, at)}
	}
	if !strings.Contains(text, "${") {
		return EnvEntry{Name: name, Literal: text}
	}
	hostVar, closed := strings.CutSuffix(strings.TrimPrefix(text, "${"), "}")
	if !closed || policy.CheckEnvName(hostVar) != nil {
		r.at(at, `write "${NAME}" and nothing around it`, errors.New("a host variable has to be the whole value"))
	}
	return EnvEntry{Name: name, HostVar: hostVar}
}

// maxPrompt is what fits on a line of a terminal and leaves room for an answer.
const maxPrompt = 200

// prompt takes one line; what a terminal would act on is not among the bytes of
// a file, but a quoted string can spell it.
func (r *reader) prompt(text, at string) string {
	text = strings.TrimSpace(text)
	if len(text) > maxPrompt || hasControl(text) {
		r.at(at, "write one short line", fmt.Errorf("a prompt is one line of at most %d bytes", maxPrompt))
	}
	return text
}

// hasControl tells whether text holds what a terminal or a config file would
// take for more than a letter.
func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f || isBidi(c) })
}
