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

// hostTools is the image that is made of the host's own programs.
const hostTools = "host-tools"

var bottleLater = map[string]string{
	"extends":        "a bottle that builds on another",
	"for":            "the repositories that a bottle serves",
	"git-gate":       "git remotes",
	"git":            "git remotes",
	"supervise":      "questions to a human",
	"agent_provider": "agent providers",
	"canary":         "canary secrets",
}

// LoadBottle reads a bottle file. The error lists everything that is wrong, each
// a *term.Error whose subject is "file:line".
func LoadBottle(path string) (Bottle, error) {
	d, err := open(path)
	if err != nil {
		return Bottle{}, err
	}
	b := Bottle{Name: d.name, Path: path}
	b.Policy = policy.Policy{Epoch: 1, Bottle: d.name, Isolation: policy.IsolationGVisor}
	r := newReader()
	if n, ok := r.parse(d.yaml); ok {
		r.bottle(n, &b)
		r.judge(b.Policy)
	}
	if err := asError(path, r.faults); err != nil {
		return Bottle{}, err
	}
	b.lines = r.lines
	return b, nil
}

func (r *reader) bottle(n ast.Node, b *Bottle) {
	p := &b.Policy
	r.mapping(n, "", schema{
		fields: map[string]func(ast.Node, string){
			"isolation": func(n ast.Node, at string) {
				if s, ok := r.text(n, at); ok {
					p.Isolation = policy.Isolation(s)
				}
			},
			"image":  func(n ast.Node, at string) { p.Image = r.image(n, at) },
			"env":    func(n ast.Node, at string) { b.Env = r.env(n, at) },
			"limits": func(n ast.Node, at string) { p.Limits = r.limits(n, at) },
			"egress": func(n ast.Node, at string) { r.egress(n, at, b) },
		},
		later: bottleLater,
	})
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
		if !slices.ContainsFunc(known, func(k fault) bool { return within(f.Field, k.key) }) {
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

func (r *reader) image(n ast.Node, at string) policy.Image {
	if s, isText := n.(*ast.StringNode); isText {
		if s.Value != hostTools {
			r.at(at, "write `image: host-tools` or `image: {rootfs: /path}`", fmt.Errorf("%.80q is no image", s.Value))
		}
		return policy.Image{}
	}
	var image policy.Image
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"rootfs": func(n ast.Node, at string) { image.Rootfs = r.absolute(n, at) },
		},
		later: map[string]string{
			"ref":        "images from a registry",
			"dockerfile": "images from a Dockerfile",
			"nix":        "images from Nix",
		},
		required: []string{"rootfs"},
	})
	return image
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

// envEntry reads one value: a literal, or "${NAME}" for a variable of the host.
func (r *reader) envEntry(name, text, at string) EnvEntry {
	if strings.HasPrefix(text, "?") {
		r.at(at, "remove the key, or take the value from the host with ${NAME}",
			errors.New("this build can't enforce secrets that are asked for at launch yet"))
		return EnvEntry{}
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
