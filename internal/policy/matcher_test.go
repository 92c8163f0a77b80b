package policy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/policy"
)

func matcher(t testing.TB, routes ...policy.Route) *policy.Matcher {
	t.Helper()
	m, err := policy.NewMatcher(policy.Egress{Routes: routes})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func host(t testing.TB, raw string) policy.Host {
	t.Helper()
	h, err := policy.CanonicalHost(raw)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// request makes one from "METHOD scheme://host[:port]/path".
func request(t testing.TB, line string) policy.Request {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	scheme, rest, _ := strings.Cut(target, "://")
	authority, path, _ := strings.Cut(rest, "/")
	port := map[string]uint16{"http": 80, "https": 443}[scheme]
	h, port, err := policy.ParseAuthority(authority, port)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Request{Method: method, Scheme: scheme, Host: h, Port: port, Path: "/" + path}
}

func judge(t *testing.T, m *policy.Matcher, line, rule string) policy.Decision {
	t.Helper()
	d := m.Judge(request(t, line))
	if d.Rule != rule || d.Allowed != (rule == policy.RuleRoute) {
		t.Errorf("%s: %v by %q, not by %q", line, d.Allowed, d.Rule, rule)
	}
	return d
}

func onPath(kind policy.MatchType, value string, methods ...string) policy.Match {
	return policy.Match{Path: &policy.PathMatch{Type: kind, Value: value}, Methods: methods}
}

func TestTheEmptyPolicyAllowsNothing(t *testing.T) {
	for _, m := range []*policy.Matcher{matcher(t), {}} {
		judge(t, m, "GET https://github.com/", policy.RuleNoRoute)
		if m.HostListed(host(t, "github.com"), 443) || m.HostListed(policy.Host{}, 443) || m.HostListed(policy.Host{}, 0) {
			t.Error("a host is listed")
		}
		if d := m.Judge(policy.Request{}); d.Allowed {
			t.Error("the empty request is allowed")
		}
	}
}

func TestARouteWithoutMatchesMeansGETAndHEAD(t *testing.T) {
	m := matcher(t, policy.Route{Host: "api.example", Port: 443})
	judge(t, m, "GET https://api.example/any/path", policy.RuleRoute)
	judge(t, m, "HEAD https://api.example/", policy.RuleRoute)
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "get", "GET ", "", "PROPFIND"} {
		r := request(t, "GET https://api.example/")
		r.Method = method
		if d := m.Judge(r); d.Allowed || d.Rule != policy.RuleMethod {
			t.Errorf("%q: %v by %q", method, d.Allowed, d.Rule)
		}
	}
}

func TestHostsAreComparedWhole(t *testing.T) {
	m := matcher(t, policy.Route{Host: "github.com", Port: 443}, policy.Route{Host: "127.0.0.1", Port: 8080, Addresses: loopback})
	judge(t, m, "GET https://GitHub.Com./", policy.RuleRoute)
	judge(t, m, "GET http://0x7f.1:8080/", policy.RuleRoute)
	for _, h := range []string{"notgithub.com", "github.com.evil.invalid", "api.github.com", "com", "1.1.1.1"} {
		judge(t, m, "GET https://"+h+"/", policy.RuleNoRoute)
	}
	judge(t, m, "GET https://github.com:8443/", policy.RulePort)
	judge(t, m, "GET http://github.com/", policy.RulePort)
	judge(t, m, "GET http://127.0.0.1/", policy.RulePort)
}

func TestAWildcardIsOneOrMoreLabels(t *testing.T) {
	m := matcher(t, policy.Route{Host: "*.example.com", Port: 443})
	judge(t, m, "GET https://a.example.com/", policy.RuleRoute)
	judge(t, m, "GET https://a.b.example.com/", policy.RuleRoute)
	for _, h := range []string{"example.com", "aexample.com", "a.example.com.evil.invalid", "com", "127.0.0.1", "[::1]"} {
		judge(t, m, "GET https://"+h+"/", policy.RuleNoRoute)
	}
}

func TestPathsMatchAsInTheGatewayAPI(t *testing.T) {
	for _, c := range []struct {
		kind  policy.MatchType
		value string
		yes   string
		no    string
	}{
		{policy.MatchExact, "/a", "/a", "/a/ /ab /A /a/b /"},
		{policy.MatchPrefix, "/a", "/a /a/ /a/b /a/b/c /a//b", "/ab /A /b/a / /a%2Fb /a;x"},
		{policy.MatchPrefix, "/a/", "/a /a/ /a/b", "/ab /"},
		{policy.MatchPrefix, "/", "/ /a /a/b", ""},
		{policy.MatchRegex, "/v[12]/.*", "/v1/ /v2/x", "/v3/ /x/v1/ /v1 /v10/"},
		{policy.MatchRegex, "/a|/b", "/a /b", "/ab /a/ /x/b /bx"},
		{policy.MatchRegex, "(?i)/A", "/a /A", "/b"},
		{policy.MatchRegex, "/[^:]*", "/a", "/a:b"},
	} {
		m := matcher(t, policy.Route{Host: "h.example", Port: 443, Matches: []policy.Match{onPath(c.kind, c.value)}})
		for _, p := range strings.Fields(c.yes) {
			judge(t, m, "DELETE https://h.example"+p, policy.RuleRoute)
		}
		for _, p := range strings.Fields(c.no) {
			judge(t, m, "DELETE https://h.example"+p, policy.RuleNoMatch)
		}
	}
}

func TestMatchesAreAlternativesAndTheirFieldsAreNot(t *testing.T) {
	m := matcher(t, policy.Route{Host: "h.example", Port: 443, Matches: []policy.Match{
		onPath(policy.MatchPrefix, "/read", "GET"),
		onPath(policy.MatchExact, "/write", "POST", "PUT"),
	}})
	judge(t, m, "GET https://h.example/read/x", policy.RuleRoute)
	judge(t, m, "PUT https://h.example/write", policy.RuleRoute)
	judge(t, m, "POST https://h.example/read", policy.RuleMethod)
	judge(t, m, "GET https://h.example/write", policy.RuleMethod)
	judge(t, m, "HEAD https://h.example/read", policy.RuleMethod)
	judge(t, m, "GET https://h.example/other", policy.RuleNoMatch)
}

func TestAHeaderMatchesByItsOneValue(t *testing.T) {
	m := matcher(t, policy.Route{Host: "h.example", Port: 443, Matches: []policy.Match{{Headers: []policy.HeaderMatch{
		{Type: policy.MatchExact, Name: "x-api-version", Value: "2"},
		{Type: policy.MatchRegex, Name: "accept", Value: "application/.*"},
	}}}})
	for _, c := range []struct {
		rule   string
		header http.Header
	}{
		{policy.RuleRoute, http.Header{"X-Api-Version": {"2"}, "Accept": {"application/json"}}},
		{policy.RuleNoMatch, http.Header{"X-Api-Version": {"2"}}},
		{policy.RuleNoMatch, http.Header{"X-Api-Version": {"22"}, "Accept": {"application/json"}}},
		{policy.RuleNoMatch, http.Header{"X-Api-Version": {"2", "3"}, "Accept": {"application/json"}}},
		{policy.RuleNoMatch, http.Header{"X-Api-Version": {"2"}, "Accept": {"text/html, application/json"}}},
		{policy.RuleNoMatch, nil},
	} {
		r := request(t, "POST https://h.example/")
		r.Header = c.header
		if d := m.Judge(r); d.Rule != c.rule {
			t.Errorf("%v: %q", c.header, d.Rule)
		}
	}
}

func TestTheFirstRouteThatMatchesWins(t *testing.T) {
	m := matcher(t,
		policy.Route{Host: "h.example", Port: 443, Matches: []policy.Match{onPath(policy.MatchPrefix, "/a", "GET")}, Credentials: []string{"cookie"}},
		policy.Route{Host: "*.example", Port: 443},
		policy.Route{Host: "h.example", Port: 443, Matches: []policy.Match{onPath(policy.MatchPrefix, "/a", "POST")}},
	)
	if d := judge(t, m, "GET https://h.example/a", policy.RuleRoute); len(d.Route.Credentials) != 1 || d.RouteName != "h.example:443" {
		t.Errorf("the route is %+v, %q", d.Route, d.RouteName)
	}
	if d := judge(t, m, "GET https://h.example/b", policy.RuleRoute); d.RouteName != "*.example:443" {
		t.Errorf("the route is %q", d.RouteName)
	}
	if d := judge(t, m, "POST https://h.example/a", policy.RuleRoute); d.Route.Matches[0].Methods[0] != "POST" {
		t.Errorf("the route is %+v", d.Route)
	}
}

func TestACredentialNeedsTLS(t *testing.T) {
	auth := &policy.Auth{Scheme: "Bearer", TokenName: "env:T"}
	m := matcher(t,
		policy.Route{Host: "h.example", Port: 80, Auth: auth},
		policy.Route{Host: "h.example", Port: 80}, // must not take over what the first one refuses
		policy.Route{Host: "h.example", Port: 443, Auth: auth},
	)
	judge(t, m, "GET http://h.example/", policy.RulePlainHTTP)
	judge(t, m, "GET https://h.example/", policy.RuleRoute)
	judge(t, m, "GET http://h.example:443/", policy.RulePlainHTTP)
}

func TestAFieldCannotChangeTheMethod(t *testing.T) {
	m := matcher(t,
		policy.Route{Host: "get.example", Port: 443},
		policy.Route{Host: "any.example", Port: 443, Matches: []policy.Match{{}}},
		policy.Route{Host: "listed.example", Port: 443, Matches: []policy.Match{{Methods: []string{"POST"}, Headers: []policy.HeaderMatch{
			{Type: policy.MatchExact, Name: "x-http-method-override", Value: "GET"}}}}},
	)
	for _, field := range []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X_http_method_override"} {
		for h, rule := range map[string]string{"GET https://get.example/": policy.RuleMethodOverride, "GET https://any.example/": policy.RuleRoute} {
			r := request(t, h)
			r.Header = http.Header{field: {"DELETE"}}
			if d := m.Judge(r); d.Rule != rule {
				t.Errorf("%s with %s: %q", h, field, d.Rule)
			}
		}
	}
	r := request(t, "POST https://listed.example/")
	r.Header = http.Header{"X-Http-Method-Override": {"GET"}}
	if d := m.Judge(r); !d.Allowed {
		t.Errorf("a listed override: %q", d.Rule)
	}
}

