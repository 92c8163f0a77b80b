package workspace_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/workspace"
)

// noise gives n bytes that don't compress, the same each time.
func noise(seed uint64, n int) string {
	source := rand.NewChaCha8([32]byte{byte(seed)})
	b := make([]byte, n)
	_, _ = source.Read(b)
	return string(b)
}

// agentChanges are ways in which an agent may leave the workspace, each of
// which has to arrive.
var agentChanges = map[string]func(r repo){
	"nothing": func(repo) {},
	"text":    func(r repo) { r.write("README.md", strings.Replace(r.read("README.md"), "three", "3", 1)) },
	"two places": func(r repo) {
		r.write("long.txt", strings.NewReplacer("line 10\n", "ten\n", "line 90\n", "").Replace(r.read("long.txt")))
	},
	"first and last line": func(r repo) { r.write("long.txt", "zero\n"+r.read("long.txt")+"end") },
	"end of file added":   func(r repo) { r.write("noeol.txt", "a\nb\n") },
	"end of file removed": func(r repo) { r.write("README.md", strings.TrimSuffix(r.read("README.md"), "\n")) },
	"both without end":    func(r repo) { r.write("noeol.txt", "a\nc") },
	"emptied":             func(r repo) { r.write("README.md", "") },
	"filled":              func(r repo) { r.write("empty", "now\n") },
	"new":                 func(r repo) { r.write("new/folder/file.txt", "new\n") },
	"new and empty":       func(r repo) { r.write("also-empty", "") },
	"deleted":             func(r repo) { r.remove("deep"); r.remove("empty"); r.remove("blob.bin") },
	"new program":         func(r repo) { r.write("tool", "#!/bin/sh\n"); r.chmod("tool", 0o755) },
	"program no more":     func(r repo) { r.chmod("run.sh", 0o644) },
	"program and text":    func(r repo) { r.write("README.md", "x\n"); r.chmod("README.md", 0o755) },
	"new binary":          func(r repo) { r.write("new.bin", noise(1, 100_000)) },
	"binary, delta":       func(r repo) { r.write("big.bin", r.read("big.bin")[:150_000]+"\x00patch"+r.read("big.bin")[150_000:]) },
	"binary, literal":     func(r repo) { r.write("big.bin", noise(3, 1000)) },
	"binary becomes text": func(r repo) { r.write("blob.bin", "text\n") },
	"text becomes binary": func(r repo) { r.write("README.md", "a\x00b") },
	"binary emptied":      func(r repo) { r.write("blob.bin", "") },
	"odd names": func(r repo) {
		r.write(" a b ", "x\n")
		r.write("ü/\"q\"'", "x\n")
		r.write("-dash", "x\n")
		r.write("a\tb"[:1]+"é.txt", "")
	},
	"blank in changed name": func(r repo) { r.write("with blank", "changed\n"); r.write("with blank.bin", "\x00new") },
	"carriage returns":      func(r repo) { r.write("dos.txt", "one\r\nTWO\r\nthree\r\n") },
	"lines like a patch": func(r repo) {
		r.write("README.md", "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-- a\n++ b\n\\ No newline at end of file\n")
	},
	"odd bytes in text": func(r repo) { r.write("README.md", "\x1b[31m\xff\xfe\x01\r\f\v\u2028\n") },
	"long line":         func(r repo) { r.write("README.md", strings.Repeat("x", 1<<20)+"\n") },
	"committed":         func(r repo) { r.write("README.md", "x\n"); r.write("new", "x\n"); r.commit("agent") },
	"amended and staged": func(r repo) {
		r.write("new", "x\n")
		r.git("add", "new")
		r.git("commit", "--quiet", "--amend", "-m", "x")
	},
	"other branch":         func(r repo) { r.git("checkout", "--quiet", "--orphan", "z"); r.write("z", "x\n"); r.commit("z") },
	"told git to overlook": func(r repo) { r.write("README.md", "x\n"); r.git("update-index", "--assume-unchanged", "README.md") },
	"changed how git diffs": func(r repo) {
		for key, value := range map[string]string{
			"diff.noprefix": "true", "diff.mnemonicPrefix": "true", "color.ui": "always", "diff.external": "false", "diff.renames": "copies",
			"core.quotePath": "false", "diff.context": "0", "diff.interHunkContext": "9", "diff.submodule": "log", "diff.wsErrorHighlight": "all", "diff.relative": "true",
		} {
			r.git("config", key, value)
		}
		r.write("long.txt", strings.Replace(r.read("long.txt"), "line 50", "fifty", 1))
		must(r.t, os.Rename(r.path("run.sh"), r.path("ran.sh")))
	},
}

