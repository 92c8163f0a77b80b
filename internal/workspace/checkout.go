package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/action/internal/term"
)

// Checkout is a working tree with its repository on the host, opened for
// reading.
type Checkout struct {
	root    string // absolute, links resolved
	git     git    // on the checkout's own repository; see git for what it may do
	format  string // object format: "sha1" or "sha256"
	objects string // absolute paths of parts of the repository
	shallow string // "" where the repository isn't shallow
	index   string
	exclude string
}

// Root gives the absolute path of the working tree.
func (c *Checkout) Root() string { return c.root }

// Open judges whether dir is the top of a checkout that can be carried into a
// bottle. Errors are of stage usage (dir isn't there, isn't the top of a
// repository, is bare, has no commit, has submodules) or preflight (git isn't
// installed).
func Open(ctx context.Context, dir string) (*Checkout, error) {
	root, err := resolve(dir)
	if err != nil {
		return nil, term.Errorf(term.StageUsage, "", "opening workspace %q: %w", dir, err).
			WithHint("name the top folder of a checkout")
	}
	if err := checkIsTop(root); err != nil {
		return nil, err
	}
	program, err := findGit()
	if err != nil {
		return nil, term.Errorf(term.StagePreflight, "", "looking up git: %w", err).
			WithHint("install git on the host, or run without --workspace")
	}
	c := &Checkout{root: root, git: git{program: program, dir: filepath.Join(root, ".git")}}
	if err := c.readFacts(ctx); err != nil {
		return nil, err
	}
	if err := c.checkContent(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// resolve gives the absolute path of the folder dir.
func resolve(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	root, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(root)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", &fs.PathError{Op: "open", Path: root, Err: errors.New("not a folder")}
	}
	return root, nil
}

// checkIsTop tells what is wrong where root holds no .git.
func checkIsTop(root string) error {
	if exists(filepath.Join(root, ".git")) {
		return nil
	}
	if looksBare(root) {
		return bareError(root)
	}
	failed := term.Errorf(term.StageUsage, "", "opening workspace %q: not a git repository", root)
	for dir := filepath.Dir(root); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if exists(filepath.Join(dir, ".git")) {
			return failed.WithHint("it lies inside the repository %q: name that folder", dir)
		}
	}
	return failed.WithHint("name the top folder of a checkout, or make one there: git init, then commit")
}

func bareError(root string) error {
	return term.Errorf(term.StageUsage, "", "opening workspace %q: a bare repository has no files to work on", root).
		WithHint("name a checkout of it: git worktree add FOLDER, or git clone")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// looksBare tells whether dir is itself a repository's folder, by the three
// names that git requires there.
func looksBare(dir string) bool {
	for _, name := range []string{"HEAD", "objects", "refs"} {
		if !exists(filepath.Join(dir, name)) {
			return false
		}
	}
	return true
}

// readFacts asks git where the parts of the repository are.
func (c *Checkout) readFacts(ctx context.Context) error {
	cmd := c.git.command(ctx, "rev-parse", "--is-bare-repository", "--is-shallow-repository", "--show-object-format",
		"--git-path", "objects", "--git-path", "shallow", "--git-path", "index", "--git-path", "info/exclude")
	cmd.Dir = c.root
	out, err := capture(cmd)
	if err != nil {
		return c.errorf("reading repository: %w", err).
			WithHint("see what git -C %q status says about it", c.root)
	}
	facts := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(facts) != 7 {
		return c.errorf("reading repository: a path in it holds a line break")
	}
	if facts[0] == "true" {
		return bareError(c.root)
	}
	c.format, c.objects, c.index, c.exclude = facts[2], c.abs(facts[3]), c.abs(facts[5]), c.abs(facts[6])
	if facts[1] == "true" {
		c.shallow = c.abs(facts[4])
	}
	return nil
}

// checkContent refuses what can't be carried.
func (c *Checkout) checkContent(ctx context.Context) error {
	commit, err := c.head(ctx)
	if err != nil {
		return err
	}
	out, err := c.git.output(ctx, "", "ls-tree", "-r", "-z", "--full-tree", commit)
	if err != nil {
		return c.objectsError("listing files of HEAD: %w", err)
	}
	return c.refuseGitlinks(out)
}

// head gives the commit that is checked out.
func (c *Checkout) head(ctx context.Context) (string, error) {
	out, err := c.git.output(ctx, "", "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	if exitCode(err) == 1 {
		return "", c.errorf("reading HEAD: there is no commit yet").
			WithHint("commit something first: the agent's changes are told apart from that commit")
	}
	if err != nil {
		return "", c.objectsError("reading HEAD: %w", err)
	}
	return strings.TrimSpace(out), nil
}

// branch gives the short name of the branch that is checked out, "" where HEAD
// is detached.
func (c *Checkout) branch(ctx context.Context) (string, error) {
	out, err := c.git.output(ctx, "", "symbolic-ref", "--quiet", "HEAD")
	if exitCode(err) == 1 {
		return "", nil
	}
	if err != nil {
		return "", c.errorf("reading HEAD: %w", err)
	}
	name, ok := strings.CutPrefix(strings.TrimSpace(out), "refs/heads/")
	if !ok {
		return "", nil
	}
	return name, nil
}

// modeGitlink is the mode of a submodule in a tree or the index.
const modeGitlink = "160000"

// refuseGitlinks reads entries "MODE …TAB PATH NUL", as ls-tree -z and
// ls-files -s -z print them.
func (c *Checkout) refuseGitlinks(entries string) error {
	for entry := range strings.SplitSeq(entries, "\x00") {
		facts, path, _ := strings.Cut(entry, "\t")
		if strings.HasPrefix(facts, modeGitlink+" ") {
			return c.errorf("reading files: %q is a submodule or a repository of its own, which can't be carried", path).
				WithHint("name the submodule itself as workspace, or have git ignore the inner repository")
		}
	}
	return nil
}

// abs resolves a path that git gave relative to the root.
func (c *Checkout) abs(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.root, path)
}

// errorf makes an error about this checkout.
func (c *Checkout) errorf(format string, args ...any) *term.Error {
	return term.Errorf(term.StageUsage, fmt.Sprintf("workspace %q", c.root), format, args...)
}

// objectsError is an error of a command that reads objects: those of a partial
// clone may be missing, and fetching them would run what the repository names.
func (c *Checkout) objectsError(format string, args ...any) *term.Error {
	failed := c.errorf(format, args...)
	packs, _ := filepath.Glob(filepath.Join(escapeGlob(c.objects), "pack", "*.promisor"))
	if len(packs) > 0 {
		failed.WithHint("it is a partial clone: fetch what is missing (git fetch --refetch --no-filter) or clone without --filter")
	}
	return failed
}

// escapeGlob keeps filepath.Glob from reading path as a pattern.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
