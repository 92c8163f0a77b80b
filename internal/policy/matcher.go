package policy

import (
	"fmt"
	"github.com/bot-bottle/action/internal/mutation"
	"regexp"
	"slices"
	"strings"
)

// The rules by which a request is allowed or refused. They stand in decision
// lines and reports and don't change their spelling.
const (
	RuleRoute          = "route"           // allowed: a route's matches hold, or it is GET or HEAD on a route without
	RuleNoRoute        = "no-route"        // no route names the host
	RulePort           = "port-not-listed" // routes name the host, but not with this port
	RuleMethod         = "method-not-listed"
	RuleNoMatch        = "no-match"        // the route's matches don't hold
	RuleMethodOverride = "method-override" // a field asks the upstream to take another method than the listed one
	RulePlainHTTP      = "plain-http"      // the route has a credential, which needs TLS
	RuleBadRequest     = "bad-request"     // host, port, scheme or path is not in canonical form
)

// Request is what a judgement is made on.
type Request struct {
	Method string // case-sensitive, as on the wire
	Scheme string // "http" or "https"; a WebSocket has that of its handshake
	Host   Host
	Port   uint16
	Path   string              // as CanonicalPath gives it
	Header map[string][]string // keys as net/http spells them
}

// Decision is the outcome of a judgement.
type Decision struct {
	Allowed bool
	Rule    string // one of the Rule constants
	// Route is the first listed route for host and port, if there is one, also
	// when the request is refused. It must not be changed.
	Route     *Route
	RouteName string // "host:port" of Route in the policy's own words
	// Hint is what would allow a refused request: lines of a bottle's front
	// matter, ending with a newline. It repeats what the guest sent.
	Hint string
}

// Matcher judges requests by the routes of one policy. It is immutable and safe
// for concurrent use.
type Matcher struct {
	routes []compiledRoute
}

type compiledRoute struct {
	Route
	name    string
	host    Host   // zero for a wildcard
	suffix  string // ".example.com" of a wildcard
	matches []compiledMatch
}

type compiledMatch struct {
	path    func(string) bool // nil: every path
	methods []string
	headers []compiledHeader
}

type compiledHeader struct {
	name  string // as net/http spells it
	match func(string) bool
}

// NewMatcher checks the routes of e and prepares them. The error names every
// fault, joined.
func NewMatcher(e Egress) (*Matcher, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	m := &Matcher{routes: make([]compiledRoute, 0, len(e.Routes))}
	for _, r := range e.Routes {
		c, err := compile(r)
		if err != nil {
			return nil, err
		}
		m.routes = append(m.routes, c)
	}
	return m, nil
}

// Judge decides on one request. Of the routes that list its host and port the
// first one whose matches hold decides, whatever stands after it.
func (m *Matcher) Judge(r Request) Decision {
	if !canonical(r) {
		return Decision{Rule: RuleBadRequest}
	}
	d := m.Connect(r.Host, r.Port)
	if !d.Allowed {
		return d
	}
	d = Decision{Rule: RuleNoMatch, Route: d.Route, RouteName: d.RouteName}
	for i := range m.routes {
		route := &m.routes[i]
		if !route.lists(r.Host, r.Port) {
			continue
		}
		rule := route.judge(r)
		if rule == RuleRoute || rule == RulePlainHTTP {
			return Decision{Allowed: rule == RuleRoute, Rule: rule, Route: &route.Route, RouteName: route.name}
		}
		d.Rule = rule
	}
	d.Hint = hint(r, d.Rule)
	return d
}

// Connect decides whether a tunnel to host and port may be opened, in which each
// request is judged again.
func (m *Matcher) Connect(host Host, port uint16) Decision {
	d := Decision{Rule: RuleNoRoute}
	for i := range m.routes {
		route := &m.routes[i]
		if route.lists(host, port) {
			return Decision{Allowed: true, Rule: RuleRoute, Route: &route.Route, RouteName: route.name}
		}
		if route.names(host) {
			d.Rule = RulePort
		}
	}
	d.Hint = hint(Request{Host: host, Port: port}, d.Rule)
	return d
}

// HostListed tells whether any route names host with port.
func (m *Matcher) HostListed(host Host, port uint16) bool { return m.Connect(host, port).Allowed }

func canonical(r Request) bool {
	path, err := CanonicalPath(r.Path)
	return err == nil && path == r.Path && !r.Host.IsZero() && r.Port != 0 && (r.Scheme == "http" || r.Scheme == "https")
}

func (c *compiledRoute) lists(host Host, port uint16) bool { return c.Port == port && c.names(host) }

