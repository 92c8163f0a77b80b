package workspace_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/workspace"
)

// repo is a real repository made for one test.
type repo struct {
	t   testing.TB
	dir string
}

// templates holds a repository for each object format: making one takes ten
// processes, copying it none.
var templates string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "workspace-test-")
	if err != nil {
		panic(err)
	}
	templates = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// newRepo gives a repository with one commit of a few kinds of files.
func newRepo(t testing.TB) repo {
	t.Helper()
	return newRepoOf(t, "sha1")
}

// newRepoOf is newRepo with an object format. It isn't for parallel tests.
func newRepoOf(t testing.TB, format string) repo {
	t.Helper()
	template := repo{t, filepath.Join(templates, format)}
	if _, err := os.Lstat(template.dir); err != nil {
		template.make(format)
	}
	r := repo{t, filepath.Join(t.TempDir(), "check out")}
	must(t, os.CopyFS(r.dir, os.DirFS(template.dir)))
	r.git("update-index", "-q", "--refresh")
	return r
}

func (r repo) make(format string) {
	r.t.Helper()
	r.mkdir(".")
	r.git("init", "--quiet", "--initial-branch=feature/one", "--template=", "--object-format="+format)
	r.mkdir(".git/info")
	r.write("README.md", "# sample\n\none\ntwo\nthree\nfour\nfive\n")
	r.write("src/main.go", "package main\n\nfunc main() {}\n")
	r.write("run.sh", "#!/bin/sh\necho hello\n")
	r.chmod("run.sh", 0o755)
	r.write("blob.bin", "\x00\x01\x02"+strings.Repeat("binary", 100))
	r.write("deep/er/file", "content\n")
	r.write(".gitignore", "*.ignored\n")
	r.commit("first")
}

// gitEnv is a user's environment without any config.
func gitEnv() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.invalid", "GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@example.invalid",
		"GIT_ALLOW_PROTOCOL=file",
	}
}

// git runs git as the owner of the repository would.
func (r repo) git(args ...string) string {
	r.t.Helper()
	out, err := r.tryGit(nil, args...)
	if err != nil {
		r.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return out
}

func (r repo) tryGit(stdin []byte, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = r.dir, gitEnv(), bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (r repo) path(name string) string { return filepath.Join(r.dir, name) }

func (r repo) mkdir(name string) {
	r.t.Helper()
	must(r.t, os.MkdirAll(r.path(name), 0o755))
}

func (r repo) write(name, content string) {
	r.t.Helper()
	r.mkdir(filepath.Dir(name))
	must(r.t, os.WriteFile(r.path(name), []byte(content), 0o644))
}

func (r repo) chmod(name string, mode fs.FileMode) {
	r.t.Helper()
	must(r.t, os.Chmod(r.path(name), mode))
}

func (r repo) remove(name string) {
	r.t.Helper()
	must(r.t, os.RemoveAll(r.path(name)))
}

func (r repo) read(name string) string {
	r.t.Helper()
	content, err := os.ReadFile(r.path(name))
	must(r.t, err)
	return string(content)
}

func (r repo) commit(message string) string {
	r.t.Helper()
	r.git("add", "--all")
	r.git("commit", "--quiet", "--allow-empty", "-m", message)
	return r.head()
}

func (r repo) head() string {
	r.t.Helper()
	return strings.TrimSpace(r.git("rev-parse", "HEAD"))
}

// tree gives the id of the tree of all files as they lie there, whatever the
// index says.
func (r repo) tree() string {
	r.t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "git add --all && git write-tree")
	cmd.Dir, cmd.Env = r.dir, append(gitEnv(), "GIT_INDEX_FILE="+filepath.Join(r.t.TempDir(), "index"))
	out, err := cmd.Output()
	must(r.t, err)
	return strings.TrimSpace(string(out))
}

// files gives what git would keep of each file, by path.
func (r repo) files() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	must(r.t, fs.WalkDir(os.DirFS(r.dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == ".git" {
			return fs.SkipDir
		}
		info, err := entry.Info()
		if err != nil || info.IsDir() {
			return err
		}
		content, err := os.ReadFile(r.path(path))
		all[path] = fmt.Sprintf("%v %v %s", info.Mode().Type(), info.Mode()&0o100 != 0, content)
		return err
	}))
	return all
}

