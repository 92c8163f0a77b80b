package report

// allowing are the lines of a bottle that let pass what a rule refused, with
// placeholders: what was asked for stands in no report.
var allowing = map[string]string{
	"no-route":            "egress: {routes: [{host: HOST}]}",
	"port-not-listed":     "egress: {routes: [{host: HOST, port: PORT}]}",
	"method-not-listed":   "egress: {routes: [{host: HOST, matches: [{methods: [METHOD]}]}]}",
	"no-match":            "egress: {routes: [{host: HOST, matches: [{path: {value: PATH}, methods: [METHOD]}]}]}",
	"model-feature":       "agent_provider: {allow: [FEATURE]}",
	"dlp-known-secret":    "egress: {routes: [{host: HOST, dlp: {outbound_detectors: [token_patterns]}}]}",
	"dlp-pattern":         "egress: {routes: [{host: HOST, dlp: {outbound_detectors: [known_secrets]}}]}",
	"dlp-encoding":        "egress: {routes: [{host: HOST, dlp: {outbound_detectors: false}}]}",
	"dlp-injection":       "egress: {routes: [{host: HOST, dlp: {inbound_detectors: false}}]}",
	"limits.requests":     "limits: {requests: NUMBER}",
	"limits.egress_bytes": "limits: {egress_bytes: SIZE}",
	"limits.tokens":       "limits: {tokens: NUMBER}",
	"limits.cost":         "limits: {cost: DOLLARS}",
	"no-git-remote":       "git-gate: {repos: {NAME: {url: URL, host_key: KEY, key: {provider: gitea}}}}",
	"read-only":           "git-gate: {repos: {NAME: {push: [\"refs/heads/bottle/{run}\"]}}}",
	"ref-not-listed":      "git-gate: {repos: {NAME: {push: [REF]}}}",
	"protected-path":      "git-gate: {repos: {NAME: {protected: [FILE]}}}",
	"host-workflow":       "git-gate: {repos: {NAME: {host_workflows: [FILE]}}}",
}

// AllowedBy gives the line of a bottle that lets pass what the rule refused, with
// placeholders in capitals; empty: no bottle can, or several may be at fault.
func AllowedBy(rule string) string { return allowing[rule] }
