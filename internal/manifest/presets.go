package manifest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/bot-bottle/action/internal/policy"
)

// preset is a read-only set of routes that many bottles need.
type preset struct {
	name   string
	routes []policy.Route
}

// presets give the paths that the package managers read, and nothing by which an
// account is used. Paths are in the form of policy.CanonicalPath. A request's
// path still is something that the agent writes: what a registry does with a name
// it doesn't know (Go's proxy asks the host in it) is a way out for a few bytes.
func presets() []preset {
	return []preset{
		{"npm", []policy.Route{
			// Packages and their archives; "/-/…" is the account's side
			// (github.com/npm/registry, docs/REGISTRY-API.md).
			readOnly("registry.npmjs.org", 443, regex(`/(?:@[A-Za-z0-9._~-]+(?:/|%2F))?[A-Za-z0-9._~][A-Za-z0-9._~-]*(?:/-/[A-Za-z0-9@._~/-]+|/[A-Za-z0-9._~+-]+)?`)),
		}},
		{"pypi", []policy.Route{
			readOnly("pypi.org", 443, prefix("/simple"), regex(`/pypi/[^/]+(?:/[^/]+)?/json`)), // PEP 503, and warehouse's JSON API
			readOnly("files.pythonhosted.org", 443, prefix("/packages")),
		}},
		{"go", []policy.Route{
			// go.dev/ref/mod#goproxy-protocol
			readOnly("proxy.golang.org", 443, regex(`/.+/@(?:latest|v/(?:list|[^/]+\.(?:info|mod|zip)))`), prefix("/sumdb/sum.golang.org")),
			readOnly("sum.golang.org", 443, exact("/latest"), prefix("/lookup"), prefix("/tile")),
		}},
		{"crates", []policy.Route{
			// doc.rust-lang.org/cargo/reference/registry-index.html, "Sparse Protocol"
			readOnly("index.crates.io", 443, exact("/config.json"), regex(`/(?:[12]/[^/]+|3/[^/]/[^/]+|[^/]{2}/[^/]{2}/[^/]+)`)),
			readOnly("static.crates.io", 443, prefix("/crates")),
		}},
		{"debian", []policy.Route{
			// What apt reads is signed, and its usual sources are plain HTTP.
			readOnly("deb.debian.org", 80, prefix("/debian"), prefix("/debian-security")),
			readOnly("deb.debian.org", 443, prefix("/debian"), prefix("/debian-security")),
			readOnly("security.debian.org", 80, prefix("/debian-security")),
			readOnly("security.debian.org", 443, prefix("/debian-security")),
		}},
	}
}

func readOnly(host string, port uint16, paths ...*policy.PathMatch) policy.Route {
	r := policy.Route{Host: host, Port: port}
	for _, p := range paths {
		r.Matches = append(r.Matches, policy.Match{Path: p, Methods: []string{http.MethodGet, http.MethodHead}})
	}
	return r
}

func exact(value string) *policy.PathMatch {
	return &policy.PathMatch{Type: policy.MatchExact, Value: value}
}
func prefix(value string) *policy.PathMatch {
	return &policy.PathMatch{Type: policy.MatchPrefix, Value: value}
}
func regex(value string) *policy.PathMatch {
	return &policy.PathMatch{Type: policy.MatchRegex, Value: value}
}

// PresetNames lists what `egress.presets` can hold.
func PresetNames() []string {
	var names []string
	for _, p := range presets() {
		names = append(names, p.name)
	}
	return names
}

func presetRoutes(names []string) []policy.Route {
	var routes []policy.Route
	for _, p := range presets() {
		if slices.Contains(names, p.name) {
			routes = append(routes, p.routes...)
		}
	}
	return routes
}

func (r *reader) presets(n ast.Node, at string) []string {
	var names []string
	r.list(n, at, func(n ast.Node, at string) {
		name, ok := r.text(n, at)
		switch known := PresetNames(); {
		case !ok:
		case !slices.Contains(known, name):
			hint := "there are: " + strings.Join(known, ", ")
			if near := nearest(name, known); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			r.at(at, hint, fmt.Errorf("there is no preset %.80q", name))
		case slices.Contains(names, name):
			r.at(at, "", fmt.Errorf("%q stands here twice", name))
		default:
			names = append(names, name)
		}
	})
	return names
}
