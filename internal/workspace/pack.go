package workspace

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/action/internal/gitpath"
)

// Base is what the guest was given and what its changes are counted from.
type Base struct {
	Commit  string `json:"commit"`            // object id of the commit that was checked out
	Tree    string `json:"tree"`              // object id of the tree of all files that were sent
	Branch  string `json:"branch,omitempty"`  // short name; empty where HEAD is detached
	Shallow bool   `json:"shallow,omitempty"` // the guest's history is cut, as the checkout's is
}

// PackOptions say what is sent besides what HEAD reaches.
type PackOptions struct {
	// Uncommitted sends the files as they lie in the working tree: tracked
	// ones, changed or deleted, and untracked ones that neither the
	// repository nor the user's own git config ignores.
	Uncommitted bool
	// TempDir is the folder in which the repository for the guest is made;
	// the system's if empty. Pack leaves nothing in it.
	TempDir string
}

// Pack writes the checkout as one tar to w: .git, a repository without remote,
// tags, hooks, and any object that HEAD doesn't reach, then the files. Owner and
// group of all entries are 0; whoever unpacks gives them theirs.
//
// The checkout isn't written to, and none of the programs it configures runs.
// (Git may renew the time of change of objects that are there already.)
// Ending ctx ends git.
func (c *Checkout) Pack(ctx context.Context, opts PackOptions, w io.Writer) (_ Base, err error) {
	temp, err := os.MkdirTemp(opts.TempDir, "workspace-")
	if err != nil {
		return Base{}, c.errorf("making a folder to pack in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()

	s, err := c.newStore(ctx, temp)
	if err != nil {
		return Base{}, err
	}
	if err := s.chooseTree(ctx, opts); err != nil {
		return Base{}, err
	}
	pack, err := s.fill(ctx)
	if err != nil {
		return Base{}, err
	}
	tw := tar.NewWriter(w)
	if err := s.writeTar(ctx, tw, pack); err != nil {
		return Base{}, c.errorf("writing workspace: %w", err)
	}
	return s.base, nil
}

// newStore makes the store and fills in what HEAD is now.
func (c *Checkout) newStore(ctx context.Context, temp string) (*store, error) {
	commit, err := c.head(ctx)
	if err != nil {
		return nil, err
	}
	branch, err := c.branch(ctx)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(temp, ".git")
	s, err := newStore(c, dir, Base{Commit: commit, Branch: branch})
	if err != nil {
		return nil, c.errorf("making a repository to pack from: %w", err)
	}
	if err := s.trimShallow(ctx); err != nil {
		return nil, c.objectsError("reading history: %w", err)
	}
	s.base.Shallow = exists(filepath.Join(dir, "shallow"))
	return s, nil
}

// chooseTree sets the tree that is sent: that of the commit, or the working
// tree's.
func (s *store) chooseTree(ctx context.Context, opts PackOptions) error {
	if opts.Uncommitted {
		excludes, err := s.userExcludes(ctx)
		if err != nil {
			return s.checkout.errorf("reading the user's git config: %w", err)
		}
		if s.base.Tree, err = s.snapshot(ctx, excludes); err != nil {
			return s.checkout.errorf("taking uncommitted changes: %w", err)
		}
		return nil
	}
	tree, err := s.output(ctx, "", "rev-parse", "--verify", s.base.Commit+"^{tree}")
	if err != nil {
		return s.checkout.objectsError("reading HEAD: %w", err)
	}
	s.base.Tree = strings.TrimSpace(tree)
	entries, err := s.output(ctx, "", "ls-tree", "-r", "-z", "--full-tree", s.base.Tree)
	if err != nil {
		return s.checkout.objectsError("listing files of HEAD: %w", err)
	}
	return s.checkout.refuseGitlinks(entries)
}

// userExcludes gives the user's own exclude file: what people keep out of every
// repository is not to be sent either. Only config of the user and the system
// is read, never the checkout's.
func (s *store) userExcludes(ctx context.Context) (string, error) {
	cmd := s.command(ctx, "config", "--type=path", "--get", "core.excludesFile")
	home, _ := os.UserHomeDir()
	xdg := os.Getenv("XDG_CONFIG_HOME")
	if xdg == "" {
		xdg = filepath.Join(home, ".config")
	}
	cmd.Env = []string{"PATH=" + filepath.Dir(s.program), "LC_ALL=C", "HOME=" + home, "XDG_CONFIG_HOME=" + xdg}
	out, err := capture(cmd)
	if exitCode(err) == 1 {
		return filepath.Join(xdg, "git", "ignore"), nil // git's default, see gitignore(5)
	}
	return strings.TrimSuffix(out, "\n"), err
}

// fill gives the store its objects, refs and index, and the name of its pack.
func (s *store) fill(ctx context.Context) (string, error) {
	pack, err := s.pack(ctx)
	if err != nil {
		return "", err
	}
	if err := errors.Join(s.writeRefs(), s.resetIndex(ctx)); err != nil {
		return "", s.checkout.errorf("making a repository to send: %w", err)
	}
	return pack, nil
}

// writeTar writes the repository and the files.
func (s *store) writeTar(ctx context.Context, tw *tar.Writer, pack string) error {
	if err := s.writeRepository(tw, pack); err != nil {
		return err
	}
	if err := s.writeFiles(ctx, tw); err != nil {
		return err
	}
	return tw.Close()
}

// writeRepository writes those parts of the store that the guest gets, by name:
// the rest (alternates, attributes, loose objects, copied excludes) stays here.
func (s *store) writeRepository(tw *tar.Writer, pack string) error {
	if err := writeFolder(tw, ".git"); err != nil {
		return err
	}
	for _, folder := range storeFolders {
		if err := writeFolder(tw, ".git/"+folder); err != nil {
			return err
		}
	}
	names := []string{"HEAD", "config", "packed-refs", "index", "objects/pack/" + pack + ".pack", "objects/pack/" + pack + ".idx"}
	if s.base.Shallow {
		names = append(names, "shallow")
	}
	for _, name := range names {
		if err := writeFile(tw, ".git/"+name, filepath.Join(s.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func writeFolder(tw *tar.Writer, name string) error {
	return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755})
}

func writeFile(tw *tar.Writer, name, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: info.Size(), ModTime: info.ModTime()}
	if err := tw.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(tw, file)
	return err
}

// writeFiles writes the files of the base's tree. They come as git archive's
// tar, so no second working tree is ever made on the host.
func (s *store) writeFiles(ctx context.Context, tw *tar.Writer) error {
	cmd := s.command(ctx, "archive", "--format=tar", s.base.Tree)
	message := &boundedBuffer{max: maxGitMessage}
	cmd.Stderr = message
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	copied := copyEntries(tw, tar.NewReader(out))
	if copied == nil {
		_, copied = io.Copy(io.Discard, out) // the padding after the end mark
	}
	out.Close() // a git that still writes ends by SIGPIPE
	if err := cmd.Wait(); err != nil && copied == nil {
		return gitError(cmd, message, err)
	}
	return copied
}

func copyEntries(tw *tar.Writer, tr *tar.Reader) error {
	buffer := make([]byte, 64<<10)
	for {
		header, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading git archive: %w", err)
		}
		if err := copyEntry(tw, tr, header, buffer); err != nil {
			return fmt.Errorf("writing %q: %w", header.Name, err)
		}
	}
}

// copyEntry writes one entry with what a tree of git's can say about it, and
// nothing more. The buffer is for its content.
func copyEntry(tw *tar.Writer, tr *tar.Reader, from *tar.Header, buffer []byte) error {
	to := &tar.Header{Typeflag: from.Typeflag, Name: from.Name, ModTime: from.ModTime}
	switch from.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil
	case tar.TypeDir:
		to.Mode = 0o755
	case tar.TypeSymlink:
		to.Mode, to.Linkname = 0o777, from.Linkname
	case tar.TypeReg:
		to.Mode, to.Size = 0o644|from.Mode&0o111, from.Size
	default:
		return fmt.Errorf("unexpected type %q", from.Typeflag)
	}
	if first, _, _ := strings.Cut(from.Name, "/"); gitpath.Fold(first) == gitpath.FoldedGit {
		return errors.New("git itself refuses this name")
	}
	if err := tw.WriteHeader(to); err != nil {
		return err
	}
	_, err := io.CopyBuffer(tw, tr, buffer)
	return err
}
