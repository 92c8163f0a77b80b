package egress

import (
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// hopByHop are the fields that belong to one connection (RFC 9110, section
// 7.6.1), by canonical name. The door writes its own on each side.
var hopByHop = []string{"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Expect", "Http2-Settings"}

// overrides are fields by which a request asks to be taken for another than the
// one that was judged: another path, host or origin. In the form of fieldName.
// Those for another method are the policy's to judge.
var overrides = map[string]bool{
	"forwarded":       true,
	"via":             true,
	"x-real-ip":       true,
	"x-client-ip":     true,
	"true-client-ip":  true,
	"x-host":          true,
	"x-original-host": true,
	"x-original-url":  true, // IIS, Symfony
	"x-rewrite-url":   true, // IIS, Zend
}

// dropHopByHop removes from header what belongs to the connection, also what the
// Connection field names, and everything meant for a proxy but its credential,
// which is dropped, and recorded, with the others.
func dropHopByHop(header http.Header) {
	for _, line := range header["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			header.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		delete(header, name)
	}
	for name := range header {
		if plain := fieldName(name); strings.HasPrefix(plain, "proxy-") && plain != "proxy-authorization" {
			delete(header, name)
		}
	}
}

// dropOverrides removes what would turn a judged request into another. The door
// adds no Via or Forwarded of its own: the upstream should see the agent's
// request as if it came straight from the host.
func dropOverrides(header http.Header) {
	for name := range header {
		plain := fieldName(name)
		if overrides[plain] || strings.HasPrefix(plain, "x-forwarded-") {
			delete(header, name)
		}
	}
}

// webSocket tells whether a request asks for a WebSocket (RFC 6455, section 4.1),
// the only upgrade that passes: h2c would carry requests nobody judges.
func webSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Body == http.NoBody && r.ProtoAtLeast(1, 1) &&
		httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") &&
		len(r.Header["Upgrade"]) == 1 && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// wantsClose tells whether the guest asked for the connection to end after this
// request.
func wantsClose(r *http.Request) bool {
	return !r.ProtoAtLeast(1, 1) || httpguts.HeaderValuesContainsToken(r.Header["Connection"], "close")
}
