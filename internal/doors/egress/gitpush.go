package egress

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/bot-bottle/action/internal/mutation"
)

// receivePack is the service that takes pushes (gitprotocol-http(5)).
const receivePack = "git-receive-pack"

// refuseGitPush refuses to let a push go past the git-gate: here nothing looks into
// its objects, and a route may add a token that can write. What a route lists is no
// matter. Reading by HTTPS is.
func (x *exchange) refuseGitPush() *refusal {
	if !isGitPush(x.in.Method, x.target) || mutation.On(mutation.EgressGitPush) {
		return nil
	}
	ref := refuse(http.StatusForbidden, RuleGitPush, "a push goes through the git-gate, which scans it; by HTTPS none passes")
	ref.hint = "git-gate:\n  repos:\n    NAME:\n      url: ssh://git@" + x.target.host.String() + "/OWNER/NAME.git"
	return ref
}

// isGitPush tells whether it is one of the two requests of which a push over HTTP
// consists, in any spelling that a server could take for it.
func isGitPush(method string, t target) bool {
	path, query := unescaped(t.path), unescaped(t.query)
	reads := method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
	return !reads && strings.Contains(path, receivePack) ||
		strings.Contains(path, "info/refs") && strings.Contains(query, receivePack)
}

// unescaped undoes percent-encoding, twice as some servers do, and case.
func unescaped(s string) string {
	for range 2 {
		plain, err := url.PathUnescape(s)
		if err != nil {
			break
		}
		s = plain
	}
	return strings.ToLower(s)
}
