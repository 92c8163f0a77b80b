package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// DefaultPort is the port of a route that names none: https.
const DefaultPort = 443

// Bounds on what a policy may hold. They are far above what bottles need, and
// keep a judgement in microseconds.
const (
	maxRoutes  = 1024
	maxMatches = 64 // of one route, as in the Gateway API
	maxValue   = 1024
	maxMethod  = 32
)

// Fault is one thing that is wrong in a policy.
type Fault struct {
	// Field names the place as a bottle does: "egress.routes[0].matches[1].path.value".
	Field string
	Err   error // never nil
}

// Error gives the place and the cause.
func (f Fault) Error() string { return f.Field + ": " + f.Err.Error() }

// Unwrap gives the cause.
func (f Fault) Unwrap() error { return f.Err }

// Faults is everything that is wrong in a policy; it is what the Validate methods
// return, unless they return nil.
type Faults []Fault

// Error gives one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single faults.
func (f Faults) Unwrap() []error {
	errs := make([]error, len(f))
	for i, fault := range f {
		errs[i] = fault
	}
	return errs
}

func (f *Faults) addf(field, format string, args ...any) {
	*f = append(*f, Fault{field, fmt.Errorf(format, args...)})
}

func (f *Faults) add(field string, err error) {
	if err != nil {
		*f = append(*f, Fault{field, err})
	}
}

func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// Validate checks that p is complete and canonical. The error is of type Faults
// and names everything that is wrong. Limits may be zero.
func (p Policy) Validate() error {
	var f Faults
	if p.Epoch == 0 {
		f.addf("epoch", "a policy's first epoch is 1")
	}
	if !slices.Contains([]Isolation{IsolationVM, IsolationGVisor, IsolationContainer}, p.Isolation) {
		f.addf("isolation", "%q is none of vm, gvisor, container", p.Isolation)
	}
	p.Image.validate(&f)
	p.validateEnv(&f)
	p.Egress.validate(&f)
	p.Limits.validate(&f)
	return f.err()
}

func (p Policy) validateEnv(f *Faults) {
	for i, v := range p.Env {
		field := "env." + v.Name
		f.add(field, CheckEnvName(v.Name))
		if strings.ContainsRune(v.Value, 0) {
			f.addf(field, "the value has a NUL byte")
		}
		if i > 0 && p.Env[i-1].Name >= v.Name {
			f.addf(field, "variables are not sorted, or there are two of one name")
		}
	}
}

// CheckEnvName accepts the names that a shell can use: letters, digits and
// underscores, not starting with a digit (POSIX.1 §8.1, and lower case).
func CheckEnvName(name string) error {
	notName := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_')
	}
	if name == "" || len(name) > maxValue || '0' <= name[0] && name[0] <= '9' || strings.ContainsFunc(name, notName) {
		return fmt.Errorf("%.80q is not the name of an environment variable", name)
	}
	return nil
}

// Validate checks the routes. The error is of type Faults.
func (e Egress) Validate() error {
	var f Faults
	e.validate(&f)
	return f.err()
}

func (e Egress) validate(f *Faults) {
	if len(e.Routes) > maxRoutes {
		f.addf("egress.routes", "there are more than %d", maxRoutes)
		return
	}
	for i := range e.Routes {
		e.Routes[i].validate(fmt.Sprintf("egress.routes[%d]", i), f)
	}
}

func (r *Route) validate(at string, f *Faults) {
	r.validateHost(at, f)
	if r.Port == 0 {
		f.addf(at+".port", "a port is from 1 to 65535")
	}
	if len(r.Matches) > maxMatches {
		f.addf(at+".matches", "there are more than %d", maxMatches)
		return
	}
	for i := range r.Matches {
		r.Matches[i].validate(fmt.Sprintf("%s.matches[%d]", at, i), f)
	}
	r.validateCredentials(at, f)
	for i, p := range r.Addresses {
		f.add(fmt.Sprintf("%s.addresses[%d]", at, i), CheckAddresses(p))
	}
	r.validateConnectTo(at, f)
	if r.Model != nil {
		r.Model.validate(at+".model", f)
	}
}