func TestWhatIsNotCanonicalIsNotJudged(t *testing.T) {
	m := matcher(t, policy.Route{Host: "h.example", Port: 443, Matches: []policy.Match{{}}})
	for name, change := range map[string]func(*policy.Request){
		"path":        func(r *policy.Request) { r.Path = "/%2e%2e/x" },
		"other path":  func(r *policy.Request) { r.Path = "/%61" },
		"empty path":  func(r *policy.Request) { r.Path = "" },
		"scheme":      func(r *policy.Request) { r.Scheme = "ftp" },
		"no scheme":   func(r *policy.Request) { r.Scheme = "" },
		"no host":     func(r *policy.Request) { r.Host = policy.Host{} },
		"no port":     func(r *policy.Request) { r.Port = 0 },
		"query":       func(r *policy.Request) { r.Path = "/a?b" },
		"upper https": func(r *policy.Request) { r.Scheme = "HTTPS" },
	} {
		r := request(t, "GET https://h.example/")
		change(&r)
		if d := m.Judge(r); d.Allowed || d.Rule != policy.RuleBadRequest {
			t.Errorf("%s: %v by %q", name, d.Allowed, d.Rule)
		}
	}
}

func TestConnectListsHostsWithTheirPorts(t *testing.T) {
	m := matcher(t, policy.Route{Host: "h.example", Port: 8443}, policy.Route{Host: "::1", Port: 443, Addresses: loopback})
	for target, rule := range map[string]string{
		"h.example:8443": policy.RuleRoute,
		"h.example:443":  policy.RulePort,
		"h.example:22":   policy.RulePort,
		"x.example:8443": policy.RuleNoRoute,
		"[::1]:443":      policy.RuleRoute,
	} {
		h, port, err := policy.ParseAuthority(target, 0)
		if err != nil {
			t.Fatal(err)
		}
		d := m.Connect(h, port)
		if d.Rule != rule || d.Allowed != (rule == policy.RuleRoute) || d.Allowed != m.HostListed(h, port) {
			t.Errorf("%s: %v by %q", target, d.Allowed, d.Rule)
		}
		if d.Allowed && d.RouteName != target {
			t.Errorf("%s: the route is %q", target, d.RouteName)
		}
	}
}

