package manifest

import "github.com/bot-bottle/action/internal/secret"

// Provider is a bottle's `agent_provider`: which agent CLI runs in it, with
// which credential, and what of the model's API it may use.
type Provider struct {
	Template string     // claude, codex, gemini or command
	Token    secret.Ref // reference to the credential (key `auth_token`); empty: the provider's default reference
	// Allow lists what of the model's API is allowed beyond plain messages and
	// tools that run in the guest: mcp_servers, web_search, beta:NAME and others.
	Allow []string
}
