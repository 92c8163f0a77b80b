package provider

import (
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

// oauthPrefix begins the tokens that `claude setup-token` makes.
const oauthPrefix = "sk-ant-oat"

// claude is Claude Code (docs/agents/claude.md).
var claude = agent{
	cli: cli{
		name: Claude, title: "Claude Code", pkg: "@anthropic-ai/claude-code", least: version{2, 0, 0},
		install: "npm install -g @anthropic-ai/claude-code, or curl -fsSL https://claude.ai/install.sh | bash",
		native:  []string{"../claude-code-{platform}/claude", "node_modules/@anthropic-ai/claude-code-{platform}/claude"},
	},
	host: "api.anthropic.com",
	wire: policy.WireAnthropic,
	endpoints: []policy.Match{
		endpoint("POST", policy.MatchExact, "/v1/messages"),
		endpoint("POST", policy.MatchExact, "/v1/messages/count_tokens"),
	},
	references: []secret.Ref{"env:ANTHROPIC_API_KEY", "env:CLAUDE_CODE_OAUTH_TOKEN"},
	auth: func(token secret.Value) (policy.Auth, []string) {
		if strings.HasPrefix(token.Reveal(), oauthPrefix) { // its kind, not the token, goes on
			return policy.Auth{Scheme: "Bearer"}, []string{"CLAUDE_CODE_OAUTH_TOKEN=" + oauthPrefix + "01-placeholder"}
		}
		return policy.Auth{Header: "x-api-key"}, []string{"ANTHROPIC_API_KEY=sk-ant-api03-placeholder"}
	},
	start: startClaude,
	stdin: func(in Input) string { return in.Prompt },
}

func startClaude(in Input) (args, env []string) {
	args = []string{"-p", "--output-format", "text", "--dangerously-skip-permissions"}
	if !slices.Contains(in.Allow, "web_search") {
		args = append(args, "--disallowed-tools", "WebSearch") // the model's API would refuse it
	}
	if in.Model != "" {
		args = append(args, "--model", in.Model)
	}
	if strings.TrimSpace(in.System) != "" {
		args = append(args, "--append-system-prompt", in.System)
	}
	return args, []string{
		"IS_SANDBOX=1", // or it doesn't start as root without its checks
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
		"DISABLE_AUTOUPDATER=1",
	}
}
