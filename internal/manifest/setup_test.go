package manifest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// blocks gives the YAML of a page of docs/setup that begins with start.
func blocks(t *testing.T, page, start string) (found []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/setup/" + page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
		if strings.HasPrefix(m[1], start) {
			found = append(found, m[1])
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s has no block that begins with %q", page, start)
	}
	return found
}

// What the set-up pages say that a host's configuration is, is one.
func TestTheConfigurationsOfTheSetUpPagesAreRead(t *testing.T) {
	for page, server := range map[string]string{"gitea.md": "https://gitea.example", "github.md": "https://github.com"} {
		for _, block := range blocks(t, page, "forges:") {
			c, err := manifest.LoadConfigOf(config(t, strings.ReplaceAll(block, "ssh-ed25519 AAAA…", hostKey)), os.Getuid())
			if err != nil || len(c.Forges) != 1 || !c.Forges[0].Is(server) || c.Forges[0].HostKey != hostKey {
				t.Errorf("%s: %+v %v", page, c, err)
			}
		}
	}
}

func TestTheBottleAndTheAgentOfTheSetUpPageAreValid(t *testing.T) {
	dir := t.TempDir()
	for start, name := range map[string]string{"---\nfor:": "bottles/claude-dev.md", "---\nbottle:": "agents/fixer.md"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(blocks(t, "gitea.md", start)[0]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, faults, err := manifest.Validate([]string{dir}, []string{filepath.Join(dir, "bottles")})
	if err != nil || len(faults) != 0 || len(files) != 2 {
		t.Errorf("%v: %v %v", files, faults, err)
	}
}
