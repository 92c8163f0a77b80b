package workspace_test

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"
	"unicode"

	"github.com/bot-bottle/action/internal/workspace"
)

// What passes names plain paths only, and reads the same when it is written and
// read again.
func FuzzParsePatch(f *testing.F) {
	for _, seed := range []string{
		"", newFile("a"), newFile(".envrc"), newFile("a\\303\\274\\n"), changeFile("x") + changeFile("y"),
		"diff --git a/x b/x\nold mode 100644\nnew mode 100755\n",
		"diff --git a/x b/x\ndeleted file mode 100644\nindex " + someID + ".." + zeros + "\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n\\ No newline at end of file\n",
		"diff --git a/x b/x\nindex " + someID + ".." + nextID + " 100644\nGIT binary patch\nliteral 0\nHcmV?d00001\n\ndelta 1\nIcmZP&0000~0000@\n\n",
		"diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n",
		"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-x\n+y\n",
	} {
		f.Add([]byte(seed), "")
		f.Add([]byte(seed), "**")
	}
	f.Fuzz(func(t *testing.T, input []byte, allow string) {
		rules := workspace.Rules{MaxBytes: 1 << 20}
		if allow != "" {
			rules.Allow = []string{allow}
		}
		patch, err := workspace.ParsePatch(bytes.NewReader(input), rules)
		if err != nil {
			_ = err.Error()
			return
		}
		for _, change := range patch.Files() {
			checkPath(t, change, allow != "")
		}
		again, err := workspace.ParsePatch(bytes.NewReader(canonical(t, patch)), rules)
		if err != nil {
			t.Fatalf("the canonical form is refused: %v\n%q", err, canonical(t, patch))
		}
		if !bytes.Equal(canonical(t, again), canonical(t, patch)) {
			t.Fatalf("%q becomes %q", canonical(t, patch), canonical(t, again))
		}
	})
}

func checkPath(t *testing.T, change workspace.Change, allowed bool) {
	t.Helper()
	path := change.Path
	if !fs.ValidPath(path) || path == "." || strings.ContainsFunc(path, unicode.IsControl) || strings.Contains(path, `\`) {
		t.Errorf("path %q passed", path)
	}
	for part := range strings.SplitSeq(path, "/") {
		if strings.EqualFold(strings.TrimRight(part, ". "), ".git") {
			t.Errorf("path %q passed", path)
		}
		if strings.HasPrefix(strings.ToLower(part), ".git") && !allowed {
			t.Errorf("path %q passed though nothing allows it", path)
		}
	}
	if change.Mode&^0o755 != 0 {
		t.Errorf("mode %v passed", change.Mode)
	}
}
