package guest

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
)

// Untar unpacks the tar from r below dir, which exists. Nothing is made or changed
// outside of dir, whatever names and links the tar has. Owners are not taken
// over: all belongs to who unpacks. Files, folders and symbolic links are known;
// anything else is an error.
func Untar(r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("opening %q: %w", dir, err)
	}
	defer root.Close()
	u := &unpacker{root: root}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("reading the tar: %w", err)
		}
		if err := u.unpack(tr, h); err != nil {
			return fmt.Errorf("unpacking %q: %w", h.Name, err)
		}
	}
	if err := u.finish(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r) // tar pads its end, and who sends shouldn't see a broken pipe
	return err
}

// folder is one whose mode is set in the end, when nothing needs to be written
// into it any more.
type folder struct {
	name string
	mode fs.FileMode
}

type unpacker struct {
	root    *os.Root
	folders []folder
}

func (u *unpacker) unpack(r io.Reader, h *tar.Header) error {
	name := path.Clean(h.Name)
	if name == "." {
		return nil
	}
	if err := u.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(h.Mode).Perm()
	switch h.Typeflag {
	case tar.TypeDir:
		u.folders = append(u.folders, folder{name, mode})
		return u.root.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		return u.root.Symlink(h.Linkname, name)
	case tar.TypeReg:
		return u.unpackFile(r, name, mode)
	}
	return fmt.Errorf("a tar entry of type %q", h.Typeflag)
}

func (u *unpacker) unpackFile(r io.Reader, name string, mode fs.FileMode) error {
	f, err := u.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Chmod(mode), f.Close())
}

// finish sets the modes of folders, the innermost first.
func (u *unpacker) finish() error {
	for _, f := range slices.Backward(u.folders) {
		if err := u.root.Chmod(f.name, f.mode); err != nil {
			return fmt.Errorf("unpacking %q: %w", f.name, err)
		}
	}
	return nil
}
