package confine

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// staging is where the new root is put together: a folder that every Linux host
// has. It is covered in this mount namespace only.
const staging = "/tmp"

// buildRoot makes the new root and moves into it; nothing of the old one can be
// reached then. Owner is the user that everything made there belongs to.
func buildRoot(spec Spec) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("taking the mounts private: %w", err)
	}
	binds, err := openBinds(spec.Root) // first: staging may cover a source
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", staging, "tmpfs", unix.MS_NOSUID, "mode=0755"); err != nil {
		return fmt.Errorf("mounting a tmpfs on %q: %w", staging, err)
	}
	owner := 0
	if os.Getuid() == 0 && !inOwnUserNamespace() {
		owner = spec.UserID
	}
	for i, e := range spec.Root {
		if err := e.make(owner, binds[i]); err != nil {
			return fmt.Errorf("making %s %q: %w", e.Kind, e.Target, err)
		}
	}
	return moveInto(staging)
}

// moveInto makes dir the root and lets go of the old one (pivot_root(2): with
// both arguments the same, the old root ends on top and is unmounted).
func moveInto(dir string) error {
	if err := os.Chdir(dir); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("moving into the new root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("letting go of the old root: %w", err)
	}
	return os.Chdir("/")
}

// openBinds makes a detached, non-recursive copy of the mount of each bind's
// source, keyed by the entry's index.
func openBinds(entries []Entry) (map[int]int, error) {
	fds := map[int]int{}
	for i, e := range entries {
		if e.Kind != KindBind {
			continue
		}
		fd, err := openBind(e)
		if err != nil {
			return nil, fmt.Errorf("binding %q: %w", e.Source, err)
		}
		fds[i] = fd
	}
	return fds, nil
}

func openBind(e Entry) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, e.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, err
	}
	set := uint64(unix.MOUNT_ATTR_NOSUID)
	if !e.Writable {
		set |= unix.MOUNT_ATTR_RDONLY
	}
	if !e.Device {
		set |= unix.MOUNT_ATTR_NODEV
	}
	attr := unix.MountAttr{Attr_set: set}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return -1, fmt.Errorf("restricting the mount: %w", err)
	}
	return fd, nil
}

// make makes e below staging, belonging to owner.
func (e Entry) make(owner, bind int) error {
	path := filepath.Join(staging, filepath.Clean("/"+e.Target))
	if err := makeParents(filepath.Dir(path), owner); err != nil {
		return err
	}
	switch e.Kind {
	case KindDir:
		return makeDir(path, cmp.Or(e.Mode.Perm(), 0o755)|e.Mode&fs.ModeSticky, owner)
	case KindFile:
		return makeFile(path, e.Data, cmp.Or(e.Mode.Perm(), 0o644), owner)
	case KindSymlink:
		if err := os.Symlink(e.Source, path); err != nil {
			return err
		}
		return os.Lchown(path, owner, owner)
	case KindProc:
		if err := makeDir(path, 0o555, owner); err != nil {
			return err
		}
		return unix.Mount("proc", path, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	case KindBind:
		return attach(bind, path, owner)
	}
	return fmt.Errorf("unknown kind %q", e.Kind)
}

func makeParents(dir string, owner int) error {
	if _, err := os.Lstat(dir); err == nil || dir == staging {
		return err
	}
	if err := makeParents(filepath.Dir(dir), owner); err != nil {
		return err
	}
	return makeDir(dir, 0o755, owner)
}

// makeDir also takes a folder that is there already, as a parent of another
// entry, and gives it its mode.
func makeDir(path string, mode fs.FileMode, owner int) error {
	if err := os.Mkdir(path, mode); err != nil && !os.IsExist(err) {
		return err
	}
	if err := os.Chmod(path, mode); err != nil { // the umask took part in Mkdir
		return err
	}
	return os.Chown(path, owner, owner)
}

func makeFile(path string, data []byte, mode fs.FileMode, owner int) error {
	if err := os.WriteFile(path, data, mode); err != nil {
		return err
	}
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	return os.Chown(path, owner, owner)
}

// attach mounts the detached mount fd at path, over a folder or file made for
// it.
func attach(fd int, path string, owner int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	var err error
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = makeDir(path, 0o755, owner)
	} else {
		err = makeFile(path, nil, 0o644, owner)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.MoveMount(fd, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH)
}
