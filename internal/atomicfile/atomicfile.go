// Package atomicfile writes small files whole: whoever reads one, also after a
// power failure, sees the old content or all of the new one, never a part. Which
// of the two a power failure leaves is not promised: the name is not synced.
package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
)

// Write makes or replaces the file at path. The folder must be one that only we
// can change. An error leaves what was there, and nothing beside it.
func Write(path string, data []byte, perm os.FileMode) error {
	temporary, err := synced(path, data, perm)
	if err != nil {
		return err
	}
	return orRemove(temporary, os.Rename(temporary, path))
}

// Create makes the file at path with the first of its contents. Where it exists
// already, by another process at the same time, say, the error is fs.ErrExist and
// it stays as it is.
func Create(path string, data []byte, perm os.FileMode) error {
	temporary, err := synced(path, data, perm)
	if err != nil {
		return err
	}
	return errors.Join(os.Link(temporary, path), os.Remove(temporary))
}

// synced writes a new file beside path.
func synced(path string, data []byte, perm os.FileMode) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(perm), f.Sync(), f.Close())
	return f.Name(), orRemove(f.Name(), err)
}

// orRemove removes the file if there is an error.
func orRemove(path string, err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(err, os.Remove(path))
}
