package egress

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
	"golang.org/x/net/http/httpguts"
)

// credentialFields are the header fields in which servers take credentials, in
// lower case. An agent that could set one would put data into an account of his
// own on a listed host.
var credentialFields = map[string]bool{
	"authorization":                  true,
	"proxy-authorization":            true,
	"cookie":                         true,
	"cookie2":                        true,
	"api-key":                        true, // Azure
	"apikey":                         true,
	"x-api-key":                      true, // Anthropic, AWS API Gateway
	"x-apikey":                       true,
	"x-goog-api-key":                 true,
	"x-goog-iam-authorization-token": true,
	"ocp-apim-subscription-key":      true, // Azure API Management
	"x-functions-key":                true, // Azure Functions
	"x-amz-security-token":           true,
	"x-access-token":                 true,
	"x-auth-key":                     true, // Cloudflare
	"x-auth-token":                   true, // OpenStack
	"x-authorization":                true,
	"x-session-token":                true,
	"x-vault-token":                  true,
	"private-token":                  true, // GitLab
	"job-token":                      true, // GitLab
	"deploy-token":                   true, // GitLab
	"x-gitlab-token":                 true,
	"x-gitea-token":                  true,
	"x-shopify-access-token":         true,
	"dd-api-key":                     true, // Datadog
	"dd-application-key":             true,
	"circle-token":                   true,
	"travis-token":                   true,
}

// credentialParameters are the same in a query.
var credentialParameters = map[string]bool{
	"key":                  true,
	"api_key":              true,
	"apikey":               true,
	"access_key":           true,
	"access_token":         true,
	"accesstoken":          true,
	"auth_token":           true,
	"authtoken":            true,
	"bearer_token":         true,
	"client_secret":        true,
	"id_token":             true,
	"oauth_token":          true,
	"private_token":        true,
	"job_token":            true,
	"refresh_token":        true,
	"session_token":        true,
	"token":                true,
	"authorization":        true,
	"x_amz_credential":     true, // presigned URLs: an account's own signature
	"x_amz_security_token": true,
	"x_goog_credential":    true,
}

// fieldName makes spellings equal that a server may take for one another: CGI
// and its heirs turn "-" into "_".
func fieldName(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), "_", "-")
}

// dropCredentialFields removes the agent's own credentials from header and gives
// the names of what went, sorted.
func dropCredentialFields(header http.Header, route *policy.Route) []string {
	var dropped []string
	for name := range header {
		plain := fieldName(name)
		own := credentialFields[plain] || route.Auth != nil && plain == fieldName(authHeader(route.Auth))
		if own && !listed(route, strings.ToLower(name)) && !keepCredentials() {
			delete(header, name)
			dropped = append(dropped, plain)
		}
	}
	slices.Sort(dropped)
	return slices.Compact(dropped)
}

// dropCredentialParameters does the same for a query; the names it gives begin
// with "?". What remains is unchanged, byte for byte.
func dropCredentialParameters(query string, route *policy.Route) (rest string, dropped []string) {
	if query == "" {
		return "", nil
	}
	pieces := strings.Split(query, "&")
	kept := pieces[:0]
	for _, piece := range pieces {
		name := credentialParameter(piece)
		if name == "" || listed(route, "?"+name) || keepCredentials() {
			kept = append(kept, piece)
			continue
		}
		dropped = append(dropped, "?"+name)
	}
	slices.Sort(dropped)
	return strings.Join(kept, "&"), slices.Compact(dropped)
}

// credentialParameter gives the name of the credential in one piece of a query,
// in the spelling of credentialParameters or as it stands there, or "". Some
// servers separate parameters by semicolons too.
func credentialParameter(piece string) string {
	for one := range strings.SplitSeq(piece, ";") {
		name, _, _ := strings.Cut(one, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if plain := strings.NewReplacer("-", "_", "[]", "").Replace(name); credentialParameters[plain] {
			return plain
		}
	}
	return ""
}

func listed(route *policy.Route, field string) bool {
	return slices.Contains(route.Credentials, field)
}

func keepCredentials() bool { return mutation.On(mutation.EgressKeepCreds) }

func authHeader(auth *policy.Auth) string {
	return cmp.Or(auth.Header, policy.DefaultAuthHeader)
}

// injection gives the header field that carries a route's token.
func injection(auth *policy.Auth, tokens map[string]secret.Value) (name, value string, err error) {
	token, found := tokens[auth.TokenName]
	if !found {
		return "", "", fmt.Errorf("finding token %q", auth.TokenName)
	}
	name = http.CanonicalHeaderKey(authHeader(auth))
	value = authValue(auth.Scheme, token.Reveal())
	if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) || token.Reveal() == "" {
		// Never with the value: it is the token.
		return "", "", fmt.Errorf("putting token %q into header field %q: it is empty or has control bytes", auth.TokenName, name)
	}
	return name, value, nil
}

// authValue puts a token into the form of its scheme. The credentials of Basic
// are "user:password" in base64 (RFC 7617); a token without a colon is so already.
func authValue(scheme, token string) string {
	if scheme == "" {
		return token
	}
	if strings.EqualFold(scheme, "basic") && strings.Contains(token, ":") {
		token = base64.StdEncoding.EncodeToString([]byte(token))
	}
	return scheme + " " + token
}
