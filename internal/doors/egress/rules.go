package egress

import "github.com/bot-bottle/action/internal/doors/egress/modelapi"

// The rules by which the door itself refuses, besides those of policy.Matcher.
// They are written to the decision log and sent to the guest, and are stable:
// reports, metrics and the escape suite compare them.
const (
	// RuleMalformed: the bytes are not one unambiguous HTTP/1.1 request.
	RuleMalformed = "malformed-request"
	// RuleHeadTooLarge: the head is longer than Limits.HeadBytes.
	RuleHeadTooLarge = "head-too-large"
	// RuleHeadTimeout: the head was not complete after Limits.HeadTime.
	RuleHeadTimeout = "head-timeout"
	// RuleTooMany: Limits.Connections requests are under way. There is no line
	// for it, because nothing was read.
	RuleTooMany = "too-many-connections"
	// RuleNotProxied: a request for the door itself, which is no web server.
	RuleNotProxied = "not-a-proxy-request"
	// RuleScheme: an absolute target with another scheme than http.
	RuleScheme = "scheme-not-supported"
	// RuleExpectation: an Expect field with anything but 100-continue.
	RuleExpectation = "expectation-not-supported"
	// RuleMethod: TRACE, which would show an injected token to the guest, or
	// CONNECT within a tunnel.
	RuleMethod = "method-not-supported"
	// RuleHostMismatch: the Host field names another authority than the target
	// or the tunnel.
	RuleHostMismatch = "host-mismatch"
	// RuleNotTLS: the first bytes in a tunnel are no TLS handshake.
	RuleNotTLS = "not-tls"
	// RuleNoServerName: a tunnel to a name whose handshake names no server.
	RuleNoServerName = "no-server-name"
	// RuleServerNameMismatch: a handshake for another server than the tunnel's.
	RuleServerNameMismatch = "server-name-mismatch"
	// RuleHandshake: the guest's TLS handshake did not complete; most often its
	// program doesn't trust the bottle's CA.
	RuleHandshake = "tls-handshake"
	// RuleUnresolved: the name has no address. Nothing was sent.
	RuleUnresolved = "name-not-resolved"
	// RuleAddress: the name resolves to an address the route may not reach.
	RuleAddress = "address-refused"
	// RuleScanner: the scanner refused the head.
	RuleScanner = "scanner"
	// RuleLog: the decision could not be recorded, so nothing may pass.
	RuleLog = "log-unavailable"
	// RuleLimitRequests: limits.requests of the bottle are used up.
	RuleLimitRequests = "limits.requests"
	// RuleLimitBytes: what is left of limits.egress_bytes is too little for the
	// request; in an end line, its body was cut off.
	RuleLimitBytes = "limits.egress_bytes"
	// RuleLimitTokens: what is left of limits.tokens is too little for a call to a
	// model's API.
	RuleLimitTokens = "limits.tokens"
	// RuleLimitCost: the same for limits.cost.
	RuleLimitCost = "limits.cost"
	// RuleSwapped: a newer policy no longer allows what was under way.
	RuleSwapped = "policy-swapped"

	// RuleModelEndpoint: a model's API is asked for something else than an answer.
	RuleModelEndpoint = modelapi.RuleEndpoint
	// RuleModelBody: a body for a model's API that can't be judged.
	RuleModelBody = modelapi.RuleBody
	// RuleModelFeature: a request uses what the bottle doesn't list of a model's API.
	RuleModelFeature = modelapi.RuleFeature
	// RuleModelPrice: limits.cost is set, and the table of prices lacks the model.
	RuleModelPrice = "model-price"
	// RuleModelBusy: the bodies of such requests take up Limits.ModelMemory.
	RuleModelBusy = "model-busy"
	// RuleGitPush: a push by HTTPS, which nothing would scan.
	RuleGitPush = "git-push"

	// The following end a request that was allowed: they stand in end lines.

	// RuleUnreachable: no connection to the upstream came about.
	RuleUnreachable = "upstream-unreachable"
	// RuleCertificate: the upstream's certificate does not verify.
	RuleCertificate = "upstream-certificate"
	// RuleUpstreamTLS: the upstream's TLS is broken in another way.
	RuleUpstreamTLS = "upstream-tls"
	// RuleUpstream: the upstream broke the connection or HTTP.
	RuleUpstream = "upstream-error"
	// RuleIdle: no byte moved for Limits.IdleTime.
	RuleIdle = "idle-timeout"
	// RuleGuestGone: the guest closed its connection before the end.
	RuleGuestGone = "guest-gone"
	// RuleClosing: the door was closed.
	RuleClosing = "door-closing"
)
