package preflight

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// space is what a file system has.
type space struct {
	free    int64 // bytes for this user; 0 where no more files can be made
	network bool
}

// networkSystems are file systems of other machines (statfs(2)).
var networkSystems = []int64{unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.AFS_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC}

func spaceBelow(dir string) (space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return space{}, err
	}
	found := space{free: int64(s.Bavail) * s.Bsize, network: slices.Contains(networkSystems, int64(s.Type))}
	if s.Files > 0 && s.Ffree == 0 {
		found.free = 0
	}
	return found, nil
}

// tryWrite writes a block to a file without a name (O_TMPFILE of open(2)), which
// goes with its descriptor. Where a file system doesn't have those, it asks for
// the right only.
func tryWrite(dir string) error {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err == unix.EOPNOTSUPP || err == unix.EISDIR {
		return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	if _, err := f.Write(make([]byte, 64<<10)); err != nil {
		return err
	}
	return f.Sync()
}
