package policy

import (
	"fmt"
	"net/textproto"
	"slices"
	"strings"
)

// DefaultAuthHeader is the field that carries an injected credential where the
// route names none.
const DefaultAuthHeader = "authorization"

// framing are fields that carry no credential; one that is put there would
// change what the request is, or to whom it goes.
var framing = []string{"host", "connection", "content-length", "content-type", "transfer-encoding", "upgrade", "te", "trailer", "expect"}

// validateCredentials checks what is injected and what of the agent's own may
// pass. One field can't be both.
func (r *Route) validateCredentials(at string, f *Faults) {
	for i, c := range r.Credentials {
		name := strings.TrimPrefix(c, "?")
		if !isToken(name) || c != strings.ToLower(c) || slices.Contains(framing, c) {
			f.addf(fmt.Sprintf("%s.credentials[%d]", at, i), "%.80q is neither a header field in lower case nor \"?\" and a parameter", c)
		}
	}
	if r.Auth == nil {
		return
	}
	if s := r.Auth.Scheme; s != "" && !isToken(s) {
		f.addf(at+".auth.scheme", "%.80q is not an authentication scheme", s)
	}
	if h := r.Auth.header(); !isToken(h) || h != strings.ToLower(h) || slices.Contains(framing, h) {
		f.addf(at+".auth.header", "%.80q is not a header field in lower case that can carry a credential", h)
	}
	if r.Auth.TokenName == "" {
		f.addf(at+".auth.token_ref", "it is missing")
	}
	if slices.Contains(r.Credentials, r.Auth.header()) {
		f.addf(at+".credentials", "%q is the field that auth sets, the agent's own can't pass as well", r.Auth.header())
	}
}

func (a *Auth) header() string {
	if a.Header == "" {
		return DefaultAuthHeader
	}
	return a.Header
}

// isToken tells whether s is a token (RFC 9110 §5.6.2): a method, a scheme or
// the name of a field.
func isToken(s string) bool {
	return s != "" && len(s) <= maxValue && !strings.ContainsFunc(s, func(r rune) bool {
		alphanumeric := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

func canonicalHeader(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }
