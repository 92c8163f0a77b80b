//go:build mutation

package workspace_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/workspace"
)

// With the judging of paths switched off, the agent leaves a repository in the
// checkout, whose config names a program that the host's git then runs.
func TestMutationPatchAnyPath(t *testing.T) {
	tr := newTrap(t)
	r := newRepo(t)
	config := "[core]\n\trepositoryformatversion = 0\n\tfsmonitor = " + tr.program + "\n"
	text := addFile(r, "src/.git/config", config) + addFile(r, "src/.git/objects/keep", "x\n") +
		addFile(r, "src/.git/refs/keep", "x\n") + addFile(r, "src/.git/HEAD", "ref: refs/heads/x\n")
	if _, err := workspace.ParsePatch(strings.NewReader(text), workspace.Rules{}); err == nil {
		t.Fatal("the patch passes with the defence on")
	}
	t.Setenv("BOT_BOTTLE_MUTATE", string(mutation.PatchAnyPath))
	patch, err := workspace.ParsePatch(strings.NewReader(text), workspace.Rules{})
	must(t, err)
	must(t, apply(t.Context(), r, patch))
	repo{t, r.path("src")}.git("status")
	if tr.sprung() == "" {
		t.Error("the attack doesn't succeed")
	}
}

// addFile is a patch that adds a file.
func addFile(r repo, name, content string) string {
	r.t.Helper()
	id, err := r.tryGit([]byte(content), "hash-object", "--stdin")
	must(r.t, err)
	lines := strings.Split(strings.TrimSuffix(content, "\n"), "\n")
	return fmt.Sprintf("diff --git a/%[1]s b/%[1]s\nnew file mode 100644\nindex %[2]s..%[3]s\n--- /dev/null\n+++ b/%[1]s\n@@ -0,0 +1,%[4]d @@\n+%[5]s\n",
		name, zeros, strings.TrimSpace(id), len(lines), strings.Join(lines, "\n+"))
}
