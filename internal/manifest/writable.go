package manifest

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Writable gives the first of path and the folders above it, links resolved,
// that the user of this process may change, or "". Whoever can write a folder
// can put another file in the place of one in it. An owner may give himself the
// right to write, and counts.
func Writable(path string) string {
	for _, start := range []string{path, resolved(path)} {
		for p := start; ; p = filepath.Dir(p) {
			if mayChange(p) {
				return p
			}
			if p == filepath.Dir(p) {
				break
			}
		}
	}
	return ""
}

func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

func mayChange(path string) bool {
	if unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS) == nil {
		return true
	}
	var s unix.Stat_t
	return unix.Lstat(path, &s) == nil && int(s.Uid) == unix.Geteuid()
}
