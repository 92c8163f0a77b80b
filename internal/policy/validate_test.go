package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/policy"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func valid() policy.Policy {
	return policy.Policy{
		Epoch: 1, Bottle: "dev", Isolation: policy.IsolationGVisor,
		Env: []policy.EnvVar{{Name: "A", Value: "1"}, {Name: "TOKEN", Value: "hunter2", Secret: true}},
		Egress: policy.Egress{Routes: []policy.Route{{
			Host: "api.example.com", Port: 443,
			Matches:     []policy.Match{onPath(policy.MatchPrefix, "/v1", "GET", "POST")},
			Auth:        &policy.Auth{Scheme: "Bearer", TokenName: "env:T"},
			Credentials: []string{"cookie", "?key"},
			Addresses:   loopback,
			ConnectTo:   "127.0.0.1:8443",
		}}},
	}
}

func TestAValidPolicySurvivesItsJSON(t *testing.T) {
	p := valid()
	p.Limits = p.Limits.WithDefaults()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var again policy.Policy
	if err := json.Unmarshal(b, &again); err != nil || !reflect.DeepEqual(p, again) {
		t.Errorf("%v: it became %s", err, b)
	}
}

func TestEachFaultIsFoundAtItsPlace(t *testing.T) {
	route := func(change func(*policy.Route)) func(*policy.Policy) {
		return func(p *policy.Policy) { change(&p.Egress.Routes[0]) }
	}
	match := func(change func(*policy.Match)) func(*policy.Policy) {
		return route(func(r *policy.Route) { change(&r.Matches[0]) })
	}
	const at = "egress.routes[0]."
	for _, c := range []struct {
		field  string
		change func(*policy.Policy)
	}{
		{"epoch", func(p *policy.Policy) { p.Epoch = 0 }},
		{"isolation", func(p *policy.Policy) { p.Isolation = "chroot" }},
		{"isolation", func(p *policy.Policy) { p.Isolation = "" }},
		{"image.rootfs", func(p *policy.Policy) { p.Image.Rootfs = "rel" }},
		{"image.rootfs", func(p *policy.Policy) { p.Image.Rootfs = "/a/../b" }},
		{"env.A-B", func(p *policy.Policy) { p.Env = []policy.EnvVar{{Name: "A-B"}} }},
		{"env.", func(p *policy.Policy) { p.Env = []policy.EnvVar{{Name: ""}} }},
		{"env.1A", func(p *policy.Policy) { p.Env = []policy.EnvVar{{Name: "1A"}} }},
		{"env.A", func(p *policy.Policy) { p.Env[0].Value = "a\x00b" }},
		{"env.A", func(p *policy.Policy) { p.Env[1].Name = "A" }},
		{"limits.memory", func(p *policy.Policy) { p.Limits.MemoryBytes = 1 << 20 }},
		{"limits.memory", func(p *policy.Policy) { p.Limits.MemoryBytes = -1 }},
		{"limits.cpus", func(p *policy.Policy) { p.Limits.CPUs = -1 }},
		{"limits.pids", func(p *policy.Policy) { p.Limits.PIDs = 1 }},
		{"limits.disk", func(p *policy.Policy) { p.Limits.DiskBytes = 1 }},
		{"limits.timeout", func(p *policy.Policy) { p.Limits.Timeout = -time.Hour }},
		{"limits.timeout", func(p *policy.Policy) { p.Limits.Timeout = time.Nanosecond }},
		{"limits.timeout", func(p *policy.Policy) { p.Limits.Timeout = 1000 * time.Hour }},
		{at + "host", route(func(r *policy.Route) { r.Host = "" })},
		{at + "host", route(func(r *policy.Route) { r.Host = "*" })},
		{at + "host", route(func(r *policy.Route) { r.Host = "*.com" })},
		{at + "host", route(func(r *policy.Route) { r.Host = "*.github.io" })},
		{at + "host", route(func(r *policy.Route) { r.Host = "*.127.0.0.1" })},
		{at + "host", route(func(r *policy.Route) { r.Host = "a.*.com" })},
		{at + "host", route(func(r *policy.Route) { r.Host = "API.example.com" })},
		{at + "host", route(func(r *policy.Route) { r.Host = "127.1" })},
		{at + "host", route(func(r *policy.Route) { r.Host, r.ConnectTo = "10.0.0.1", "" })},
		{at + "host", route(func(r *policy.Route) { r.Host, r.ConnectTo = "169.254.169.254", "" })},
		{at + "port", route(func(r *policy.Route) { r.Port = 0 })},
		{at + "matches", route(func(r *policy.Route) { r.Matches = make([]policy.Match, 65) })},
		{at + "matches[0].methods[1]", match(func(m *policy.Match) { m.Methods[1] = "post" })},
		{at + "matches[0].methods[0]", match(func(m *policy.Match) { m.Methods[0] = "" })},
		{at + "matches[0].path.type", match(func(m *policy.Match) { m.Path.Type = "Glob" })},
		{at + "matches[0].path.value", match(func(m *policy.Match) { m.Path.Value = "" })},
		{at + "matches[0].path.value", match(func(m *policy.Match) { m.Path.Value = "v1" })},
		{at + "matches[0].path.value", match(func(m *policy.Match) { m.Path.Value = "/%61" })},
		{at + "matches[0].path.value", match(func(m *policy.Match) { m.Path.Value = "/a/../b" })},
		{at + "matches[0].path.value", match(func(m *policy.Match) { *m.Path = policy.PathMatch{Type: policy.MatchRegex, Value: "/("} })},
		{at + "matches[0].path.value", match(func(m *policy.Match) { *m.Path = policy.PathMatch{Type: policy.MatchRegex, Value: ")|(?:"} })},
		{at + "matches[0].path.value", match(func(m *policy.Match) { m.Path.Value = "/" + strings.Repeat("a", 2000) })},
		{at + "matches[0].headers[0].name", match(func(m *policy.Match) {
			m.Headers = []policy.HeaderMatch{{Type: policy.MatchExact, Name: "X-A"}}
		})},
		{at + "matches[0].headers[0].name", match(func(m *policy.Match) {
			m.Headers = []policy.HeaderMatch{{Type: policy.MatchExact, Name: "host"}}
		})},
		{at + "matches[0].headers[0].type", match(func(m *policy.Match) {
			m.Headers = []policy.HeaderMatch{{Type: policy.MatchPrefix, Name: "a"}}
		})},
		{at + "auth.scheme", route(func(r *policy.Route) { r.Auth.Scheme = "Bearer x" })},
		{at + "auth.header", route(func(r *policy.Route) { r.Auth.Header = "host" })},
		{at + "auth.header", route(func(r *policy.Route) { r.Auth.Header = "x y" })},
		{at + "auth.token_ref", route(func(r *policy.Route) { r.Auth.TokenName = "" })},
		{at + "credentials", route(func(r *policy.Route) { r.Credentials = []string{"authorization"} })},
		{at + "credentials[0]", route(func(r *policy.Route) { r.Credentials = []string{"Cookie"} })},
		{at + "credentials[0]", route(func(r *policy.Route) { r.Credentials = []string{"content-length"} })},
		{at + "credentials[0]", route(func(r *policy.Route) { r.Credentials = []string{"?"} })},
		{at + "addresses[1]", route(func(r *policy.Route) { r.Addresses = []netip.Prefix{loopback[0], netip.MustParsePrefix("0.0.0.0/0")} })},
		{at + "addresses[1]", route(func(r *policy.Route) { r.Addresses = []netip.Prefix{loopback[0], netip.MustParsePrefix("::/0")} })},
		{at + "addresses[1]", route(func(r *policy.Route) { r.Addresses = []netip.Prefix{loopback[0], netip.MustParsePrefix("10.1.2.3/8")} })},
		{at + "addresses[1]", route(func(r *policy.Route) {
			r.Addresses = []netip.Prefix{loopback[0], netip.MustParsePrefix("169.254.169.254/32")}
		})},
		{at + "addresses[1]", route(func(r *policy.Route) { r.Addresses = []netip.Prefix{loopback[0], {}} })},
		{at + "addresses[1]", route(func(r *policy.Route) {
			r.Addresses = []netip.Prefix{loopback[0], netip.MustParsePrefix("::ffff:127.0.0.1/128")}
		})},
		{at + "connect_to", route(func(r *policy.Route) { r.ConnectTo = "localhost" })},
		{at + "connect_to", route(func(r *policy.Route) { r.ConnectTo = "127.1:80" })},
		{at + "connect_to", route(func(r *policy.Route) { r.ConnectTo = "10.0.0.1:80" })},
		{at + "connect_to", route(func(r *policy.Route) { r.ConnectTo = "169.254.169.254:80" })},
		{"egress.routes", func(p *policy.Policy) { p.Egress.Routes = make([]policy.Route, 2000) }},
	} {
		p := valid()
		c.change(&p)
		var faults policy.Faults
		if err := p.Validate(); !errors.As(err, &faults) || len(faults) != 1 || faults[0].Field != c.field {
			t.Errorf("%s: %v", c.field, err)
		}
	}
}

