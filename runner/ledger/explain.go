package ledger

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/bot-bottle/action/internal/term"
	sqlite3 "modernc.org/sqlite/lib"
)

// explain makes err, which is not nil, an error of the state folder dir with
// what to do about it.
func explain(dir string, err error) error {
	var told *term.Error
	if errors.As(err, &told) {
		if told.Subject == "" {
			told.Subject = dir
		}
		return err
	}
	e := &term.Error{Stage: term.StageLedger, Subject: dir, Err: err}
	switch {
	case errors.Is(err, errNoLocks), resultCode(err) == sqlite3.SQLITE_NOLFS:
		return e.WithHint("set %s to a folder on a file system with locks, such as ext4, xfs, btrfs or tmpfs", StateVariable)
	case isFull(err):
		return e.WithHint("free some space on the file system of %q, or set %s to a folder elsewhere", dir, StateVariable)
	case errors.Is(err, syscall.ENOTDIR):
		return e.WithHint("a part of the path %q is a file: set %s to a folder that can be made", dir, StateVariable)
	case isReadOnly(err):
		return e.WithHint("make %q writable for this user, or set %s to a folder that is", dir, StateVariable)
	case isBusy(err):
		return e.WithHint("another process keeps the ledger locked: look for a stopped bot-bottle (ps -C bot-bottle)")
	case isCorrupt(err):
		return e.WithHint("run: bot-bottle reap; it sets a corrupt ledger aside and begins a new one")
	}
	return e
}

// isFull covers what SQLite makes of ENOSPC and EDQUOT: its own code for
// writes, an I/O error for the shared index of the write-ahead log.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		resultCode(err) == sqlite3.SQLITE_FULL || extendedCode(err) == sqlite3.SQLITE_IOERR_SHMSIZE
}

func isReadOnly(err error) bool {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return true
	}
	switch resultCode(err) {
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return true
	}
	return false
}

func isBusy(err error) bool {
	return resultCode(err) == sqlite3.SQLITE_BUSY || errors.Is(err, errBusy)
}
