package manifest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
)

// write makes a file whose first line is the fence, so that the first line of
// yaml is line 2.
func write(t testing.TB, kind manifest.Kind, name, yaml string) string {
	t.Helper()
	return writeRaw(t, kind, name, "---\n"+yaml+"\n---\nYou are careful.\n")
}

func writeRaw(t testing.TB, kind manifest.Kind, name, content string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), string(kind))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name+".md")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// explain gives what the command line would print, without the folder.
func explain(path string, err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(term.Explain(err), filepath.Dir(path)+"/", "")
}

func bottle(t testing.TB, yaml string) manifest.Bottle {
	t.Helper()
	path := write(t, manifest.Bottles, "dev", yaml)
	b, err := manifest.LoadBottle(path)
	if err != nil {
		t.Fatalf("%s\n%s", yaml, explain(path, err))
	}
	return b
}

// messages checks what loading each yaml says, line by line as it is printed.
func messages(t *testing.T, kind manifest.Kind, cases map[string]string) {
	t.Helper()
	for yaml, want := range cases {
		path := write(t, kind, "dev", yaml)
		var err error
		if kind == manifest.Agents {
			_, err = manifest.LoadAgent(path)
		} else {
			_, err = manifest.LoadBottle(path)
		}
		if got := explain(path, err); strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%s\nsays\n%s\nnot\n%s", yaml, got, want)
		}
		var e *term.Error
		if err != nil && (!errors.As(err, &e) || e.Stage != term.StageManifest) {
			t.Errorf("%s: the error is no manifest's: %#v", yaml, err)
		}
	}
}

// environment is a host with these variables, and nobody to ask.
func environment(pairs ...string) manifest.Host {
	return manifest.Host{Lookup: func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}}
}

// ask answers every question.
func ask(name, _ string) (secret.Value, error) { return secret.New(name, "an answer"), nil }