func TestARefusalSaysWhatWouldAllowIt(t *testing.T) {
	m := matcher(t, policy.Route{Host: "h.example", Port: 443})
	for line, want := range map[string]string{
		"GET https://new.example/a":    "egress:\n  routes:\n    - host: \"new.example\"\n",
		"GET http://new.example/a":     "egress:\n  routes:\n    - host: \"new.example\"\n      port: 80\n",
		"POST https://h.example/a'%22": "egress:\n  routes:\n    - host: \"h.example\"\n      matches:\n        - methods: [\"POST\"]\n          path: {type: Exact, value: \"/a'%22\"}\n",
	} {
		if d := m.Judge(request(t, line)); d.Hint != want {
			t.Errorf("%s:\n%s", line, d.Hint)
		}
	}
	r := request(t, "GET https://h.example/"+strings.Repeat("a", 10_000))
	r.Method = "X\nevil: true"
	if d := m.Judge(r); len(d.Hint) > 1000 || strings.Contains(d.Hint, "evil") {
		t.Errorf("the hint repeats what is no method:\n%s", d.Hint)
	}
}

func FuzzJudge(f *testing.F) {
	m, err := policy.NewMatcher(policy.Egress{Routes: []policy.Route{
		{Host: "a.example", Port: 443, Matches: []policy.Match{onPath(policy.MatchPrefix, "/x", "POST")}},
		{Host: "*.b.example", Port: 443},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("POST", "a.example", "/x/y")
	f.Add("GET", "c.b.example", "/")
	f.Add("GET", "b.example", "/x/../y")
	f.Fuzz(func(t *testing.T, method, rawHost, rawPath string) {
		h, err := policy.CanonicalHost(rawHost)
		if err != nil {
			return
		}
		d := m.Judge(policy.Request{Method: method, Scheme: "https", Host: h, Port: 443, Path: rawPath})
		post := h.String() == "a.example" && method == "POST" && (rawPath == "/x" || strings.HasPrefix(rawPath, "/x/"))
		get := strings.HasSuffix(h.String(), ".b.example") && (method == "GET" || method == "HEAD") && strings.HasPrefix(rawPath, "/")
		if d.Allowed && !post && !get {
			t.Fatalf("%s %s%s was allowed", method, h, rawPath)
		}
		if d.Allowed && strings.Contains(rawPath, "/../") {
			t.Fatalf("%q was allowed", rawPath)
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	routes := make([]policy.Route, 100)
	for i := range routes {
		routes[i] = policy.Route{Host: "host" + strings.Repeat("x", i%20) + ".example", Port: 443, Matches: []policy.Match{onPath(policy.MatchRegex, "/v[0-9]+/.*", "GET")}}
	}
	m := matcher(b, append(routes, policy.Route{Host: "last.example", Port: 443})...)
	r := request(b, "GET https://last.example/v1/messages/abc")
	r.Header = http.Header{"Accept": {"*/*"}, "User-Agent": {"x"}}
	b.ReportAllocs()
	for b.Loop() {
		if !m.Judge(r).Allowed {
			b.Fatal("refused")
		}
	}
}
