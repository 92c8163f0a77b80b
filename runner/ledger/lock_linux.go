package ledger

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// errNoLocks says that the file system has no locks (fcntl(2): ENOLCK from a
// network file system without its lock service; the others from kernels and
// FUSE servers that know no open-file-description locks).
var errNoLocks = errors.New("the file system has no locks")

// setLock takes the exclusive lock on the whole file, or gives errHeld.
func setLock(file *os.File) error {
	err := control(file, unix.F_OFD_SETLK)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return errHeld
	}
	return lockError(err)
}

// awaitLock takes the exclusive lock on the whole file when its turn has come.
func awaitLock(file *os.File) error {
	for {
		err := control(file, unix.F_OFD_SETLKW)
		if !errors.Is(err, unix.EINTR) {
			return lockError(err)
		}
	}
}

func control(file *os.File, command int) error {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	return unix.FcntlFlock(file.Fd(), command, &lock)
}

// lockHeld tells whether an open file description other than file's own has
// the lock.
func lockHeld(file *os.File) (bool, error) {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err := unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &lock)
	return err == nil && lock.Type != unix.F_UNLCK, lockError(err)
}

func lockError(err error) error {
	for _, none := range []error{unix.ENOLCK, unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP} {
		if errors.Is(err, none) {
			return fmt.Errorf("%w: %w", errNoLocks, err)
		}
	}
	return err
}
