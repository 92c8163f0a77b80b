package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// store is a repository that is made new for one Pack and becomes the guest's
// .git. It borrows the checkout's objects while it is made (and only then), and
// nothing else: its config, its attributes, its lack of hooks and remotes are
// ours, so reading the checkout's index and files through it runs nothing.
type store struct {
	git
	checkout *Checkout
	base     Base
}

// baseRef keeps the tree that changes are counted from, whatever the agent does
// to its branches and however often git collects garbage in the guest.
const baseRef = "refs/bot-bottle/base"

// rawAttributes outranks every .gitattributes of the tree (see
// gitattributes(5)): no filter has a driver here anyway, and an archive has to
// hold each file, unaltered.
const rawAttributes = "* -filter -export-ignore -export-subst\n"

// newStore makes the repository in dir, which must be empty.
func newStore(c *Checkout, dir string, base Base) (*store, error) {
	s := &store{git: git{program: c.git.program, dir: dir}, checkout: c, base: base}
	for _, folder := range storeFolders {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return nil, err
		}
	}
	for name, content := range s.files() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	return s, s.copyShallow()
}

// storeFolders are what git wants to see in a repository, parents first.
var storeFolders = []string{"info", "objects", "objects/info", "objects/pack", "refs", "refs/heads"}

func (s *store) files() map[string]string {
	return map[string]string{
		"HEAD":                    s.headFile(),
		"config":                  s.configFile(),
		"info/attributes":         rawAttributes,
		"objects/info/alternates": quotePath(s.checkout.objects) + "\n",
	}
}

func (s *store) headFile() string {
	if s.base.Branch == "" {
		return s.base.Commit + "\n"
	}
	return "ref: refs/heads/" + s.base.Branch + "\n"
}

func (s *store) configFile() string {
	config := "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n"
	if s.checkout.format == "sha1" {
		return config
	}
	config = strings.Replace(config, "version = 0", "version = 1", 1)
	return config + "[extensions]\n\tobjectformat = " + s.checkout.format + "\n"
}

// writeRefs records the branch and the base, once both are known.
func (s *store) writeRefs() error {
	refs := "# pack-refs with: sorted\n" + s.base.Tree + " " + baseRef + "\n"
	if s.base.Branch != "" {
		refs += s.base.Commit + " refs/heads/" + s.base.Branch + "\n"
	}
	return os.WriteFile(filepath.Join(s.dir, "packed-refs"), []byte(refs), 0o600)
}

// copyShallow brings the checkout's whole list of commits without parents, for
// trimShallow to cut to what is sent.
func (s *store) copyShallow() error {
	if s.checkout.shallow == "" {
		return nil
	}
	return copyFile(s.checkout.shallow, filepath.Join(s.dir, "shallow"))
}

// trimShallow leaves those entries that HEAD reaches: the others name commits
// of other branches.
func (s *store) trimShallow(ctx context.Context) error {
	if s.checkout.shallow == "" {
		return nil
	}
	path := filepath.Join(s.dir, "shallow")
	all, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	reached, err := s.output(ctx, "", "rev-list", "--max-parents=0", s.base.Commit)
	if err != nil {
		return err
	}
	roots, kept := strings.Fields(reached), ""
	for _, commit := range strings.Fields(string(all)) {
		if slices.Contains(roots, commit) {
			kept += commit + "\n"
		}
	}
	if kept == "" {
		return os.Remove(path) // HEAD reaches no cut: for the guest this isn't shallow
	}
	return os.WriteFile(path, []byte(kept), 0o600)
}

// snapshot takes the working tree as it is: tracked files, changed or not, and
// untracked ones that aren't ignored. It gives the tree that holds them.
func (s *store) snapshot(ctx context.Context, excludes string) (string, error) {
	if err := s.copyIndex(); err != nil {
		return "", fmt.Errorf("copying the index: %w", err)
	}
	if err := copyFile(s.checkout.exclude, filepath.Join(s.dir, "info/exclude")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("copying the exclude file: %w", err)
	}
	// An entry that is a repository of its own would make git look into it.
	if err := s.refuseIndexGitlinks(ctx); err != nil {
		return "", err
	}
	if err := run(s.worktreeCommand(ctx, "-c", "core.excludesFile="+excludes, "add", "--all", "--", ".")); err != nil {
		return "", err
	}
	if err := s.refuseIndexGitlinks(ctx); err != nil {
		return "", err
	}
	tree, err := s.output(ctx, "", "write-tree")
	return strings.TrimSpace(tree), err
}

// worktreeCommand prepares git with the checkout's files as working tree.
func (s *store) worktreeCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := s.command(ctx, append([]string{"--work-tree=" + s.checkout.root}, args...)...)
	cmd.Dir = s.checkout.root
	return cmd
}

func (s *store) refuseIndexGitlinks(ctx context.Context) error {
	entries, err := s.output(ctx, "", "ls-files", "--stage", "-z")
	if err != nil {
		return err
	}
	return s.checkout.refuseGitlinks(entries)
}

// copyIndex copies the checkout's index, and the parts it shares when it is
// split. The time of change goes with it: git compares it with the files' to
// know which of them it has to read again.
func (s *store) copyIndex() error {
	if !exists(s.checkout.index) {
		return nil
	}
	shared, err := filepath.Glob(filepath.Join(escapeGlob(filepath.Dir(s.checkout.index)), "sharedindex.*"))
	if err != nil {
		return err
	}
	for _, path := range shared {
		if err := copyFile(path, filepath.Join(s.dir, filepath.Base(path))); err != nil {
			return err
		}
	}
	return copyFile(s.checkout.index, filepath.Join(s.dir, "index"))
}

// pack writes what the base reaches as one pack and gives its name without
// suffix. Objects are written anew: none is linked.
func (s *store) pack(ctx context.Context) (string, error) {
	out, err := s.output(ctx, s.base.Commit+"\n"+s.base.Tree+"\n",
		"pack-objects", "--revs", "--quiet", "--delta-base-offset", "--no-use-bitmap-index", filepath.Join(s.dir, "objects/pack/pack"))
	if err != nil {
		return "", s.checkout.objectsError("packing objects: %w", err)
	}
	return "pack-" + strings.TrimSpace(out), nil
}

// resetIndex makes the index that of the commit, as after a clone.
func (s *store) resetIndex(ctx context.Context) error {
	if err := os.Remove(filepath.Join(s.dir, "index")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return run(s.command(ctx, "read-tree", s.base.Commit))
}

// copyFile copies a regular file with its time of change. The target must not
// be there.
func copyFile(from, to string) error {
	// Without O_NONBLOCK a pipe of that name would be waited for.
	source, err := os.OpenFile(from, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &fs.PathError{Op: "copy", Path: from, Err: errors.New("not a regular file")}
	}
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	if err := errors.Join(err, target.Close()); err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}

// quotePath writes path as a line of objects/info/alternates, which git reads
// with unquote_c_style when it begins with a quote.
func quotePath(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(path) + `"`
}
