package image

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncAll has everything on disk before the name that says it is complete.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}
