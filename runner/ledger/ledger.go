// Package ledger is the host's record of its runs and of everything that must
// be undone: one SQLite database, and one lock file per run, in the state folder.
//
// It promises that what a method wrote is on disk when the method returns
// (write-ahead log, synchronous=FULL), that any number of processes may use one
// state folder at once, and that a run counts as live exactly as long as its
// lock is held by its supervisor or by a helper that inherited it. No time of
// day is ever used to decide anything: see Clock.
//
// It does not undo anything and knows no kind of obligation; package journal
// does. It does not protect against other processes of the same user, and the
// state folder has to be on a file system of this host: hosts that shared one
// would settle each other's runs without seeing what those left behind.
//
// A Ledger is safe for concurrent use.
package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bot-bottle/action/internal/term"
)

// Names in the state folder.
const (
	databaseName = "ledger.db"
	openLockName = "open.lock" // held while the database is opened, migrated or set aside
	locksName    = "locks"     // one file per live run, named by its id
)

// Ledger is an open state folder.
type Ledger struct {
	dir   string
	db    *sql.DB
	clock Clock
	host  string
}

// Options adjust Open. The zero value is right outside of tests.
type Options struct {
	Clock Clock // zero: SystemClock
}

// Notice is something that happened while opening and that a person has to
// know, though the ledger is usable.
type Notice struct {
	Subject string // the file it is about
	Text    string
	Hint    string // what to do about it
}

// String gives the notice as one line.
func (n Notice) String() string { return n.Subject + ": " + n.Text }

// Open opens the ledger in the state folder dir, an absolute path, and makes
// both where they don't exist. A corrupt database is set aside, with a Notice.
// Every error is a *term.Error: folder not ours, not 0700, not writable, full,
// on a network file system or one without locks; database of a newer version.
func Open(ctx context.Context, dir string, options Options) (*Ledger, []Notice, error) {
	if err := prepare(dir); err != nil {
		return nil, nil, explain(dir, err)
	}
	lock, err := lockOpen(ctx, dir)
	if err != nil {
		return nil, nil, explain(dir, err)
	}
	defer lock.Close() // the database itself is safe to share once it is complete
	db, notices, err := openDatabase(ctx, filepath.Join(dir, databaseName))
	if err != nil {
		return nil, nil, explain(dir, err)
	}
	l := &Ledger{dir: dir, db: db, clock: options.Clock.orSystem()}
	if l.host, err = hostID(ctx, db); err != nil {
		return nil, nil, errors.Join(explain(dir, err), db.Close())
	}
	return l, notices, nil
}

// errBusy says that another process kept the open lock for busyTimeout.
var errBusy = errors.New("another process does not let go of it")

func lockOpen(ctx context.Context, dir string) (*os.File, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, busyTimeout, errBusy)
	defer cancel()
	path := filepath.Join(dir, openLockName)
	lock, err := waitLock(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("locking %q: %w", path, err)
	}
	return lock, nil
}

// Close closes the database. Locks that were taken stay until their own
// release.
func (l *Ledger) Close() error {
	if err := l.db.Close(); err != nil {
		return l.explain("closing ledger", err)
	}
	return nil
}

// Dir gives the state folder.
func (l *Ledger) Dir() string { return l.dir }

// HostID gives this state folder's random name for the host: 16 of [a-z2-7].
// It says nothing about the host and is what marks things elsewhere as ours.
func (l *Ledger) HostID() string { return l.host }

// hostID reads the host's id and draws it on first use.
func hostID(ctx context.Context, db *sql.DB) (string, error) {
	const draw = `INSERT INTO host (only, id) VALUES (1, ?) ON CONFLICT DO NOTHING`
	if _, err := db.ExecContext(ctx, draw, randomID(hostIDLength)); err != nil {
		return "", fmt.Errorf("drawing a host id: %w", err)
	}
	var id string
	if err := db.QueryRowContext(ctx, `SELECT id FROM host`).Scan(&id); err != nil {
		return "", fmt.Errorf("reading the host id: %w", err)
	}
	return id, nil
}

// change runs do in one transaction that holds the write lock from its start,
// so that what do reads is still so when it is committed.
func (l *Ledger) change(ctx context.Context, what string, do func(*sql.Tx) error) error {
	tx, err := l.db.BeginTx(ctx, nil) // BEGIN IMMEDIATE, see source
	if err != nil {
		return l.explain(what, err)
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // the first error is the one to tell
		return l.explain(what, err)
	}
	return l.explain(what, tx.Commit())
}

// explain wraps err, which may be nil, for a person to read.
func (l *Ledger) explain(what string, err error) error {
	var told *term.Error
	if err == nil || errors.As(err, &told) {
		return err
	}
	return explain(l.dir, fmt.Errorf("%s: %w", what, err))
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
