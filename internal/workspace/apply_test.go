package workspace_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/workspace"
)

// conflicts gives the reasons for which err says that a patch doesn't fit.
func conflicts(t *testing.T, err error) map[string]string {
	t.Helper()
	conflict, ok := errors.AsType[*workspace.ConflictError](err)
	if !ok {
		t.Fatalf("got %v, want a ConflictError", err)
	}
	if stage := term.StageOf(err, ""); stage != term.StageCollect {
		t.Errorf("stage is %q", stage)
	}
	all := map[string]string{}
	for _, one := range conflict.Conflicts {
		all[one.Path] = one.Reason
	}
	return all
}

// agentPatch makes a patch that changes, adds and removes files.
func agentPatch(t *testing.T) (repo, *workspace.Patch) {
	t.Helper()
	r := newRepo(t)
	inside, base := r.guest(workspace.PackOptions{})
	inside.write("README.md", strings.Replace(r.read("README.md"), "three", "3", 1))
	inside.write("added/new.txt", "new\n")
	inside.write("blob.bin", "\x00new")
	inside.remove("deep/er/file")
	inside.chmod("src/main.go", 0o755)
	return r, inside.patch(base)
}

func TestConflictLeavesEverythingUnchanged(t *testing.T) {
	original, patch := agentPatch(t)
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "file"), []byte("content\n"), 0o600))
	link := func(r repo, target, name string) {
		r.remove(name)
		must(t, os.Symlink(target, r.path(name)))
	}
	tests := map[string]struct {
		change func(r repo)
		path   string
		reason string
	}{
		"line changed":           {func(r repo) { r.write("README.md", strings.Replace(r.read("README.md"), "four", "4", 1)) }, "README.md", "lines around"},
		"line moved":             {func(r repo) { r.write("README.md", "moved\n"+r.read("README.md")) }, "README.md", "lines around"},
		"binary changed":         {func(r repo) { r.write("blob.bin", r.read("blob.bin")+"x") }, "blob.bin", "isn't what the agent was given"},
		"deleted one changed":    {func(r repo) { r.write("deep/er/file", "content\nmore\n") }, "deep/er/file", "isn't what the agent was given"},
		"gone":                   {func(r repo) { r.remove("README.md") }, "README.md", "isn't there"},
		"folder gone":            {func(r repo) { r.remove("deep") }, "deep/er/file", "isn't there"},
		"there already":          {func(r repo) { r.write("added/new.txt", "mine\n") }, "added/new.txt", "there already"},
		"there, same content":    {func(r repo) { r.write("added/new.txt", "new\n") }, "added/new.txt", "there already"},
		"there in another case":  {func(r repo) { r.write("added/NEW.txt", "mine\n") }, "added/new.txt", "case only"},
		"folder in another case": {func(r repo) { r.write("Added/other", "mine\n") }, "added/new.txt", "case only"},
		"file is a folder":       {func(r repo) { r.remove("README.md"); r.mkdir("README.md") }, "README.md", "isn't a plain file"},
		"folder is a file":       {func(r repo) { r.write("added", "mine\n") }, "added/new.txt", "isn't a folder"},
		"file is a pipe": {func(r repo) {
			r.remove("README.md")
			must(t, syscall.Mkfifo(r.path("README.md"), 0o644))
		}, "README.md", "isn't a plain file"},
		"file is a link outside":    {func(r repo) { link(r, filepath.Join(outside, "file"), "deep/er/file") }, "deep/er/file", "isn't a plain file"},
		"file is a link inside":     {func(r repo) { r.write("other", "content\n"); link(r, "../../other", "deep/er/file") }, "deep/er/file", "isn't a plain file"},
		"folder is a link outside":  {func(r repo) { r.remove("deep"); r.mkdir("deep"); link(r, outside, "deep/er") }, "deep/er/file", "isn't a folder"},
		"folder is a link inside":   {func(r repo) { r.write("real/er/file", "content\n"); link(r, "real", "deep") }, "deep/er/file", "isn't a folder"},
		"new folder is a link":      {func(r repo) { link(r, outside, "added") }, "added/new.txt", "isn't a folder"},
		"new file is a dead link":   {func(r repo) { r.mkdir("added"); link(r, outside+"/made", "added/new.txt") }, "added/new.txt", "there already"},
		"new folder is a dead link": {func(r repo) { link(r, outside+"/made", "added") }, "added/new.txt", "isn't a folder"},
		"mode change of a link":     {func(r repo) { link(r, "../run.sh", "src/main.go") }, "src/main.go", "isn't a plain file"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := original.copy(t)
			test.change(r)
			before, away := r.state(), stateOf(t, outside)
			for _, check := range []bool{true, false} {
				err := workspace.Apply(t.Context(), r.dir, patch, workspace.ApplyOptions{Check: check})
				if got := conflicts(t, err); len(got) != 1 || !strings.Contains(got[test.path], test.reason) {
					t.Errorf("conflicts are %q, want %q: %q", got, test.path, test.reason)
				}
			}
			sameState(t, before, r.state())
			sameState(t, away, stateOf(t, outside))
		})
	}
}

