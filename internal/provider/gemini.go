package provider

import (
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

// gemini is the Gemini CLI (docs/agents/gemini.md).
var gemini = agent{
	cli: cli{
		name: Gemini, title: "the Gemini CLI", pkg: "@google/gemini-cli", least: version{0, 20, 0},
		install: "npm install -g @google/gemini-cli",
	},
	host: "generativelanguage.googleapis.com",
	wire: policy.WireGemini,
	endpoints: []policy.Match{
		endpoint("POST", policy.MatchRegex, `/v1beta/models/[A-Za-z0-9._-]+:(generateContent|streamGenerateContent|countTokens)`),
	},
	references: []secret.Ref{"env:GEMINI_API_KEY"},
	auth: func(secret.Value) (policy.Auth, []string) {
		return policy.Auth{Header: "x-goog-api-key"}, []string{"GEMINI_API_KEY=placeholder"}
	},
	start: startGemini,
	stdin: withSystem,
}

func startGemini(in Input) (args, env []string) {
	args = []string{"--yolo", "--output-format", "text"}
	if in.Model != "" {
		args = append(args, "--model", in.Model)
	}
	// Without the second, --yolo is not taken; the third keeps it from asking for
	// a sandbox of its own.
	return args, []string{"GEMINI_CLI_TRUST_WORKSPACE=true", "GEMINI_SANDBOX=false", "GEMINI_TELEMETRY_ENABLED=false"}
}
