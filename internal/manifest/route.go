package manifest

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

var (
	egressLater = map[string]string{
		"dlp": "the scanning of all routes alike",
	}
	routeLater = map[string]string{
		"role":   "roles of routes",
		"git":    "git over HTTPS",
		"limits": "limits of a route",
	}
)

func (r *reader) egress(n ast.Node, at string, b *Bottle) {
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"routes": func(n ast.Node, at string) {
				r.list(n, at, func(n ast.Node, at string) {
					route, refs := r.route(n, at, filepath.Dir(b.Path))
					b.Policy.Egress.Routes = append(b.Policy.Egress.Routes, route)
					b.Routes = append(b.Routes, refs)
				})
			},
			"presets": func(n ast.Node, at string) { b.Presets = r.presets(n, at) },
		},
		later: egressLater,
	})
}

// route reads one route; dir is what a relative ca_file is relative to.
func (r *reader) route(n ast.Node, at, dir string) (policy.Route, RouteRefs) {
	route := policy.Route{Port: policy.DefaultPort}
	var refs RouteRefs
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"host":        func(n ast.Node, at string) { route.Host = r.host(n, at) },
			"port":        func(n ast.Node, at string) { route.Port = r.port(n, at) },
			"matches":     func(n ast.Node, at string) { route.Matches = r.matches(n, at) },
			"auth":        func(n ast.Node, at string) { route.Auth, refs.Token = r.auth(n, at) },
			"credentials": func(n ast.Node, at string) { route.Credentials = r.texts(n, at, strings.ToLower) },
			"addresses":   func(n ast.Node, at string) { route.Addresses = r.addresses(n, at) },
			"connect_to":  func(n ast.Node, at string) { route.ConnectTo = r.connectTo(n, at) },
			"dlp":         func(n ast.Node, at string) { route.DLP = r.dlp(n, at) },
			"ca_file":     func(n ast.Node, at string) { refs.CAFile = r.caFile(n, at, dir) },
		},
		later:    routeLater,
		required: []string{"host"},
	})
	return route, refs
}

// host tells apart what people put into a host by habit.
func (r *reader) host(n ast.Node, at string) string {
	raw, ok := r.text(n, at)
	if !ok {
		return ""
	}
	if scheme, rest, found := strings.Cut(raw, "://"); found {
		name, _, _ := strings.Cut(rest, "/")
		r.at(at, fmt.Sprintf("write the name alone: `host: %s`", name), fmt.Errorf("%.80q has the scheme %.20q", raw, scheme))
		return ""
	}
	if name, _, found := strings.Cut(raw, "/"); found {
		r.at(at, fmt.Sprintf("write `host: %s` and put the path into `matches`", name), fmt.Errorf("%.80q has a path", raw))
		return ""
	}
	if name, digits, found := strings.Cut(raw, ":"); found && !strings.Contains(digits, ":") {
		r.at(at, fmt.Sprintf("write `host: %s` and `port: %s`", name, digits), fmt.Errorf("%.80q has a port", raw))
		return ""
	}
	if raw == "*" {
		r.at(at, "list the hosts one by one", errors.New("a route for every host would be no policy"))
		return ""
	}
	host, err := policy.CanonicalRouteHost(raw)
	if err != nil {
		r.at(at, "", err)
	}
	return host
}

func (r *reader) port(n ast.Node, at string) uint16 {
	v, ok := r.integer(n, at)
	if ok && (v < 1 || v > 65535) {
		r.at(at, "", fmt.Errorf("%d is not a port from 1 to 65535", v))
	}
	return uint16(v)
}

func (r *reader) matches(n ast.Node, at string) []policy.Match {
	matches := []policy.Match{}
	r.list(n, at, func(n ast.Node, at string) { matches = append(matches, r.match(n, at)) })
	if len(matches) == 0 {
		r.at(at, "remove the key for GET and HEAD on every path", errors.New("it is empty"))
	}
	return matches
}

func (r *reader) match(n ast.Node, at string) policy.Match {
	var m policy.Match
	r.mapping(n, at, schema{fields: map[string]func(ast.Node, string){
		"path":    func(n ast.Node, at string) { m.Path = r.path(n, at) },
		"methods": func(n ast.Node, at string) { m.Methods = r.methods(n, at) },
		"headers": func(n ast.Node, at string) {
			r.list(n, at, func(n ast.Node, at string) { m.Headers = append(m.Headers, r.header(n, at)) })
		},
	}})
	return m
}

