package workspace_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/workspace"
)

func TestGuestGetsACleanClone(t *testing.T) {
	r := newRepo(t)
	must(t, os.Symlink("README.md", r.path("link")))
	r.write("names/with blank", "x\n")
	r.write("names/grün", "x\n")
	r.write(strings.Repeat("long/", 40)+"file", "x\n")
	commit := r.commit("second")
	inside, base := r.guest(workspace.PackOptions{})

	if base.Commit != commit || base.Branch != "feature/one" || base.Shallow {
		t.Errorf("base is %+v", base)
	}
	if got := inside.head(); got != commit {
		t.Errorf("HEAD is %s, want %s", got, commit)
	}
	if got := inside.git("status", "--porcelain"); got != "" {
		t.Errorf("the guest's status isn't clean:\n%s", got)
	}
	if got, want := inside.tree(), r.tree(); got != want || got != base.Tree {
		t.Errorf("trees: guest %s, host %s, base %s", got, want, base.Tree)
	}
	if got, want := inside.git("log", "--format=%H"), r.git("log", "--format=%H"); got != want {
		t.Errorf("history is %q, want %q", got, want)
	}
	if got := inside.git("symbolic-ref", "HEAD"); got != "refs/heads/feature/one\n" {
		t.Errorf("branch is %q", got)
	}
	inside.git("fsck", "--strict", "--full")
	inside.commit("the agent can commit")
	inside.git("gc", "--quiet", "--prune=now")
	inside.git("cat-file", "-e", base.Tree)
}

func TestGuestGetsNoObjectThatHeadDoesNotReach(t *testing.T) {
	r := newRepo(t)
	first := r.head()
	r.git("checkout", "--quiet", "-b", "other")
	r.write("secret.txt", "planted on another branch")
	r.commit("other")
	r.git("tag", "v1")
	r.git("checkout", "--quiet", "feature/one")
	r.git("hash-object", "-w", "README.md")
	r.write("README.md", "stashed\n")
	r.git("stash")
	r.git("remote", "add", "origin", "https://user:token-in-url@example.invalid/x")
	r.git("repack", "--quiet", "-a", "-d", "--write-bitmap-index")
	inside, base := r.guest(workspace.PackOptions{})

	want := r.git("rev-list", "--objects", "--no-object-names", first)
	got := inside.git("cat-file", "--batch-check=%(objectname)", "--batch-all-objects")
	if sorted(got) != sorted(want) {
		t.Errorf("the guest has objects\n%s\nwant\n%s", sorted(got), sorted(want))
	}
	if refs := inside.git("for-each-ref", "--format=%(refname)"); refs != "refs/bot-bottle/base\nrefs/heads/feature/one\n" {
		t.Errorf("refs are %q", refs)
	}
	if remotes := inside.git("remote"); remotes != "" {
		t.Errorf("remotes are %q", remotes)
	}
	for name, content := range inside.state() {
		if strings.Contains(content, "token-in-url") || strings.Contains(content, r.dir) {
			t.Errorf("%q tells of the host", name)
		}
	}
	if base.Commit != first {
		t.Errorf("base is %+v", base)
	}
}

func sorted(lines string) string {
	all := strings.Fields(lines)
	for i := range all {
		for j := i; j > 0 && all[j] < all[j-1]; j-- {
			all[j], all[j-1] = all[j-1], all[j]
		}
	}
	return strings.Join(all, "\n")
}

// F13: with git clone DIR, objects are hard links, and rewriting one changes
// what the original checks out.
func TestRewritingEveryObjectInTheGuestLeavesTheCheckoutUnchanged(t *testing.T) {
	r := newRepo(t)
	before := r.state()
	inodes := inodesOf(t, r.dir)
	inside, _ := r.guest(workspace.PackOptions{Uncommitted: true})
	must(t, filepath.WalkDir(inside.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if host, ok := inodes[inodeOf(t, path)]; ok {
			t.Errorf("%q is the host's %q", path, host)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
		return os.WriteFile(path, []byte("rewritten"), 0o600)
	}))
	sameState(t, before, r.state())
	r.git("fsck", "--strict")
}