// newWideRepo is newRepo with the files that agentChanges change.
func newWideRepo(t *testing.T, format string) repo {
	t.Helper()
	r := newRepoOf(t, format)
	var long strings.Builder
	for i := range 100 {
		fmt.Fprintf(&long, "line %d\n", i)
	}
	r.write("long.txt", long.String())
	r.write("noeol.txt", "a\nb")
	r.write("empty", "")
	r.write("dos.txt", "one\r\ntwo\r\nthree\r\n")
	r.write("with blank", "x\n")
	r.write("with blank.bin", "\x00old")
	r.write("big.bin", "\x00"+noise(2, 300_000))
	r.commit("wide")
	return r
}

func TestEveryChangeArrives(t *testing.T) {
	for format, names := range map[string][]string{
		"sha1":   slices.Sorted(maps.Keys(agentChanges)),
		"sha256": {"text", "deleted", "new and empty", "binary, delta"},
	} {
		original := newWideRepo(t, format)
		given, base := original.guest(workspace.PackOptions{})
		for _, name := range names {
			t.Run(format+"/"+name, func(t *testing.T) {
				t.Parallel()
				r, inside := original.copy(t), given.copy(t)
				agentChanges[name](inside)
				patch := inside.patch(base)
				if patch.Empty() != (name == "nothing") {
					t.Errorf("Empty is %v", patch.Empty())
				}
				checkCanonical(t, patch)
				checkGitTakes(r.copy(t), inside, canonical(t, patch))
				checkApply(r, inside, patch)
			})
		}
	}
}

// checkApply wants Apply to make of r what the agent made of it.
func checkApply(r, inside repo, patch *workspace.Patch) {
	r.t.Helper()
	before := r.state()
	must(r.t, workspace.Apply(r.t.Context(), r.dir, patch, workspace.ApplyOptions{Check: true}))
	sameState(r.t, before, r.state())
	must(r.t, apply(r.t.Context(), r, patch))
	sameState(r.t, inside.files(), r.files())
}

// checkCanonical wants the canonical form to be a fixed point.
func checkCanonical(t *testing.T, patch *workspace.Patch) {
	t.Helper()
	written := canonical(t, patch)
	var allow []string
	for _, change := range patch.Files() {
		if change.AutoRun != "" {
			allow = append(allow, "*")
		}
	}
	again, err := workspace.ParsePatch(bytes.NewReader(written), workspace.Rules{Allow: allow})
	if err != nil {
		t.Fatalf("the canonical form is refused: %v\n%.300q", err, written)
	}
	if !bytes.Equal(canonical(t, again), written) || again.Digest() != patch.Digest() {
		t.Errorf("the canonical form isn't one:\n%.300q\nbecomes\n%.300q", written, canonical(t, again))
	}
}

// checkGitTakes wants real git to make the same of a patch.
func checkGitTakes(r, inside repo, patch []byte) {
	r.t.Helper()
	if len(patch) == 0 {
		return
	}
	if out, err := r.tryGit(patch, "apply", "--whitespace=nowarn", "-"); err != nil {
		r.t.Fatalf("git apply: %v\n%s\n%.300q", err, out, patch)
	}
	sameState(r.t, inside.files(), r.files())
}