func TestAllConflictsAreSaid(t *testing.T) {
	r, patch := agentPatch(t)
	r.write("README.md", "x\n")
	r.remove("blob.bin")
	r.write("added/new.txt", "x\n")
	err := apply(t.Context(), r, patch)
	want := "error: folder \"" + r.dir + "\": the patch doesn't fit: 3 conflicts, nothing was changed\n" +
		"       \"README.md\": it isn't what the agent was given, and the lines around the change differ too\n" +
		"       \"added/new.txt\": it is there already\n" +
		"       \"blob.bin\": it isn't there\n"
	if got := term.Explain(err); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestOtherChangesToTheSameFileStay(t *testing.T) {
	r, patch := agentPatch(t)
	r.write("README.md", r.read("README.md")+"six\nseven\n")
	must(t, apply(t.Context(), r, patch))
	if got := r.read("README.md"); got != "# sample\n\none\ntwo\n3\nfour\nfive\nsix\nseven\n" {
		t.Errorf("got %q", got)
	}
}

func TestFilesKeptWithCRLFStaySo(t *testing.T) {
	r := newRepo(t)
	r.write(".gitattributes", "*.txt text eol=crlf\n")
	r.write("dos.txt", "one\r\ntwo\r\nthree\r\n")
	r.commit("attributes")
	inside, base := r.guest(workspace.PackOptions{})
	inside.write("dos.txt", "one\r\n2\r\nthree\r\n")
	must(t, apply(t.Context(), r, inside.patch(base)))
	if got := r.read("dos.txt"); got != "one\r\n2\r\nthree\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestPermissionsAndOwnerStay(t *testing.T) {
	r, patch := agentPatch(t)
	r.chmod("README.md", 0o640)
	r.chmod("src/main.go", 0o640)
	uid := os.Getuid()
	if uid == 0 {
		uid = 12345
		for _, name := range []string{".", "README.md", "src", "src/main.go"} {
			must(t, os.Chown(r.path(name), uid, uid))
		}
	}
	must(t, apply(t.Context(), r, patch))
	for name, mode := range map[string]os.FileMode{"README.md": 0o640, "src/main.go": 0o750, "added": 0o755 | os.ModeDir, "added/new.txt": 0o644} {
		info, err := os.Lstat(r.path(name))
		must(t, err)
		if info.Mode() != mode&^(umask()) {
			t.Errorf("%q has mode %v, want %v", name, info.Mode(), mode)
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != uid {
			t.Errorf("%q belongs to %d, want %d", name, owner, uid)
		}
	}
}

// umask reads the process's umask.
func umask() os.FileMode {
	mask := syscall.Umask(0o022)
	syscall.Umask(mask)
	return os.FileMode(mask)
}

func TestHardLinksOfAFileAreNotWrittenThrough(t *testing.T) {
	r, patch := agentPatch(t)
	other := filepath.Join(t.TempDir(), "other")
	must(t, os.Link(r.path("README.md"), other))
	want := r.read("README.md")
	must(t, apply(t.Context(), r, patch))
	got, err := os.ReadFile(other)
	must(t, err)
	if string(got) != want {
		t.Errorf("the other name of the file holds %q now", got)
	}
}

func TestEmptiedFoldersGoAndOthersStay(t *testing.T) {
	r, patch := agentPatch(t)
	r.write("deep/other", "x")
	must(t, apply(t.Context(), r, patch))
	if _, err := os.Lstat(r.path("deep/er")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the emptied folder: %v", err)
	}
	if got := r.read("deep/other"); got != "x" {
		t.Errorf("the file beside holds %q", got)
	}
}

// git takes any folder with HEAD, objects and refs for a repository and obeys
// its config: a patch may neither complete one nor change one that is there.
func TestBareRepositoryInTheWorkspaceIsNotChanged(t *testing.T) {
	tr := newTrap(t)
	r := newRepo(t)
	r.mkdir("fixture")
	bare := repo{t, r.path("fixture")}
	bare.git("init", "--quiet", "--bare")
	bare.write("refs/keep", "")
	bare.write("objects/keep", "")
	r.commit("fixture")
	inside, base := r.guest(workspace.PackOptions{})
	inside.write("fixture/config", inside.read("fixture/config")+"\tfsmonitor = "+tr.program+"\n\tworktree = ..\n")
	inside.write("fixture/hooks/post-checkout", "x\n")
	inside.write("fixture/description", "fine\n")
	patch := inside.patch(base)
	got := conflicts(t, apply(t.Context(), r, patch))
	if len(got) != 2 || !strings.Contains(got["fixture/config"], "git obeys") || !strings.Contains(got["fixture/hooks/post-checkout"], "git obeys") {
		t.Errorf("conflicts are %q", got)
	}
}

func TestPatchThatLiesAboutItsResultIsNotApplied(t *testing.T) {
	r := newRepo(t)
	r.write("x", "x\n")
	for name, text := range map[string]string{
		"changed":         strings.Replace(changeFile("x"), nextID, strings.Repeat("1", 40), 1),
		"new":             strings.Replace(newFile("y"), someID, nextID, 1),
		"other removed":   strings.Replace(changeFile("x"), "-x", "-z", 1),
		"partly deleted":  "diff --git a/x b/x\ndeleted file mode 100644\nindex " + someID + ".." + zeros + "\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-z\n",
		"binary, to less": "diff --git a/x b/x\nindex " + someID + ".." + nextID + " 100644\nGIT binary patch\nliteral 0\nHcmV?d00001\n\n",
	} {
		patch, err := workspace.ParsePatch(strings.NewReader(text), workspace.Rules{})
		must(t, err)
		for _, reason := range conflicts(t, apply(t.Context(), r, patch)) {
			if !strings.Contains(reason, "contradicts itself") {
				t.Errorf("%s: the reason is %q", name, reason)
			}
		}
		if got := r.read("x"); got != "x\n" {
			t.Fatalf("%s: the file holds %q", name, got)
		}
	}
}

func TestApplyTwiceIsAConflict(t *testing.T) {
	r, patch := agentPatch(t)
	must(t, apply(t.Context(), r, patch))
	before := r.state()
	if got := conflicts(t, apply(t.Context(), r, patch)); len(got) == 0 {
		t.Error("no conflict")
	}
	sameState(t, before, r.state())
}

func TestApplyNeitherNeedsNorTouchesARepository(t *testing.T) {
	r, patch := agentPatch(t)
	r.remove(".git")
	t.Setenv("PATH", t.TempDir())
	must(t, apply(t.Context(), r, patch))
	if got := r.read("added/new.txt"); got != "new\n" {
		t.Errorf("got %q", got)
	}
}

func TestEndedContextChangesNothing(t *testing.T) {
	r, patch := agentPatch(t)
	before := r.state()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := apply(ctx, r, patch); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	sameState(t, before, r.state())
}

func TestApplyToWhatIsNoFolder(t *testing.T) {
	_, patch := agentPatch(t)
	err := workspace.Apply(t.Context(), filepath.Join(t.TempDir(), "nothing"), patch, workspace.ApplyOptions{})
	if !errors.Is(err, os.ErrNotExist) || term.StageOf(err, "") != term.StageCollect {
		t.Errorf("got %v", err)
	}
}