func (r *reader) methods(n ast.Node, at string) []string {
	methods := r.texts(n, at, strings.ToUpper)
	if _, isList := n.(*ast.SequenceNode); isList && len(methods) == 0 {
		r.at(at, "remove the key for every method", errors.New("it is empty"))
	}
	return methods
}

func (r *reader) path(n ast.Node, at string) *policy.PathMatch {
	p := &policy.PathMatch{Type: policy.MatchPrefix} // the Gateway API's default
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"type":  func(n ast.Node, at string) { p.Type = r.matchType(n, at) },
			"value": func(n ast.Node, at string) { p.Value, _ = r.text(n, at) },
		},
		required: []string{"value"},
	})
	return p
}

func (r *reader) header(n ast.Node, at string) policy.HeaderMatch {
	h := policy.HeaderMatch{Type: policy.MatchExact} // the Gateway API's default
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"type": func(n ast.Node, at string) { h.Type = r.matchType(n, at) },
			"name": func(n ast.Node, at string) {
				name, _ := r.text(n, at)
				h.Name = strings.ToLower(name)
			},
			"value": func(n ast.Node, at string) { h.Value, _ = r.text(n, at) },
		},
		required: []string{"name", "value"},
	})
	return h
}

var matchTypes = map[string]policy.MatchType{
	"exact":             policy.MatchExact,
	"prefix":            policy.MatchPrefix,
	"pathprefix":        policy.MatchPrefix,
	"regex":             policy.MatchRegex,
	"regularexpression": policy.MatchRegex,
}

// matchType takes the Gateway API's names and short ones, in any case.
func (r *reader) matchType(n ast.Node, at string) policy.MatchType {
	text, ok := r.text(n, at)
	if !ok {
		return ""
	}
	if t, known := matchTypes[strings.ToLower(text)]; known {
		return t
	}
	r.at(at, "write Exact, PathPrefix (of a path) or RegularExpression", fmt.Errorf("%.80q is no type of match", text))
	return ""
}

func (r *reader) auth(n ast.Node, at string) (*policy.Auth, secret.Ref) {
	auth, ref := &policy.Auth{}, secret.Ref("")
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"scheme": func(n ast.Node, at string) { auth.Scheme, _ = r.text(n, at) },
			"header": func(n ast.Node, at string) {
				name, _ := r.text(n, at)
				auth.Header = strings.ToLower(name)
			},
			"token_ref": func(n ast.Node, at string) { ref = r.tokenRef(n, at) },
		},
		required: []string{"token_ref"},
	})
	auth.TokenName = string(ref)
	return auth, ref
}

// tokenRef reads a reference to a secret.
func (r *reader) tokenRef(n ast.Node, at string) secret.Ref {
	text, ok := r.text(n, at)
	if !ok {
		return ""
	}
	ref, err := secret.ParseRef(text)
	if err != nil {
		r.at(at, "write env:NAME, file:/path or credential:NAME; a token itself must not stand in a bottle", err)
	}
	return ref
}

func (r *reader) texts(n ast.Node, at string, fold func(string) string) []string {
	var all []string
	r.list(n, at, func(n ast.Node, at string) {
		text, _ := r.text(n, at)
		all = append(all, fold(text))
	})
	return all
}

func (r *reader) addresses(n ast.Node, at string) []netip.Prefix {
	var all []netip.Prefix
	r.list(n, at, func(n ast.Node, at string) {
		text, ok := r.text(n, at)
		if !ok {
			return
		}
		prefix, err := parsePrefix(text)
		if err != nil {
			r.at(at, "write an address, or a range such as 10.1.2.0/24", fmt.Errorf("%.80q is not a range of addresses", text))
			return
		}
		all = append(all, prefix)
		if err := policy.CheckAddresses(prefix); err != nil {
			r.at(at, "", err)
		}
	})
	return all
}

func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

func (r *reader) connectTo(n ast.Node, at string) string {
	text, ok := r.text(n, at)
	if !ok {
		return ""
	}
	host, port, err := policy.ParseAuthority(text, 0)
	if err != nil {
		r.at(at, "write host:port", err)
		return text
	}
	return host.Authority(port)
}

// caFile makes a path absolute; a relative one is relative to the bottle.
func (r *reader) caFile(n ast.Node, at, dir string) string {
	text, ok := r.text(n, at)
	if !ok || filepath.IsAbs(text) {
		return text
	}
	if text == "" {
		r.at(at, "", errors.New("it is empty"))
	}
	path, err := filepath.Abs(filepath.Join(dir, text))
	if err != nil {
		r.at(at, "write the path from the root on", err)
	}
	return path
}