func TestPatchOfUncommittedChangesFitsOnThem(t *testing.T) {
	r := newRepo(t)
	changeFiles(r)
	inside, base := r.guest(workspace.PackOptions{Uncommitted: true})
	inside.write("README.md", "changed\nand by the agent\n")
	inside.write("staged.txt", "agent\n")
	inside.remove("untracked dir")
	must(t, apply(t.Context(), r, inside.patch(base)))
	if got := r.read("README.md") + r.read("staged.txt"); got != "changed\nand by the agent\nagent\n" {
		t.Errorf("got %q", got)
	}
	if _, err := os.Lstat(r.path("untracked dir")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the emptied folder: %v", err)
	}
	if r.read("secret.ignored") != "ignored\n" {
		t.Error("the ignored file changed")
	}
}

func TestChangesAreDescribed(t *testing.T) {
	r := newWideRepo(t, "sha1")
	inside, base := r.guest(workspace.PackOptions{})
	inside.write("README.md", strings.Replace(r.read("README.md"), "three\n", "3\nand\n", 1))
	inside.remove("deep")
	inside.write("new.bin", "\x00\x01")
	inside.chmod("run.sh", 0o644)
	inside.write(".envrc", "x\n")
	patch := inside.patch(base, ".envrc")
	want := []workspace.Change{
		{Path: ".envrc", Kind: workspace.ChangeAdd, Added: 1, Mode: 0o644, AutoRun: "a shell or environment manager loads it when the folder is entered"},
		{Path: "README.md", Kind: workspace.ChangeModify, Added: 2, Deleted: 1, Mode: 0o644},
		{Path: "deep/er/file", Kind: workspace.ChangeDelete, Deleted: 1},
		{Path: "new.bin", Kind: workspace.ChangeAdd, Binary: true, Mode: 0o644},
		{Path: "run.sh", Kind: workspace.ChangeMode, Mode: 0o644},
	}
	got := patch.Files()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	got[0].Path = "changed"
	if patch.Files()[0].Path != ".envrc" {
		t.Error("Files gives what the patch holds, not a copy")
	}
}

// F08, with what git itself reports of it.
func TestWhatIsNoPlainFileDoesNotLeaveTheGuest(t *testing.T) {
	tests := map[string]struct {
		change func(r repo)
		want   map[string]workspace.Rule
	}{
		"symlink": {func(r repo) { must(r.t, os.Symlink("/etc/passwd", r.path("link"))) }, map[string]workspace.Rule{"link": workspace.RuleSymlink}},
		"file becomes symlink": {func(r repo) {
			r.remove("README.md")
			must(r.t, os.Symlink("../../etc/passwd", r.path("README.md")))
		}, map[string]workspace.Rule{"README.md": workspace.RuleSymlink}},
		"folder becomes symlink": {func(r repo) {
			r.remove("src")
			must(r.t, os.Symlink("/tmp", r.path("src")))
		}, map[string]workspace.Rule{"src": workspace.RuleSymlink}},
		"repository": {func(r repo) {
			r.mkdir("sub")
			inner := repo{r.t, r.path("sub")}
			inner.git("init", "--quiet")
			inner.commit("x")
		}, map[string]workspace.Rule{"sub": workspace.RuleGitlink}},
		"bare repository": {func(r repo) { r.git("init", "--quiet", "--bare", "bare") }, map[string]workspace.Rule{"bare/HEAD": workspace.RuleBareRepo}},
		"pipe":            {func(r repo) { must(r.t, syscall.Mkfifo(r.path("pipe"), 0o644)) }, nil},
		"socket": {func(r repo) {
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
			must(r.t, err)
			defer syscall.Close(fd)
			r.t.Chdir(r.dir) // the path of a socket is short
			must(r.t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: "socket"}))
		}, nil},
		"control characters": {func(r repo) { r.write("a\nb", "x\n") }, map[string]workspace.Rule{"a\nb": workspace.RuleBadPath}},
		"not UTF-8":          {func(r repo) { r.write("a\xffb", "x\n") }, map[string]workspace.Rule{"a\xffb": workspace.RuleBadPath}},
		"case":               {func(r repo) { r.write("new", "x\n"); r.write("NEW", "x\n") }, map[string]workspace.Rule{"new": workspace.RuleCollision}},
		"workflow":           {func(r repo) { r.write(".github/workflows/x.yml", "x\n") }, map[string]workspace.Rule{".github/workflows/x.yml": workspace.RuleAutoRun}},
		"attributes":         {func(r repo) { r.write("src/.gitattributes", "x\n") }, map[string]workspace.Rule{"src/.gitattributes": workspace.RuleGitFile}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			inside, base := r.guest(workspace.PackOptions{})
			test.change(inside)
			patch, err := workspace.ParsePatch(bytes.NewReader(inside.diff(base)), workspace.Rules{})
			if test.want == nil {
				must(t, err)
				if !patch.Empty() {
					t.Errorf("the patch holds %v", patch.Files())
				}
				return
			}
			if got := rules(t, err); fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("refused %v, want %v", got, test.want)
			}
			if patch != nil {
				t.Error("a refused patch is given")
			}
		})
	}
}