// copy gives the repository once more, in a folder of its own.
func (r repo) copy(t testing.TB) repo {
	t.Helper()
	to := repo{t, filepath.Join(t.TempDir(), "copy")}
	must(t, os.CopyFS(to.dir, os.DirFS(r.dir)))
	return to
}

// state describes each file beneath the folder, .git included: what Lstat and
// the content say.
func (r repo) state() map[string]string {
	r.t.Helper()
	return stateOf(r.t, r.dir)
}

func stateOf(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += " " + string(content)
			if !strings.Contains(path, "/.git/objects/") { // git renews the time of objects it needs
				text += " " + info.ModTime().String()
			}
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " -> " + target
		}
		rel, err := filepath.Rel(dir, path)
		all[rel] = text
		return err
	}))
	return all
}

// sameState fails where anything differs.
func sameState(t testing.TB, before, after map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if now, ok := after[name]; !ok {
			t.Errorf("%q is gone", name)
		} else if now != before[name] {
			t.Errorf("%q changed: %.200q, was %.200q", name, now, before[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if _, ok := before[name]; !ok {
			t.Errorf("%q is new", name)
		}
	}
}

// open opens the repository as workspace.
func (r repo) open() *workspace.Checkout {
	r.t.Helper()
	checkout, err := workspace.Open(r.t.Context(), r.dir)
	must(r.t, err)
	return checkout
}

// guest packs the repository and unpacks it somewhere else, as the guest does.
func (r repo) guest(opts workspace.PackOptions) (repo, workspace.Base) {
	r.t.Helper()
	var packed bytes.Buffer
	base, err := r.open().Pack(r.t.Context(), opts, &packed)
	must(r.t, err)
	inside := repo{r.t, filepath.Join(r.t.TempDir(), "guest")}
	inside.mkdir(".")
	untar(r.t, &packed, inside.dir)
	return inside, base
}

func untar(t testing.TB, r io.Reader, dir string) {
	t.Helper()
	tr := tar.NewReader(r)
	for {
		header, err := tr.Next()
		if err == io.EOF {
			return
		}
		must(t, err)
		path := filepath.Join(dir, header.Name)
		switch header.Typeflag {
		case tar.TypeDir:
			must(t, os.MkdirAll(path, 0o755))
		case tar.TypeSymlink:
			must(t, os.Symlink(header.Linkname, path))
		case tar.TypeReg:
			content, err := io.ReadAll(tr)
			must(t, err)
			must(t, os.WriteFile(path, content, header.FileInfo().Mode()))
		default:
			t.Fatalf("entry %q is of type %q", header.Name, header.Typeflag)
		}
	}
}

// diff runs in the guest what the host would have run there.
func (r repo) diff(base workspace.Base) []byte {
	r.t.Helper()
	argv := workspace.GuestDiff(base)
	cmd := exec.Command(argv[0], argv[1:]...)
	var out, message bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir}, &out, &message
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("guest diff: %v\n%s", err, message.String())
	}
	return out.Bytes()
}

// patch gathers the guest's changes, which must pass.
func (r repo) patch(base workspace.Base, allow ...string) *workspace.Patch {
	r.t.Helper()
	patch, err := workspace.ParsePatch(bytes.NewReader(r.diff(base)), workspace.Rules{Allow: allow})
	must(r.t, err)
	return patch
}

// canonical gives what WriteTo writes.
func canonical(t testing.TB, patch *workspace.Patch) []byte {
	t.Helper()
	var b bytes.Buffer
	_, err := patch.WriteTo(&b)
	must(t, err)
	return b.Bytes()
}

func apply(ctx context.Context, r repo, patch *workspace.Patch) error {
	return workspace.Apply(ctx, r.dir, patch, workspace.ApplyOptions{})
}

// rules gives the rules that err was refused by, by path.
func rules(t testing.TB, err error) map[string]workspace.Rule {
	t.Helper()
	refused, ok := errors.AsType[*workspace.RefusedError](err)
	if !ok {
		t.Fatalf("got %v, want a RefusedError", err)
	}
	all := map[string]workspace.Rule{}
	for _, refusal := range refused.Refusals {
		all[refusal.Path] = refusal.Rule
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
