package action

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
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

// workflows gives the paths of those that are to be copied.
func workflows(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../workflows/*.yml")
	of, err2 := filepath.Glob("../workflows/*/*.yml")
	if err := errors.Join(err, err2); err != nil || len(files) == 0 || len(of) == 0 {
		t.Fatal(files, of, err)
	}
	return append(files, of...)
}

// What a workflow takes of others is pinned by a whole hash, with the version that
// it belongs to; and the runner is told what its token may do. One that takes nothing
// runs our program.
func TestTheWorkflowsArePinnedAndHaveLeastRights(t *testing.T) {
	pinned := regexp.MustCompile(`uses: (bot-bottle/action@v1|[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)\n`)
	for _, path := range workflows(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if all, good := strings.Count(string(text), " uses:"), len(pinned.FindAllString(string(text), -1)); all != good || all == 0 && !strings.Contains(string(text), "run: bot-bottle ") {
			t.Errorf("%s: %d of %d actions are pinned", path, good, all)
		}
		if !strings.Contains(string(text), "\npermissions: {") || strings.Contains(string(text), "write-all") {
			t.Errorf("%s does not say what its token may do", path)
		}
	}
}

// A runner puts an expression's value into the script before a shell reads it
// (docs.github.com, "Script injections"); a variable of the environment stays data.
func TestTheWorkflowsPutNoExpressionIntoAScript(t *testing.T) {
	for _, path := range workflows(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for number, line := range strings.Split(string(text), "\n") {
			if strings.Contains(line, "run: ") && (strings.Contains(line, "${{") || strings.Contains(line, "run: |")) {
				t.Errorf("%s:%d: %s", path, number+1, line)
			}
		}
	}
}

// Every workflow that differs between the forges says of the other one.
func TestTheWorkflowsForGiteaBelongToOneForGitHub(t *testing.T) {
	for _, path := range workflows(t) {
		if filepath.Base(filepath.Dir(path)) != "gitea" {
			continue
		}
		name := filepath.Base(path)
		text, err := os.ReadFile("../workflows/" + name)
		if err != nil || !strings.Contains(string(text), "gitea/"+name) {
			t.Errorf("../workflows/%s doesn't name gitea/%s: %v", name, name, err)
		}
	}
}

func TestTheWorkflowsAreWhatForgesTake(t *testing.T) {
	for _, path := range workflows(t) {
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
