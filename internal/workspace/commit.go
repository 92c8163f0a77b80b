package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bot-bottle/action/internal/term"
)

// Commit is one commit of a repository on the host, of which single files are
// read. They come from git's objects and never from the working tree, which a
// job may have changed; no filter of the repository's sees them.
type Commit struct {
	git git
	id  string
}

// OpenCommit opens the commit that rev names in the repository at dir, the top
// of a checkout or a bare one. Errors are of stage preflight; one of a rev that
// isn't there wraps fs.ErrNotExist.
func OpenCommit(ctx context.Context, dir, rev string) (*Commit, error) {
	wrong := func(err error) error {
		return term.Errorf(term.StagePreflight, fmt.Sprintf("repository %q", dir), "reading commit %q: %w", rev, err)
	}
	root, err := resolve(dir)
	if err != nil {
		return nil, wrong(err)
	}
	program, err := findGit()
	if err != nil {
		return nil, wrong(err)
	}
	g := git{program: program, dir: filepath.Join(root, ".git")}
	if !exists(g.dir) && looksBare(root) {
		g.dir = root
	}
	if strings.HasPrefix(rev, "-") { // git rev-parse would take it for an option
		return nil, wrong(fs.ErrNotExist)
	}
	out, err := g.output(ctx, "", "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	if exitCode(err) == 1 {
		return nil, wrong(fs.ErrNotExist)
	}
	if err != nil {
		return nil, wrong(err)
	}
	return &Commit{g, strings.TrimSpace(out)}, nil
}

// ID gives the commit's object id in hex.
func (c *Commit) ID() string { return c.id }

// maxListing bounds what git prints of a folder: room for ten thousand names.
const maxListing = 1 << 20

// Files gives the names of the plain files in a folder of the commit, without
// links; none if there is no such folder.
func (c *Commit) Files(ctx context.Context, folder string) ([]string, error) {
	entries, err := c.tree(ctx, strings.TrimSuffix(folder, "/")+"/")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.plain() {
			names = append(names, path.Base(e.path))
		}
	}
	return names, nil
}

// ReadBlob gives the content of a plain file of at most max bytes. What isn't
// there, or is a folder or a link, wraps fs.ErrNotExist.
func (c *Commit) ReadBlob(ctx context.Context, file string, max int64) ([]byte, error) {
	entries, err := c.tree(ctx, file)
	if err != nil {
		return nil, err
	}
	if len(entries) != 1 || entries[0].path != file || !entries[0].plain() {
		return nil, fmt.Errorf("reading %q of commit %s: %w", file, c.id, fs.ErrNotExist)
	}
	out, err := c.git.output(ctx, "", "cat-file", "-s", entries[0].object)
	if err != nil {
		return nil, fmt.Errorf("reading %q of commit %s: %w", file, c.id, err)
	}
	if size, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64); err != nil || size > max {
		return nil, fmt.Errorf("reading %q of commit %s: it has more than %d bytes", file, c.id, max)
	}
	out, err = c.git.output(ctx, "", "cat-file", "blob", entries[0].object)
	if err != nil {
		return nil, fmt.Errorf("reading %q of commit %s: %w", file, c.id, err)
	}
	return []byte(out), nil
}

// treeEntry is one line of git-ls-tree(1).
type treeEntry struct{ mode, object, path string }

// plain is true for regular files, executable or not.
func (e treeEntry) plain() bool { return e.mode == "100644" || e.mode == "100755" }

func (c *Commit) tree(ctx context.Context, file string) ([]treeEntry, error) {
	cmd := c.git.command(ctx, "ls-tree", "-z", "--full-tree", c.id, "--", file)
	out := &boundedBuffer{max: maxListing}
	cmd.Stdout = out
	err := run(cmd)
	if err == nil && out.kept.Len() >= maxListing {
		err = errors.New("there are too many files")
	}
	if err != nil {
		return nil, fmt.Errorf("listing %q of commit %s: %w", file, c.id, err)
	}
	var entries []treeEntry
	for line := range strings.SplitSeq(out.kept.String(), "\x00") {
		facts, name, found := strings.Cut(line, "\t")
		if fields := strings.Fields(facts); found && len(fields) == 3 {
			entries = append(entries, treeEntry{mode: fields[0], object: fields[2], path: name})
		}
	}
	return entries, nil
}
