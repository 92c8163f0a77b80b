package workflow

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// Source is the files of a checkout or of a commit.
type Source interface {
	// List gives the paths of all files below folder, at any depth, as Gitea looks for
	// workflows; MaxFiles+1 of them are enough. An error that is fs.ErrNotExist says
	// that there is no such folder; after any other one the folder counts as exposed.
	List(folder string) ([]string, error)
	// Read gives a file of at most MaxFile bytes. After an error it counts as exposed.
	Read(name string) ([]byte, error)
}

// checkout is a Source of files on a disk, which links don't leave.
type checkout struct{ root *os.Root }

// List gives no more than is looked at.
func (c checkout) List(folder string) (names []string, err error) {
	err = fs.WalkDir(c.root.FS(), folder, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case len(names) > MaxFiles:
			return fs.SkipAll
		case !d.IsDir():
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// Read gives a regular file.
func (c checkout) Read(name string) ([]byte, error) {
	info, err := c.root.Stat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > MaxFile {
		return nil, errors.New("not a file of a workflow's size")
	}
	f, err := c.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxFile))
}