type inode struct{ dev, ino uint64 }

func inodeOf(t *testing.T, path string) inode {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	stat := info.Sys().(*syscall.Stat_t)
	return inode{uint64(stat.Dev), stat.Ino}
}

func inodesOf(t *testing.T, dir string) map[inode]string {
	t.Helper()
	all := map[inode]string{}
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			all[inodeOf(t, path)] = path
		}
		return err
	}))
	return all
}

func TestShallowRepositoryStaysShallow(t *testing.T) {
	r := newRepo(t)
	r.git("checkout", "--quiet", "-b", "other")
	r.write("other", "x")
	r.commit("other 1")
	r.commit("other 2")
	r.git("checkout", "--quiet", "feature/one")
	r.write("second", "x")
	r.commit("second")
	r.commit("third")
	r.git("clone", "--quiet", "--depth=2", "--no-single-branch", "file://"+r.dir, "../shallow")
	shallow := repo{t, filepath.Join(filepath.Dir(r.dir), "shallow")}
	inside, base := shallow.guest(workspace.PackOptions{})

	if !base.Shallow {
		t.Error("the base isn't shallow")
	}
	if got := inside.git("rev-list", "--count", "HEAD"); got != "2\n" {
		t.Errorf("history has %s commits, want 2", got)
	}
	if got := len(strings.Fields(inside.read(".git/shallow"))); got != 1 {
		t.Errorf("%d commits are listed as cut, want that of HEAD's branch", got)
	}
	inside.git("fsck", "--strict")
	if got := inside.git("status", "--porcelain"); got != "" {
		t.Errorf("status: %s", got)
	}
}

func TestWholeBranchOfAShallowRepositoryIsNotShallow(t *testing.T) {
	r := newRepo(t)
	r.git("checkout", "--quiet", "-b", "long")
	r.commit("two")
	r.commit("three")
	r.git("checkout", "--quiet", "feature/one")
	r.git("clone", "--quiet", "--single-branch", "file://"+r.dir, "../shallow")
	shallow := repo{t, filepath.Join(filepath.Dir(r.dir), "shallow")}
	shallow.git("fetch", "--quiet", "--depth=1", "origin", "long:long")
	if shallow.git("rev-parse", "--is-shallow-repository") != "true\n" {
		t.Fatal("the checkout isn't shallow")
	}
	inside, base := shallow.guest(workspace.PackOptions{})
	if base.Shallow || inside.git("rev-parse", "--is-shallow-repository") != "false\n" {
		t.Errorf("base %+v is shallow, though its branch has one commit", base)
	}
}

