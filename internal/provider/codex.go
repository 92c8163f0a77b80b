package provider

import (
	"slices"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

// codexProvider sends the key that OPENAI_API_KEY holds. The provider that is
// built in wants a login first, and one of that name is taken for it.
const codexProvider = `{name="bottle",base_url="https://api.openai.com/v1",env_key="OPENAI_API_KEY",wire_api="responses"}`

// codex is OpenAI's Codex (docs/agents/codex.md).
var codex = agent{
	cli: cli{
		name: Codex, title: "Codex", pkg: "@openai/codex", least: version{0, 100, 0},
		install: "npm install -g @openai/codex",
		native: []string{
			"../codex-{platform}/vendor/{triple}/bin/codex",
			"node_modules/@openai/codex-{platform}/vendor/{triple}/bin/codex",
			"vendor/{triple}/bin/codex",
			"vendor/{triple}/codex/codex",
		},
		helpers: true,
	},
	host: "api.openai.com",
	wire: policy.WireOpenAI,
	endpoints: []policy.Match{
		endpoint("POST", policy.MatchExact, "/v1/responses"),
		endpoint("POST", policy.MatchExact, "/v1/responses/compact"),
		endpoint("GET", policy.MatchExact, "/v1/models"),
	},
	references: []secret.Ref{"env:OPENAI_API_KEY"},
	auth: func(secret.Value) (policy.Auth, []string) {
		return policy.Auth{Scheme: "Bearer"}, []string{"OPENAI_API_KEY=sk-placeholder"}
	},
	start: startCodex,
	stdin: withSystem,
}

func startCodex(in Input) (args, env []string) {
	search := "disabled" // or each request names the search, and is refused
	if slices.Contains(in.Allow, "web_search") {
		search = "live"
	}
	args = []string{
		"exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--color", "never",
		"-c", `model_provider="bottle"`, "-c", "model_providers.bottle=" + codexProvider,
		"-c", `web_search="` + search + `"`, "-c", "check_for_update_on_startup=false", "-c", "analytics.enabled=false",
	}
	if in.Model != "" {
		args = append(args, "--model", in.Model)
	}
	return append(args, "-"), nil
}
