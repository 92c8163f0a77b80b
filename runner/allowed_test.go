package runner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/pages"
)

// What a report tells people to write has to be what a bottle takes. docs/faq.md has a
// line for each rule that has one, which a test there holds.
func TestLinesThatAllowAreABottles(t *testing.T) {
	const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8Q0Qk0Ck8sWmY6ZNwZ0Y3M1V2n8sKX3fXo9q3w2a1b"
	filled := strings.NewReplacer("HOST", "api.example", "PORT", "8443", "METHOD", "POST", "PATH", "/docs", "FEATURE", "web_search", "NUMBER", "5", "SIZE", "1GiB", "DOLLARS", "5.00",
		"NAME: {push", "web: {url: git@forge.example:o/web.git, host_key: "+hostKey+", key: {provider: gitea}, push",
		"NAME: {protected", "web: {url: git@forge.example:o/web.git, host_key: "+hostKey+", key: {provider: gitea}, protected",
		"NAME: {host_workflows", "web: {url: git@forge.example:o/web.git, host_key: "+hostKey+", key: {provider: gitea}, host_workflows",
		"NAME", "web", "URL", "git@forge.example:o/web.git", "KEY", hostKey, "REF", "refs/heads/next", "FILE", ".github/workflows/x.yml",
		"agent_provider: {", "agent_provider: {template: claude, ")
	lines, err := pages.Marked("..", "line")
	if err != nil || len(lines) == 0 {
		t.Fatal(lines, err)
	}
	for _, b := range lines {
		dir := t.TempDir()
		text := "---\n" + filled.Replace(b.Text) + "---\n"
		if err := os.WriteFile(filepath.Join(dir, "dev.md"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := manifest.ReadBottles([]string{dir}, []string{"dev"}); err != nil {
			t.Errorf("%s: %s%v", b, text, err)
		}
	}
}
