package guest

import (
	"archive/tar"
	"bytes"
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
	end := &endReader{r: r}
	tr := tar.NewReader(end)
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
	if _, err := io.Copy(io.Discard, end); err != nil {
		return fmt.Errorf("reading the tar: %w", err)
	}
	if end.zeros < endZeros {
		return fmt.Errorf("reading the tar: %w", io.ErrUnexpectedEOF)
	}
	return u.finish()
}

// endZeros is how many zero bytes mark the end of a tar (tar(5)). Package tar
// takes one without for whole.
const endZeros = 1024

// endReader counts the zero bytes at the end of what it has read.
type endReader struct {
	r     io.Reader
	zeros int
}

// Read reads from the reader below.
func (e *endReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	last := bytes.TrimRight(p[:n], "\x00")
	if len(last) > 0 {
		e.zeros = 0
	}
	e.zeros += n - len(last)
	return n, err
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