func TestKindsOfCheckouts(t *testing.T) {
	tests := map[string]func(t *testing.T) repo{
		"detached": func(t *testing.T) repo {
			r := newRepo(t)
			r.git("checkout", "--quiet", "--detach")
			return r
		},
		"worktree": func(t *testing.T) repo {
			r := newRepo(t)
			r.git("worktree", "add", "--quiet", "-b", "side", "../side")
			return repo{t, filepath.Join(filepath.Dir(r.dir), "side")}
		},
		"worktree of a bare repository": func(t *testing.T) repo {
			r := newRepo(t)
			r.git("clone", "--quiet", "--bare", ".", "../bare.git")
			bare := repo{t, filepath.Join(filepath.Dir(r.dir), "bare.git")}
			bare.git("worktree", "add", "--quiet", "-b", "side", "../side")
			return repo{t, filepath.Join(filepath.Dir(r.dir), "side")}
		},
		"borrowed objects": func(t *testing.T) repo {
			r := newRepo(t)
			r.git("clone", "--quiet", "--shared", ".", "../borrower")
			return repo{t, filepath.Join(filepath.Dir(r.dir), "borrower")}
		},
		"sha256":      func(t *testing.T) repo { return newRepoOf(t, "sha256") },
		"odd folder":  func(t *testing.T) repo { return renamed(newRepo(t), `a "b": c\d#`) },
		"split index": func(t *testing.T) repo { r := newRepo(t); r.git("update-index", "--split-index"); return r },
		"index version 4, untracked cache": func(t *testing.T) repo {
			r := newRepo(t)
			r.git("update-index", "--index-version=4", "--untracked-cache")
			r.git("status")
			return r
		},
		"no index": func(t *testing.T) repo { r := newRepo(t); r.remove(".git/index"); return r },
		"sparse checkout": func(t *testing.T) repo {
			r := newRepo(t)
			r.git("sparse-checkout", "set", "--cone", "--sparse-index", "src")
			return r
		},
		"archive attributes": func(t *testing.T) repo {
			r := newRepo(t)
			r.write(".gitattributes", "deep export-ignore\nREADME.md export-subst\n")
			r.write("README.md", "$Format:%H$\n")
			r.commit("attributes")
			return r
		},
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			r := make(t)
			want := strings.TrimSpace(r.git("rev-parse", "HEAD^{tree}"))
			for _, uncommitted := range []bool{false, true} {
				inside, base := r.guest(workspace.PackOptions{Uncommitted: uncommitted})
				if base.Commit != r.head() || base.Tree != want {
					t.Errorf("uncommitted=%v: base is %+v, want commit %s, tree %s", uncommitted, base, r.head(), want)
				}
				if got := inside.git("status", "--porcelain"); got != "" {
					t.Errorf("uncommitted=%v: status: %s", uncommitted, got)
				}
				if got := inside.tree(); got != want {
					t.Errorf("uncommitted=%v: files are tree %s, want %s", uncommitted, got, want)
				}
				inside.git("fsck", "--strict")
			}
		})
	}
}

func renamed(r repo, name string) repo {
	r.t.Helper()
	to := filepath.Join(filepath.Dir(r.dir), name)
	must(r.t, os.Rename(r.dir, to))
	return repo{r.t, to}
}

// changeFiles makes changes of all kinds that aren't committed.
func changeFiles(r repo) {
	r.write("README.md", "changed\n")
	r.write("staged.txt", "staged\n")
	r.git("add", "staged.txt")
	r.write("staged.txt", "staged, then changed\n")
	r.write("untracked dir/file", "untracked\n")
	r.write("secret.ignored", "ignored\n")
	r.remove("src/main.go")
	r.git("rm", "--quiet", "deep/er/file")
	r.chmod("run.sh", 0o644)
}

func TestUncommittedChangesTravelAsFiles(t *testing.T) {
	r := newRepo(t)
	changeFiles(r)
	before := r.state()
	inside, base := r.guest(workspace.PackOptions{Uncommitted: true})
	sameState(t, before, r.state())

	want := " M README.md\n D deep/er/file\n M run.sh\n D src/main.go\n?? staged.txt\n?? \"untracked dir/\"\n"
	if got := inside.git("status", "--porcelain"); got != want {
		t.Errorf("status in the guest is\n%s\nwant\n%s", got, want)
	}
	if got := inside.read("staged.txt"); got != "staged, then changed\n" {
		t.Errorf("staged.txt holds %q", got)
	}
	if _, err := os.Lstat(inside.path("secret.ignored")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an ignored file travelled: %v", err)
	}
	if got := inside.tree(); got != base.Tree {
		t.Errorf("files are tree %s, base says %s", got, base.Tree)
	}
	if diff := inside.diff(base); len(diff) > 0 {
		t.Errorf("before the agent did anything, the patch is\n%s", diff)
	}
}

func TestUncommittedChangesStayHomeUnlessAskedFor(t *testing.T) {
	r := newRepo(t)
	want := strings.TrimSpace(r.git("rev-parse", "HEAD^{tree}"))
	changeFiles(r)
	inside, base := r.guest(workspace.PackOptions{})
	if got := inside.tree(); got != want || base.Tree != want {
		t.Errorf("guest has tree %s, base %s, want HEAD's %s", got, base.Tree, want)
	}
}

