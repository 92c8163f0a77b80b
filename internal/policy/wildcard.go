package policy

import (
	"fmt"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// CanonicalRouteHost gives the one spelling of a route's host: what
// CanonicalHost gives, or that behind "*.". A wildcard over a public suffix
// ("*.com", "*.github.io") is refused, because anybody can register a name
// there.
func CanonicalRouteHost(raw string) (string, error) {
	base, wildcard := strings.CutPrefix(raw, "*.")
	host, err := CanonicalHost(base)
	if err != nil {
		return "", err
	}
	if !wildcard {
		return host.String(), nil
	}
	if _, isAddr := host.Addr(); isAddr {
		return "", fmt.Errorf("reading host %.80q: an address has no names below it", raw)
	}
	if isPublicSuffix(host.name) {
		return "", fmt.Errorf("reading host %.80q: anybody can register names below %q", raw, host.name)
	}
	return "*." + host.name, nil
}

// isPublicSuffix asks the list of publicsuffix.org. A single label that is not
// on it ("internal", "corp") is a private zone, not a public suffix.
func isPublicSuffix(name string) bool {
	suffix, listed := publicsuffix.PublicSuffix(name)
	return suffix == name && (listed || strings.Contains(name, "."))
}

// parseRouteHost takes a canonical route's host apart: a host, or the suffix of
// a wildcard with its leading dot.
func parseRouteHost(s string) (host Host, suffix string, err error) {
	canonical, err := CanonicalRouteHost(s)
	if err != nil {
		return Host{}, "", err
	}
	if canonical != s {
		return Host{}, "", fmt.Errorf("reading host %.80q: its canonical spelling is %q", s, canonical)
	}
	if base, wildcard := strings.CutPrefix(s, "*"); wildcard {
		return Host{}, base, nil
	}
	host, err = CanonicalHost(s)
	return host, "", err
}