func TestAllFaultsAreNamedAtOnce(t *testing.T) {
	p := valid()
	p.Isolation, p.Egress.Routes[0].Port = "x", 0
	err := p.Validate()
	if err == nil || !strings.Contains(err.Error(), "isolation") || !strings.Contains(err.Error(), "egress.routes[0].port") {
		t.Errorf("the error is %v", err)
	}
	if _, err := policy.NewMatcher(p.Egress); err == nil {
		t.Error("a broken policy gave a matcher")
	}
}

func TestPrivateZonesMayHaveWildcards(t *testing.T) {
	for raw, want := range map[string]string{"*.Internal": "*.internal", "*.s.corp": "*.s.corp", "*.Example.co.uk.": "*.example.co.uk"} {
		if got, err := policy.CanonicalRouteHost(raw); err != nil || got != want {
			t.Errorf("%q became %q, %v", raw, got, err)
		}
	}
}

func TestDefaultsFillWhatIsZero(t *testing.T) {
	l := policy.Limits{PIDs: 77, BestEffort: true}.WithDefaults()
	want := policy.Limits{MemoryBytes: 4 << 30, CPUs: 2, PIDs: 77, DiskBytes: 8 << 30, Timeout: time.Hour, Requests: 100_000, EgressBytes: 4 << 30, Tokens: 1_000_000_000, BestEffort: true}
	if l != want {
		t.Errorf("the limits are %+v", l)
	}
}

func TestPrintingAPolicyShowsNoSecret(t *testing.T) {
	p := valid()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if s := fmt.Sprintf(verb, p); strings.Contains(s, "hunter2") || strings.Contains(s, "68756e74657232") {
			t.Errorf("%s printed %s", verb, s)
		}
	}
	if s := fmt.Sprint(p.Env[0]); s != `A="1"` {
		t.Errorf("a literal prints as %s", s)
	}
}
