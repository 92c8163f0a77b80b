package manifest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/term"
)

func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTheFirstFolderWins(t *testing.T) {
	a, b := folder(t, "one.md"), folder(t, "one.md", "two.md")
	dirs := []string{filepath.Join(a, "absent"), a, b}
	for name, want := range map[string]string{"one": a, "two": b} {
		if got, err := manifest.Find(dirs, manifest.Agents, name); err != nil || got != filepath.Join(want, name+".md") {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	if got := manifest.List(dirs); strings.Join(got, " ") != "one two" {
		t.Errorf("the agents are %q", got)
	}
}

func TestNoSuchAgentOrBottle(t *testing.T) {
	bottles, agents := folder(t, "dev.md", "release.md", "README.txt"), folder(t, "fixer.md")
	for _, c := range []struct {
		dirs []string
		kind manifest.Kind
		name string
		want string
	}{
		{[]string{bottles}, manifest.Bottles, "relase", "error: there is no bottle \"relase\"\nhint: did you mean \"release\"?\n"},
		{[]string{bottles}, manifest.Bottles, "fixer", "error: there is no bottle \"fixer\"\nhint: there are these: dev, release\n"},
		{[]string{agents}, manifest.Agents, "dev", "error: there is no agent \"dev\"\nhint: there are these: fixer\n"},
		{[]string{"/absent"}, manifest.Agents, "dev", "error: there is no agent \"dev\"\nhint: write /absent/dev.md\n"},
		{nil, manifest.Agents, "dev", "error: there is no agent \"dev\"\nhint: there is no folder to look for agents in\n"},
		{[]string{agents}, manifest.Agents, "../bottles/dev", "error: agent: \"../bottles/dev\" is not a name of lower-case letters, digits and hyphens\n"},
		{[]string{agents}, manifest.Agents, "", "error: agent: \"\" is not a name of lower-case letters, digits and hyphens\n"},
	} {
		_, err := manifest.Find(c.dirs, c.kind, c.name)
		var e *term.Error
		if !errors.As(err, &e) || e.Stage != term.StageManifest || term.Explain(err) != c.want {
			t.Errorf("%s %q:\n%s", c.kind, c.name, term.Explain(err))
		}
	}
}