func (r *Route) validateHost(at string, f *Faults) {
	host, _, err := parseRouteHost(r.Host)
	if err != nil {
		f.add(at+".host", err)
		return
	}
	if addr, ok := host.Addr(); ok && r.ConnectTo == "" {
		f.add(at+".host", AddressAllowed(r, addr))
	}
}

// Name gives "host:port" as the policy writes it, for decision lines and reports.
func (r *Route) Name() string {
	if strings.Contains(r.Host, ":") {
		return fmt.Sprintf("[%s]:%d", r.Host, r.Port)
	}
	return fmt.Sprintf("%s:%d", r.Host, r.Port)
}

func (r *Route) validateConnectTo(at string, f *Faults) {
	if r.ConnectTo == "" {
		return
	}
	host, port, err := ParseAuthority(r.ConnectTo, 0)
	if err != nil {
		f.add(at+".connect_to", err)
		return
	}
	if canonical := host.Authority(port); canonical != r.ConnectTo {
		f.addf(at+".connect_to", "write it as %q", canonical)
	}
	if addr, ok := host.Addr(); ok {
		f.add(at+".connect_to", AddressAllowed(r, addr))
	}
}

// CheckAddresses accepts a range that a route may open: without bits behind its
// mask, no wider than the widest special-purpose range, and not of those that no
// policy can allow.
func CheckAddresses(p netip.Prefix) error {
	switch {
	case !p.IsValid() || p.Addr().Is4In6() || p.Addr().Zone() != "":
		return errors.New("it is not a range of addresses such as 10.1.2.0/24")
	case p != p.Masked():
		return fmt.Errorf("%q has bits behind its mask, write %q", p, p.Masked())
	case p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 7:
		return fmt.Errorf("%q holds more than any private network", p)
	}
	for _, c := range never {
		if c.prefix.Bits() <= p.Bits() && c.prefix.Contains(p.Addr()) {
			return fmt.Errorf("allowing %q: %w, it is %s", p, ErrNever, c.name)
		}
	}
	return nil
}

func (m *Match) validate(at string, f *Faults) {
	for i, method := range m.Methods {
		if !isToken(method) || len(method) > maxMethod || method != strings.ToUpper(method) {
			f.addf(fmt.Sprintf("%s.methods[%d]", at, i), "%.80q is not an upper-case method", method)
		}
	}
	if m.Path != nil {
		m.Path.validate(at+".path", f)
	}
	for i, h := range m.Headers {
		h.validate(fmt.Sprintf("%s.headers[%d]", at, i), f)
	}
}

func (p *PathMatch) validate(at string, f *Faults) {
	validateValue(at, p.Type, p.Value, []MatchType{MatchExact, MatchPrefix, MatchRegex}, f)
	if p.Type != MatchExact && p.Type != MatchPrefix {
		return
	}
	canonical, err := CanonicalPath(p.Value)
	switch {
	case p.Value == "":
		f.addf(at+".value", "a path starts with a slash")
	case err != nil:
		f.add(at+".value", err)
	case canonical != p.Value:
		f.addf(at+".value", "requests have it as %q, write it so", canonical)
	}
}

func (h HeaderMatch) validate(at string, f *Faults) {
	validateValue(at, h.Type, h.Value, []MatchType{MatchExact, MatchRegex}, f)
	if !isToken(h.Name) || h.Name != strings.ToLower(h.Name) {
		f.addf(at+".name", "%.80q is not the name of a header field in lower case", h.Name)
	}
	if h.Name == "host" {
		f.addf(at+".name", "the host is the route's own")
	}
}

func validateValue(at string, t MatchType, value string, types []MatchType, f *Faults) {
	if !slices.Contains(types, t) {
		f.addf(at+".type", "%.80q is none of %v", t, types)
	}
	if len(value) > maxValue {
		f.addf(at+".value", "it has more than %d bytes", maxValue)
	} else if _, err := compileRegex(value); t == MatchRegex && err != nil {
		f.add(at+".value", err)
	}
}