func (c *compiledRoute) names(host Host) bool {
	if mutation.On(mutation.EgressLookalike) && strings.HasSuffix(host.name, c.host.name) {
		return true
	}
	if c.suffix == "" {
		return !host.IsZero() && c.host == host
	}
	return len(host.name) > len(c.suffix) && strings.HasSuffix(host.name, c.suffix)
}

// judge gives the rule that this route, which lists the request's host, applies.
func (c *compiledRoute) judge(r Request) string {
	rule := c.judgeMatches(r)
	if rule == RuleRoute && c.Auth != nil && r.Scheme != "https" {
		return RulePlainHTTP
	}
	return rule
}

func (c *compiledRoute) judgeMatches(r Request) string {
	if mutation.On(mutation.EgressAnyPath) {
		return RuleRoute
	}
	if len(c.matches) == 0 {
		return (&compiledMatch{methods: []string{"GET", "HEAD"}}).judge(r)
	}
	worst := RuleNoMatch
	for i := range c.matches {
		switch rule := c.matches[i].judge(r); rule {
		case RuleRoute:
			return rule
		case RuleMethod, RuleMethodOverride: // nearer to being allowed than a wrong path
			worst = rule
		}
	}
	return worst
}

func (m *compiledMatch) judge(r Request) string {
	if m.path != nil && !m.path(r.Path) {
		return RuleNoMatch
	}
	for _, h := range m.headers {
		// Which of several values an upstream takes is its own affair, so one
		// value is required.
		if values := r.Header[h.name]; len(values) != 1 || !h.match(values[0]) {
			return RuleNoMatch
		}
	}
	if len(m.methods) == 0 {
		return RuleRoute
	}
	if !slices.Contains(m.methods, r.Method) {
		return RuleMethod
	}
	if m.overridden(r.Header) {
		return RuleMethodOverride
	}
	return RuleRoute
}

// overrides are fields by which frameworks take another method than the request
// line's (Rack, Symfony, ASP.NET, Google's APIs). Those behind CGI can't tell an
// underscore from a hyphen.
var overrides = []string{"x-http-method-override", "x-http-method", "x-method-override"}

func (m *compiledMatch) overridden(header map[string][]string) bool {
	for name := range header {
		field := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		listed := slices.ContainsFunc(m.headers, func(h compiledHeader) bool { return h.name == name })
		if slices.Contains(overrides, field) && !listed {
			return true
		}
	}
	return false
}

func compile(r Route) (compiledRoute, error) {
	host, suffix, err := parseRouteHost(r.Host)
	if err != nil {
		return compiledRoute{}, err
	}
	c := compiledRoute{Route: r, host: host, suffix: suffix, name: r.Name()}
	for _, m := range r.Matches {
		compiled, err := compileMatch(m)
		if err != nil {
			return compiledRoute{}, err
		}
		c.matches = append(c.matches, compiled)
	}
	return c, nil
}

func compileMatch(m Match) (compiledMatch, error) {
	c := compiledMatch{methods: m.Methods}
	if m.Path != nil {
		match, err := compileValue(m.Path.Type, m.Path.Value)
		if err != nil {
			return compiledMatch{}, err
		}
		c.path = match
	}
	for _, h := range m.Headers {
		match, err := compileValue(h.Type, h.Value)
		if err != nil {
			return compiledMatch{}, err
		}
		c.headers = append(c.headers, compiledHeader{canonicalHeader(h.Name), match})
	}
	return c, nil
}

func compileValue(t MatchType, value string) (func(string) bool, error) {
	switch t {
	case MatchExact:
		return func(s string) bool { return s == value }, nil
	case MatchPrefix:
		return func(s string) bool { return hasPathPrefix(s, value) }, nil
	case MatchRegex:
		re, err := compileRegex(value)
		if err != nil {
			return nil, err
		}
		return re.MatchString, nil
	}
	return nil, fmt.Errorf("reading match type %q: it is none of Exact, PathPrefix, RegularExpression", t)
}

// compileRegex anchors at both ends. The value is compiled by itself first, so
// that none can close the group that is put around it.
func compileRegex(value string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(value); err != nil {
		return nil, fmt.Errorf("compiling %q: %w", value, err)
	}
	return regexp.Compile(`\A(?:` + value + `)\z`)
}

// hasPathPrefix compares whole path elements: "/a" is a prefix of "/a" and
// "/a/b", not of "/ab" (Gateway API, PathPrefix). A slash at the end of the
// prefix makes no difference.
func hasPathPrefix(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(prefix, "/"))
	return ok && (rest == "" || rest[0] == '/')
}
