//go:build !linux

package preflight

import "golang.org/x/sys/unix"

type space struct {
	free    int64
	network bool
}

func spaceBelow(dir string) (space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return space{}, err
	}
	return space{free: int64(s.Bavail) * int64(s.Bsize)}, nil
}

func tryWrite(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) }
