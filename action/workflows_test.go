package action

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/rhysd/actionlint"
)

// lintWorkflow gives what actionlint has to say of a workflow. It asks nobody.
func lintWorkflow(t *testing.T, text []byte) []*actionlint.Error {
	t.Helper()
	config := filepath.Join(t.TempDir(), "actionlint.yaml")
	if err := os.WriteFile(config, []byte("self-hosted-runner:\n  labels: [nixos]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{ConfigFile: config, WorkingDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	found, err := linter.Lint("<stdin>", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTheWorkflowsAreWhatForgesTake(t *testing.T) {
	files, err := filepath.Glob("../workflows/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range lintWorkflow(t, text) {
			t.Errorf("%s:%d:%d: %s", path, e.Line, e.Column, e.Message)
		}
	}
	if found := lintWorkflow(t, []byte("on: pusch\njobs: { a: { runs-on: nixos, steps: [{ runn: x }] } }\n")); len(found) < 2 {
		t.Errorf("a workflow full of mistakes gave %v", found)
	}
}