func TestSetuidFileLeavesTheGuestAsAPlainProgram(t *testing.T) {
	r := newRepo(t)
	inside, base := r.guest(workspace.PackOptions{})
	inside.write("tool", "x\n")
	inside.chmod("tool", 0o755|os.ModeSetuid|os.ModeSetgid)
	must(t, apply(t.Context(), r, inside.patch(base)))
	info, err := os.Lstat(r.path("tool"))
	must(t, err)
	if info.Mode()&^0o777 != 0 || info.Mode()&0o100 == 0 {
		t.Errorf("mode is %v", info.Mode())
	}
}

func TestRefusalIsSaidWithAHint(t *testing.T) {
	patch := newFile(".vscode/tasks.json") + newFile(".git/config") + newFile("a\\033[31m\\nb")
	_, err := workspace.ParsePatch(strings.NewReader(patch), workspace.Rules{})
	want := `error: refusing the patch: 3 of its changes may not pass
       ".vscode/tasks.json": an editor runs it when the folder is opened (auto-run)
       ".git/config": it lies in a repository's own folder (git-folder)
       "a\x1b[31m\nb": the path holds characters that aren't seen (bad-path)
hint: if such a change is wanted, name its path or folder with --allow
`
	if got := term.Explain(err); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if stage := term.StageOf(err, ""); stage != term.StageCollect {
		t.Errorf("stage is %q", stage)
	}
	if _, err = workspace.ParsePatch(strings.NewReader(newFile(".git/config")), workspace.Rules{}); hintsOf(err) != "" {
		t.Errorf("--allow is offered where it doesn't help: %q", hintsOf(err))
	}
}

