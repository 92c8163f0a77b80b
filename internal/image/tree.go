package image

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// Whiteouts (OCI image-spec, layer.md): a file with the prefix takes away what
// lower layers have under the rest of its name; the opaque one takes away
// everything that lower layers have in its folder.
const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
	whiteoutMeta   = ".wh..wh." // other bookkeeping of aufs
)

// Modes that everything gets: who reads an image in a guest is not its owner.
const (
	folderMode  = 0o755
	fileMode    = 0o644
	programMode = 0o755
)

// tree is a root file system in the making.
type tree struct {
	root *os.Root
	budget
	made    map[string]bool // paths that the layer at hand has made, which its own whiteouts leave alone
	holds   map[string]bool // folders in which it has made something
	written int64           // sizes of the files of all layers
	skipped int
}

// begin starts a layer.
func (t *tree) begin() { t.made, t.holds = map[string]bool{}, map[string]bool{} }

func (t *tree) mark(name string) {
	t.made[name] = true
	for dir := path.Dir(name); dir != "." && !t.holds[dir]; dir = path.Dir(dir) {
		t.holds[dir] = true
	}
}

// put makes one entry.
func (t *tree) put(h *tar.Header, content io.Reader) error {
	name, err := clean(h.Name)
	if err != nil {
		return err
	}
	if name == "." {
		return nil // the root itself is ours
	}
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	if err := t.parents(dir); err != nil {
		return err
	}
	switch gone, isWhiteout := strings.CutPrefix(base, whiteoutPrefix); {
	case base == whiteoutOpaque:
		return t.empty(dir)
	case strings.HasPrefix(base, whiteoutMeta):
		return nil
	case isWhiteout:
		return t.whiteOut(dir, gone)
	}
	return t.make(name, h, content)
}

func (t *tree) make(name string, h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		t.mark(name)
		return t.folder(name)
	case tar.TypeReg, tar.TypeGNUSparse:
		return t.replace(name, func() error { return t.file(name, h, content) })
	case tar.TypeSymlink:
		if len(h.Linkname) > maxPath || h.Linkname == "" || strings.ContainsRune(h.Linkname, 0) {
			return errors.New("its target is not a path")
		}
		return t.replace(name, func() error { return t.root.Symlink(h.Linkname, name) })
	case tar.TypeLink:
		return t.hardLink(name, h.Linkname)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		t.skipped++
		return nil
	case tar.TypeXGlobalHeader: // of the archive, such as git's: no entry
		return nil
	}
	return fmt.Errorf("it is of the kind %q, which no image has", h.Typeflag)
}

// clean gives name relative to the root, or refuses it.
func clean(name string) (string, error) {
	if len(name) > maxPath || strings.ContainsRune(name, 0) {
		return "", errors.New("its name is not a path")
	}
	parts := strings.Split(name, "/")
	if len(parts) > maxDepth {
		return "", fmt.Errorf("it lies deeper than %d folders", maxDepth)
	}
	for _, part := range parts {
		if part == ".." || len(part) > maxName {
			return "", errors.New("its name leads elsewhere")
		}
	}
	return cmp.Or(strings.TrimPrefix(path.Clean("/"+name), "/"), "."), nil
}

// parents makes the folders down to dir. A link on the way is refused: it would
// let one layer choose where another's files land.
func (t *tree) parents(dir string) error {
	if dir == "." {
		return nil
	}
	if err := t.parents(path.Dir(dir)); err != nil {
		return err
	}
	info, err := t.root.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := t.entry(); err != nil { // implied folders count as well
			return err
		}
		return t.root.Mkdir(dir, folderMode)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%q on the way to it is not a folder", dir)
	}
	return nil
}

func (t *tree) folder(name string) error {
	info, err := t.root.Lstat(name)
	if err == nil && info.IsDir() {
		return nil
	}
	return t.replace(name, func() error { return t.root.Mkdir(name, folderMode) })
}

// replace removes what is at name before do makes it anew: nothing is written
// through what a lower layer left there.
func (t *tree) replace(name string, do func() error) error {
	if err := t.root.RemoveAll(name); err != nil {
		return err
	}
	t.mark(name)
	return do()
}

func (t *tree) file(name string, h *tar.Header, content io.Reader) error {
	if t.written += h.Size; h.Size < 0 || t.written > t.limits.Bytes {
		return errTooLarge{t.limits.Bytes} // a sparse file is larger than its part of the stream
	}
	mode := fs.FileMode(fileMode)
	if h.Mode&0o111 != 0 {
		mode = programMode
	}
	f, err := t.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err != nil { // Chmod: not what our umask left of it
		return err
	}
	if year := h.ModTime.Year(); year < 1970 || year > 2200 { // which not every file system can store
		return nil
	}
	return t.root.Chtimes(name, time.Time{}, h.ModTime)
}

// hardLink links to a regular file that the image has by now.
func (t *tree) hardLink(name, target string) error {
	target, err := clean(target)
	if err != nil {
		return fmt.Errorf("its target: %w", err)
	}
	if err := t.noLink(target); err != nil {
		return fmt.Errorf("its target: %w", err)
	}
	if target == name {
		return nil
	}
	return t.replace(name, func() error { return t.root.Link(target, name) })
}

// noLink finds out whether name is a regular file that is reached through
// folders only.
func (t *tree) noLink(name string) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if info, err := t.root.Lstat(dir); err != nil || !info.IsDir() {
			return fmt.Errorf("%q is not a folder", dir)
		}
	}
	info, err := t.root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%q is not a regular file", name)
	}
	return nil
}

// whiteOut takes away what lower layers have at name in dir.
func (t *tree) whiteOut(dir, name string) error {
	if name == "" || name == "." || name == ".." {
		return errors.New("a whiteout of no name")
	}
	gone := path.Join(dir, name)
	if t.made[gone] {
		return nil
	}
	return t.root.RemoveAll(gone)
}

// empty takes away what lower layers have in dir.
func (t *tree) empty(dir string) error {
	entries, err := fs.ReadDir(t.root.FS(), dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() && (t.made[name] || t.holds[name]) {
			if err := t.empty(name); err != nil {
				return err
			}
			continue
		}
		if t.made[name] {
			continue
		}
		if err := t.root.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}
