package workspace_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/workspace"
)

func TestAFileIsReadAsTheCommitHasIt(t *testing.T) {
	r := newRepo(t)
	r.write(".bot-bottle/agents/fixer.md", "as committed\r\n$Id$\n")
	r.write(".gitattributes", "* filter=evil ident text eol=crlf diff=evil\n")
	commit := r.commit("agents")
	marker := filepath.Join(t.TempDir(), "ran")
	r.git("config", "filter.evil.smudge", "touch "+marker)
	r.git("config", "diff.evil.textconv", "touch "+marker)
	r.write(".bot-bottle/agents/fixer.md", "as the job changed it")
	r.write(".bot-bottle/agents/planted.md", "planted")
	r.git("add", "--all") // the index is not the commit either

	c, err := workspace.OpenCommit(t.Context(), r.dir, commit)
	must(t, err)
	content, err := c.ReadBlob(t.Context(), ".bot-bottle/agents/fixer.md", 1000)
	if err != nil || string(content) != r.git("cat-file", "blob", commit+":.bot-bottle/agents/fixer.md") || !strings.HasPrefix(string(content), "as committed") {
		t.Errorf("it holds %q, %v", content, err)
	}
	names, err := c.Files(t.Context(), ".bot-bottle/agents")
	if err != nil || !slices.Equal(names, []string{"fixer.md"}) {
		t.Errorf("the files are %q, %v", names, err)
	}
	if _, err := os.Lstat(marker); err == nil {
		t.Error("a filter of the repository's ran")
	}
	if c.ID() != commit {
		t.Errorf("the commit is %s", c.ID())
	}
}

func TestWhatIsNoPlainFileOfTheCommitIsNotThere(t *testing.T) {
	r := newRepo(t)
	r.write("a/file", "x")
	must(t, os.Symlink("/etc/passwd", r.path("a/link")))
	must(t, os.Symlink("a", r.path("folder-link")))
	c, err := workspace.OpenCommit(t.Context(), r.dir, r.commit("links"))
	must(t, err)
	for _, name := range []string{"a/absent", "a/link", "a", "folder-link/file", "/etc/passwd", "../x", "a/../a/file", "a/*", "", "a//file", ":(glob)**"} {
		if content, err := c.ReadBlob(t.Context(), name, 1000); err == nil {
			t.Errorf("%q holds %q", name, content)
		}
	}
	if _, err := c.ReadBlob(t.Context(), "a/link", 1000); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error of a link is %v", err)
	}
	if names, err := c.Files(t.Context(), "a"); err != nil || !slices.Equal(names, []string{"file"}) {
		t.Errorf("the files are %q, %v", names, err)
	}
	if names, err := c.Files(t.Context(), "absent"); err != nil || len(names) != 0 {
		t.Errorf("the files of no folder are %q, %v", names, err)
	}
}

func TestABlobIsBounded(t *testing.T) {
	r := newRepo(t)
	r.write("big", strings.Repeat("x", 1001))
	c, err := workspace.OpenCommit(t.Context(), r.dir, r.commit("big"))
	must(t, err)
	if _, err := c.ReadBlob(t.Context(), "big", 1000); err == nil || !strings.Contains(err.Error(), "more than 1000 bytes") {
		t.Errorf("the error is %v", err)
	}
	if b, err := c.ReadBlob(t.Context(), "big", 1001); err != nil || len(b) != 1001 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestARevThatIsNoCommitIsNotThere(t *testing.T) {
	r := newRepo(t)
	blob := strings.TrimSpace(r.git("rev-parse", "HEAD:README.md"))
	for _, rev := range []string{"absent", "--all", "-h", blob, strings.Repeat("0", 40)} {
		if c, err := workspace.OpenCommit(t.Context(), r.dir, rev); err == nil {
			t.Errorf("%q is commit %s", rev, c.ID())
		}
	}
	if _, err := workspace.OpenCommit(t.Context(), t.TempDir(), "HEAD"); err == nil {
		t.Error("a folder without a repository has a commit")
	}
	if c, err := workspace.OpenCommit(t.Context(), r.dir, "feature/one"); err != nil || c.ID() != r.head() {
		t.Errorf("a branch gives %v", err)
	}
}
