package manifest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/pages"
)

// example is what the pages write where a key would be too long to read.
const example = "ssh-ed25519 AAAA…"

// marked gives the blocks of all pages that are said to be word, with a whole key.
func marked(t *testing.T, word string) []pages.Block {
	t.Helper()
	found, err := pages.Marked("../..", word)
	if err != nil || len(found) == 0 {
		t.Fatalf("blocks that are said to be %q: %d, %v", word, len(found), err)
	}
	for i := range found {
		found[i].Text = strings.ReplaceAll(found[i].Text, example, hostKey)
	}
	return found
}

// frontMatter makes a file of what may be the middle of its front matter.
func frontMatter(text string) string {
	if strings.HasPrefix(text, "---\n") {
		return text
	}
	return "---\n" + text + "---\n"
}

func TestTheHostsConfigurationsOfThePagesAreRead(t *testing.T) {
	for _, b := range marked(t, "host") {
		c, err := manifest.LoadConfigOf(config(t, b.Text), os.Getuid())
		if err != nil {
			t.Errorf("%s: %v", b, err)
		}
		for _, f := range c.Forges {
			if f.HostKey != hostKey {
				t.Errorf("%s: %s is pinned by %q", b, f.URL, f.HostKey)
			}
		}
	}
}

// A bottle that extends another, or an agent that names one, finds it among those that
// the same page has.
func TestTheBottlesAndAgentsOfThePagesAreValid(t *testing.T) {
	bottles := filepath.Join(t.TempDir(), "bottles")
	for _, name := range []string{"web", "claude-dev", "dev"} {
		put(t, filepath.Join(bottles, name+".md"), "---\nlimits: {cpus: 1}\n---\n")
	}
	for _, kind := range []string{"bottle", "agent"} {
		for _, b := range marked(t, kind) {
			path := filepath.Join(t.TempDir(), kind+"s", "dev.md")
			put(t, path, frontMatter(b.Text))
			if files, faults, err := manifest.Validate([]string{path}, []string{bottles}); err != nil || len(faults) != 0 || len(files) != 1 {
				t.Errorf("%s: %v: %v %v", b, files, faults, err)
			}
		}
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
