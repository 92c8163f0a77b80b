//go:build !linux

package ledger

import (
	"errors"
	"os"
	"time"
)

// What the ledger needs of Linux; elsewhere it can't be opened.
var (
	errNotLinux = errors.New("a ledger needs Linux: open-file locks and the boot clock")
	errNoLocks  = errNotLinux
)

func checkFileSystem(string) error { return errNotLinux }

func setLock(*os.File) error { return errNotLinux }

func awaitLock(*os.File) error { return errNotLinux }

func lockHeld(*os.File) (bool, error) { return false, errNotLinux }

func bootTime() (string, time.Duration, error) { return "", 0, errNotLinux }
