package runner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/doors/gitgate"
	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/report"
)

// What a report tells people to write has to be what a bottle takes.
func TestLinesThatAllowAreABottles(t *testing.T) {
	const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8Q0Qk0Ck8sWmY6ZNwZ0Y3M1V2n8sKX3fXo9q3w2a1b"
	filled := strings.NewReplacer("HOST", "api.example", "PORT", "8443", "METHOD", "POST", "PATH", "/docs", "FEATURE", "web_search", "NUMBER", "5", "SIZE", "1GiB",
		"NAME: {push", "web: {url: git@forge.example:o/web.git, host_key: "+hostKey+", key: {provider: gitea}, push",
		"NAME: {protected", "web: {url: git@forge.example:o/web.git, host_key: "+hostKey+", key: {provider: gitea}, protected",
		"NAME: {host_workflows", "web: {url: git@forge.example:o/web.git, host_key: "+hostKey+", key: {provider: gitea}, host_workflows",
		"NAME", "web", "URL", "git@forge.example:o/web.git", "KEY", hostKey, "REF", "refs/heads/next", "FILE", ".github/workflows/x.yml",
		"agent_provider: {", "agent_provider: {template: claude, ")
	for _, rule := range []string{
		policy.RuleNoRoute, policy.RulePort, policy.RuleMethod, policy.RuleNoMatch, egress.RuleModelFeature, egress.RuleLimitRequests, egress.RuleLimitBytes,
		gitgate.RuleNoRemote, gitgate.RuleReadOnly, gitgate.RuleRef, gitgate.RuleProtected, gitgate.RuleHostWorkflow,
	} {
		dir := t.TempDir()
		text := "---\n" + filled.Replace(report.AllowedBy(rule)) + "\n---\n"
		if err := os.WriteFile(filepath.Join(dir, "dev.md"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := manifest.ReadBottles([]string{dir}, []string{"dev"}); err != nil || report.AllowedBy(rule) == "" {
			t.Errorf("%s: %s%v", rule, text, err)
		}
	}
}
