package manifest

import (
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Writable gives the first of path and the folders above it, links resolved,
// that the user of this process may change, or "". Whoever can write a folder
// can put another file in the place of one in it, unless the folder is sticky
// (/tmp) and what is in it is somebody else's. An owner may give himself the
// right to write, and counts.
func Writable(path string) string {
	for _, start := range []string{path, resolved(path)} {
		if mayWrite(start) {
			return start
		}
		for child := start; child != filepath.Dir(child); child = filepath.Dir(child) {
			if dir := filepath.Dir(child); mayReplace(dir, child) {
				return dir
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

func mayWrite(path string) bool {
	return unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS) == nil || owns(path)
}

// mayReplace tells whether another file can be put in child's place.
func mayReplace(dir, child string) bool {
	if !mayWrite(dir) {
		return false
	}
	info, err := os.Stat(dir)
	return err != nil || info.Mode()&fs.ModeSticky == 0 || unix.Geteuid() == 0 || owns(dir) || owns(child)
}

func owns(path string) bool {
	var s unix.Stat_t
	return unix.Lstat(path, &s) == nil && int(s.Uid) == unix.Geteuid()
}
