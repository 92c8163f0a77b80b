package ledger

import (
	"fmt"

	"github.com/bot-bottle/action/internal/term"
	"golang.org/x/sys/unix"
)

// checkFileSystem refuses a state folder that other hosts may use as well. A
// write-ahead log works among the processes of one host only
// (https://www.sqlite.org/wal.html), and another host's reap would look for
// this host's leftovers in the wrong place and find them gone.
func checkFileSystem(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("asking for the file system of %q: %w", dir, err)
	}
	if name := networkFileSystem(int64(st.Type)); name != "" {
		return term.Errorf(term.StageLedger, dir, "using it as state folder: it is on a network file system (%s)", name).
			WithHint("set %s to a folder on a disk of this host", StateVariable)
	}
	return nil
}

// networkFileSystem names the network file system with this statfs(2) type,
// or gives "" for every other one.
func networkFileSystem(kind int64) string {
	switch uint32(kind) { // the field is signed and 32 bits wide on some machines
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	case unix.CIFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC:
		return "smb"
	case unix.AFS_SUPER_MAGIC:
		return "afs"
	case unix.CEPH_SUPER_MAGIC:
		return "ceph"
	case unix.CODA_SUPER_MAGIC:
		return "coda"
	case unix.OCFS2_SUPER_MAGIC:
		return "ocfs2"
	}
	return ""
}
