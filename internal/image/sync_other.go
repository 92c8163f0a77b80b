//go:build !linux

package image

import (
	"os"
)

// syncAll has the folder itself on disk; nothing boots from it on this system.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