func TestUsersOwnExcludesAreHeeded(t *testing.T) {
	for name, config := range map[string]string{"default": "", "configured": "[core]\n\texcludesFile = ~/my-excludes\n"} {
		t.Run(name, func(t *testing.T) {
			home := repo{t, t.TempDir()}
			home.write(".config/git/ignore", "*.private\n")
			if config != "" {
				home.write(".gitconfig", config)
				home.write("my-excludes", "*.private\n")
				home.remove(".config")
			}
			t.Setenv("HOME", home.dir)
			t.Setenv("XDG_CONFIG_HOME", "")
			r := newRepo(t)
			r.write("key.private", "mine")
			r.write(".git/info/exclude", "*.local\n")
			r.write("notes.local", "mine too")
			r.write("fine", "not mine")
			inside, _ := r.guest(workspace.PackOptions{Uncommitted: true})
			if got := inside.git("status", "--porcelain"); got != "?? fine\n" {
				t.Errorf("the guest has besides HEAD's files: %s", got)
			}
		})
	}
}

// A file written in the same tick as the index, with the same size, is told
// apart only by reading it.
func TestRacilyCleanFileTravelsAsItIs(t *testing.T) {
	r := newRepo(t)
	r.write("README.md", strings.ToUpper(r.read("README.md")))
	index, err := os.Stat(r.path(".git/index"))
	must(t, err)
	must(t, os.Chtimes(r.path("README.md"), index.ModTime(), index.ModTime()))
	inside, _ := r.guest(workspace.PackOptions{Uncommitted: true})
	if got := inside.read("README.md"); !strings.HasPrefix(got, "# SAMPLE") {
		t.Errorf("the guest has %q", got)
	}
}

func TestFilesThatAreNoFilesDoNotTravel(t *testing.T) {
	r := newRepo(t)
	must(t, syscall.Mkfifo(r.path("pipe"), 0o644))
	must(t, os.Symlink("/etc/passwd", r.path("link")))
	inside, _ := r.guest(workspace.PackOptions{Uncommitted: true})
	if got := inside.git("status", "--porcelain"); got != "?? link\n" {
		t.Errorf("the guest has besides HEAD's files: %s", got)
	}
	if target, err := os.Readlink(inside.path("link")); target != "/etc/passwd" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
}

func TestPackLeavesNothingBehind(t *testing.T) {
	r := newRepo(t)
	changeFiles(r)
	before, temp := r.state(), t.TempDir()
	opts := workspace.PackOptions{Uncommitted: true, TempDir: temp}
	if _, err := r.open().Pack(t.Context(), opts, io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := r.open().Pack(t.Context(), opts, brokenPipe{}); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a writer that breaks gives %v", err)
	}
	checkout := r.open()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := checkout.Pack(ended, opts, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context gives %v", err)
	}
	left, err := os.ReadDir(temp)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	sameState(t, before, r.state())
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestPackTakesHeadAsItIsNow(t *testing.T) {
	r := newRepo(t)
	checkout := r.open()
	commit := r.commit("after open")
	base, err := checkout.Pack(t.Context(), workspace.PackOptions{}, io.Discard)
	must(t, err)
	if base.Commit != commit {
		t.Errorf("base is %s, want %s", base.Commit, commit)
	}
}

func TestCheckoutsOfAnotherUserCanBePacked(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can make one; root is also who meets them, under CI
	}
	r := newRepo(t)
	must(t, filepath.WalkDir(r.dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, 12345, 12345))
	}))
	var packed bytes.Buffer
	if _, err := r.open().Pack(t.Context(), workspace.PackOptions{Uncommitted: true}, &packed); err != nil {
		t.Error(err)
	}
}

func TestPipesInPlaceOfRepositoryFilesAreNotWaitedFor(t *testing.T) {
	for _, name := range []string{".git/index", ".git/info/exclude"} {
		r := newRepo(t)
		checkout := r.open()
		r.remove(name)
		must(t, syscall.Mkfifo(r.path(name), 0o644))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := checkout.Pack(ctx, workspace.PackOptions{Uncommitted: true}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s as a pipe gives %v", name, err)
		}
	}
}
