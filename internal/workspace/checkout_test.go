package workspace_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/workspace"
)

// hintsOf gives all hints of an error as one text.
func hintsOf(err error) string {
	_, hints, _ := strings.Cut(term.Explain(err), "hint: ")
	return hints
}

func TestOpenSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	tests := map[string]struct {
		make func(t *testing.T) string
		err  string
		hint string
	}{
		"missing": {func(t *testing.T) string { return filepath.Join(t.TempDir(), "nothing") }, "no such file", ""},
		"a file": {func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "file")
			must(t, os.WriteFile(path, nil, 0o600))
			return path
		}, "not a folder", ""},
		"not a repository":    {func(t *testing.T) string { return t.TempDir() }, "not a git repository", "git init"},
		"inside a repository": {func(t *testing.T) string { return newRepo(t).path("src") }, "not a git repository", "inside the repository"},
		"bare": {func(t *testing.T) string {
			r := newRepo(t)
			r.git("clone", "--quiet", "--bare", ".", "../bare.git")
			return filepath.Join(filepath.Dir(r.dir), "bare.git")
		}, "bare repository", "git worktree add"},
		"bare inside .git": {func(t *testing.T) string { r := newRepo(t); r.git("config", "core.bare", "true"); return r.dir }, "bare repository", "git worktree add"},
		"no commit": {func(t *testing.T) string {
			r := repo{t, t.TempDir()}
			r.git("init", "--quiet")
			return r.dir
		}, "no commit yet", "commit something"},
		"submodule": {func(t *testing.T) string {
			r, inner := newRepo(t), newRepo(t)
			r.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner.dir, "sub")
			r.commit("submodule")
			return r.dir
		}, `"sub" is a submodule`, "name the submodule"},
		"damaged": {func(t *testing.T) string { r := newRepo(t); r.remove(".git/objects"); return r.dir }, "reading repository", "git -C"},
		"dangling .git": {func(t *testing.T) string {
			r := repo{t, t.TempDir()}
			r.write(".git", "gitdir: /nonexistent\n")
			return r.dir
		}, "reading repository", "git -C"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := workspace.Open(t.Context(), test.make(t))
			if err == nil {
				t.Fatal("it is opened")
			}
			if !strings.Contains(err.Error(), test.err) || !strings.Contains(hintsOf(err), test.hint) {
				t.Errorf("got\n%swant %q and the hint %q", term.Explain(err), test.err, test.hint)
			}
			if stage := term.StageOf(err, ""); stage != term.StageUsage {
				t.Errorf("stage is %q", stage)
			}
		})
	}
}

func TestOpenWithoutGitOnTheHost(t *testing.T) {
	r := newRepo(t)
	t.Setenv("PATH", t.TempDir())
	_, err := workspace.Open(t.Context(), r.dir)
	if err == nil || !strings.Contains(hintsOf(err), "install git") {
		t.Errorf("got %v", err)
	}
}

func TestRepositoryWithinTheWorkspaceIsRefused(t *testing.T) {
	tr := newTrap(t)
	tests := map[string]func(r, inner repo){
		"untracked": func(_, _ repo) {},
		"staged":    func(r, _ repo) { r.git("add", "inner") },
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			r.mkdir("inner")
			inner := repo{t, r.path("inner")}
			inner.git("init", "--quiet")
			inner.write("file", "x")
			inner.commit("inner")
			prepare(r, inner)
			rig(inner, newTrapAt(tr, t))
			inner.write("file", "changed")
			_, err := r.open().Pack(t.Context(), workspace.PackOptions{Uncommitted: true}, io.Discard)
			if err == nil || !strings.Contains(err.Error(), "repository of its own") || !strings.Contains(hintsOf(err), "ignore the inner") {
				t.Errorf("got %v", err)
			}
			if got := tr.sprung(); got != "" {
				t.Errorf("ran:\n%s", got)
			}
			must(t, os.WriteFile(r.path(".git/info/exclude"), []byte("inner/\n"), 0o644))
			r.git("rm", "--cached", "--quiet", "--ignore-unmatch", "--force", "inner")
			if _, err := r.open().Pack(t.Context(), workspace.PackOptions{Uncommitted: true}, io.Discard); err != nil {
				t.Errorf("ignored, it still matters: %v", err)
			}
		})
	}
}

// newTrapAt gives a trap with the mark of tr and a folder of its own.
func newTrapAt(tr trap, t *testing.T) trap {
	t.Helper()
	program := filepath.Join(t.TempDir(), "trap")
	content, err := os.ReadFile(tr.program)
	must(t, err)
	must(t, os.WriteFile(program, content, 0o755))
	return trap{t, program, tr.mark}
}
