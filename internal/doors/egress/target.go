package egress

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
)

// The ports that a target without one means.
const (
	httpPort  = 80
	httpsPort = 443
)

// authority is a canonical host with its port.
type authority struct {
	host policy.Host
	port uint16
}

// String gives "host:port".
func (a authority) String() string { return a.host.Authority(a.port) }

func parseAuthority(raw string, defaultPort uint16) (authority, error) {
	host, port, err := policy.ParseAuthority(raw, defaultPort)
	return authority{host, port}, err
}

// target is where a request wants to go, in canonical form. It is what is judged
// and what is sent.
type target struct {
	authority
	scheme      string // "http" or "https"
	path, query string
}

// proxyTarget reads the absolute form, which a client uses towards a proxy (RFC
// 9112, section 3.2.2). A Host field that differs is refused rather than ignored.
func proxyTarget(h head) (target, *refusal) {
	scheme, rest, found := strings.Cut(h.target, "://")
	if !found {
		return target{}, malformed(errors.New("the target is neither absolute nor an authority"))
	}
	if !strings.EqualFold(scheme, "http") {
		return target{}, refuse(http.StatusBadRequest, RuleScheme, "a proxy takes absolute http targets; https goes through CONNECT")
	}
	raw, path := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		raw, path = rest[:end], rest[end:]
	}
	a, err := parseAuthority(raw, httpPort)
	if err != nil {
		return target{}, malformed(err)
	}
	t := target{authority: a, scheme: "http"}
	if ref := checkHost(h, a, httpPort); ref != nil {
		return t, ref
	}
	return t, t.setPath(path)
}

// tunnelTarget reads the origin form of a request in a tunnel to a.
func tunnelTarget(h head, a authority) (target, *refusal) {
	t := target{authority: a, scheme: "https"}
	switch {
	case h.method == http.MethodConnect:
		return t, refuse(http.StatusMethodNotAllowed, RuleMethod, "there is no CONNECT within a tunnel")
	case !strings.HasPrefix(h.target, "/"):
		return t, malformed(errors.New("the target in a tunnel is no path"))
	}
	if ref := checkHost(h, a, httpsPort); ref != nil {
		return t, ref
	}
	return t, t.setPath(h.target)
}

// checkHost compares the Host field with the authority the request is for.
func checkHost(h head, a authority, defaultPort uint16) *refusal {
	if h.hosts == 0 || mutation.On(mutation.EgressAnyHost) {
		return nil // HTTP/1.0
	}
	named, err := parseAuthority(h.host, defaultPort)
	if err != nil {
		return malformed(err)
	}
	if named != a {
		return refuse(http.StatusMisdirectedRequest, RuleHostMismatch, fmt.Sprintf("the Host field does not name %s", a))
	}
	return nil
}

// setPath takes path and query as they stood on the wire.
func (t *target) setPath(raw string) *refusal {
	if strings.Contains(raw, "#") {
		return malformed(errors.New("the target has a fragment"))
	}
	path, query, _ := strings.Cut(raw, "?")
	canonical, err := policy.CanonicalPath(path)
	if err != nil {
		return malformed(err)
	}
	t.path, t.query = canonical, query
	return nil
}

// url gives the target as net/http sends it. It fails where net/http would write
// another path than the one that was judged.
func (t target) url() (*url.URL, error) {
	path, err := url.PathUnescape(t.path)
	if err != nil {
		return nil, err
	}
	u := &url.URL{Scheme: t.scheme, Host: t.String(), Path: path, RawPath: t.path, RawQuery: t.query}
	if u.EscapedPath() != t.path {
		return nil, fmt.Errorf("spelling path %.80q: it would be sent as %.80q", t.path, u.EscapedPath())
	}
	return u, nil
}

// hostField gives the Host field for the upstream: without the scheme's own port,
// as clients write it.
func (t target) hostField() string {
	full := t.String()
	if t.scheme == "http" && t.port == httpPort || t.scheme == "https" && t.port == httpsPort {
		return full[:strings.LastIndexByte(full, ':')]
	}
	return full
}