func TestBounds(t *testing.T) {
	var many strings.Builder
	for i := range 100_000 {
		many.WriteString(newFile(fmt.Sprintf("f%d", i)))
	}
	bomb := "diff --git a/x b/x\nnew file mode 100644\nindex " + zeros + ".." + someID + "\nGIT binary patch\n" + zeroBomb
	tests := map[string]struct {
		patch string
		rules workspace.Rules
		want  string
	}{
		"too many files":    {many.String(), workspace.Rules{}, "more than 10000 files"},
		"one file too many": {newFile("a") + newFile("b") + newFile("c"), workspace.Rules{MaxFiles: 2}, "more than 2 files"},
		"too large":         {newFile("a"), workspace.Rules{MaxBytes: 100}, "more than 100 bytes"},
		"inflates":          {bomb, workspace.Rules{MaxBytes: 1 << 20}, "inflates to more"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := workspace.ParsePatch(strings.NewReader(test.patch), test.rules)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := workspace.ParsePatch(strings.NewReader(newFile("a")+newFile("b")), workspace.Rules{MaxFiles: 2}); err != nil {
		t.Errorf("as many files as allowed: %v", err)
	}
}

// The deepest paths that pass: judging a patch of them must not keep the host
// from its work. Quadratic ways of doing it took minutes.
func TestWorkOnHostileNamesIsBounded(t *testing.T) {
	var patch strings.Builder
	for i := range 1000 {
		patch.WriteString(newFile(strings.Repeat("x/", 98) + fmt.Sprint(i)))
	}
	start := time.Now()
	if _, err := workspace.ParsePatch(strings.NewReader(patch.String()), workspace.Rules{Allow: []string{"**/a/**/b/**"}}); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 20*time.Second { // seen: 0.6 s
		t.Errorf("it took %v", took)
	}
}

func TestPatchReadBackIsWithinTheBoundsOfTheFirstReading(t *testing.T) {
	r := newRepo(t)
	inside, base := r.guest(workspace.PackOptions{})
	inside.write("zeros.bin", strings.Repeat("\x00", 900_000)) // a few hundred bytes in the guest's patch
	diff := inside.diff(base)
	_, err := workspace.ParsePatch(bytes.NewReader(diff), workspace.Rules{MaxBytes: 1_000_000})
	if err == nil || !strings.Contains(err.Error(), "writing: more than") {
		t.Errorf("a canonical form of more than is allowed gives %v", err)
	}
	patch, err := workspace.ParsePatch(bytes.NewReader(diff), workspace.Rules{MaxBytes: 1_200_000})
	must(t, err)
	_, err = workspace.ParsePatch(bytes.NewReader(canonical(t, patch)), workspace.Rules{MaxBytes: 1_200_000})
	must(t, err)
}

// What the agent left is to rest while its changes are read: git must not be what
// wakes it up again.
func TestGuestDiffRunsNothingOfTheAgents(t *testing.T) {
	r := newRepo(t)
	inside, base := r.guest(workspace.PackOptions{})
	ran := filepath.Join(t.TempDir(), "ran")
	program := "#!/bin/sh\necho \"$0\" >>'" + ran + "'\ncat\n"
	for _, hook := range []string{"post-index-change", "pre-auto-gc", "reference-transaction"} {
		inside.write(".git/hooks/"+hook, program)
		inside.chmod(".git/hooks/"+hook, 0o755)
	}
	inside.write("tool", program)
	inside.chmod("tool", 0o755)
	tool := inside.path("tool")
	for _, key := range []string{"filter.x.clean", "filter.x.smudge", "filter.x.process", "core.fsmonitor", "diff.x.textconv", "diff.x.command", "diff.external", "core.pager"} {
		inside.git("config", key, "'"+tool+"'")
	}
	inside.write(".git/info/attributes", "* filter=x diff=x\n")
	inside.write(".gitattributes", "* filter=x diff=x\n")
	inside.write("README.md", "changed\n")
	if got := string(inside.diff(base)); !strings.Contains(got, "+changed") {
		t.Errorf("the change is not there:\n%s", got)
	}
	if said, err := os.ReadFile(ran); err == nil {
		t.Errorf("these ran:\n%s", said)
	}
	inside.git("status") // the twin: an ordinary git does run them
	if _, err := os.Stat(ran); err != nil {
		t.Errorf("nothing of it can run at all: %v", err)
	}
}

func TestGuestDiffFailsLoudlyWithoutTheBase(t *testing.T) {
	r := newRepo(t)
	inside, base := r.guest(workspace.PackOptions{})
	inside.remove(".git")
	inside.git("init", "--quiet")
	argv := workspace.GuestDiff(base)
	if err := runIn(t.Context(), inside.dir, argv); err == nil {
		t.Error("it ends with success")
	}
}

func runIn(ctx context.Context, dir string, argv []string) error {
	cmd := commandIn(ctx, dir, argv)
	return cmd.Run()
}
