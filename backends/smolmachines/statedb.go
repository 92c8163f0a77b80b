package smolmachines

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Faults of smolvm's state that ForceAllowlist and readRow tell apart. Each means
// that the machine must not be started.
var (
	ErrNoDatabase  = errors.New("smolvm has no state database")
	ErrOldDatabase = errors.New("the state is of a smolvm before 0.6, in another format")
	ErrNotDatabase = errors.New("the state database is no SQLite file")
	ErrNoTable     = errors.New("the state database has no table of machines")
	ErrNoMachine   = errors.New("smolvm has no such machine")
	ErrRowType     = errors.New("the machine's row is not stored as a BLOB")
	ErrRowJSON     = errors.New("the machine's row is not the JSON object that was expected")
	ErrLocked      = errors.New("the state database is locked by another process")
	ErrNotTaken    = errors.New("the allowlist was not taken")
)

// busyTimeout is how long another process may hold the database; smolvm itself
// waits 15 s.
const busyTimeout = 20 * time.Second

// maxRowBytes bounds a row. A machine's is some kilobytes.
const maxRowBytes = 4 << 20

// DatabasePath gives the place of smolvm's state, by its own rules (the Rust crate
// dirs, data_local_dir): on macOS below the home folder, whatever XDG_DATA_HOME
// says; elsewhere below XDG_DATA_HOME where that is absolute. From 1.2.5 on
// SMOLVM_DATA_DIR, on Linux, takes the home folder's place and XDG_* are ignored.
func DatabasePath(goos, home string, getenv func(string) string) string {
	base := filepath.Join(home, ".local", "share")
	switch xdg := getenv("XDG_DATA_HOME"); {
	case goos == "darwin":
		base = filepath.Join(home, "Library", "Application Support")
	case filepath.IsAbs(xdg):
		base = xdg
	}
	return filepath.Join(base, "smolvm", "server", "smolvm.db")
}

// ForceAllowlist makes cidrs the allowed_cidrs of a machine in the state database
// at path, and reads them again: up to 1.7.7 smolvm drops its --allow-cidr where a
// machine is made --from a file. A row that has just these stays as it is, byte
// for byte; in any other, only the list is changed. It is for the time between
// create and start, while no smolvm runs: each rewrites whole rows from memory.
//
// A nil error means that the row says so, and no more; see the package's comment.
func ForceAllowlist(ctx context.Context, path, machine string, cidrs []string) error {
	return forceAllowlist(ctx, path, machine, cidrs, busyTimeout)
}

func forceAllowlist(ctx context.Context, path, machine string, cidrs []string, wait time.Duration) error {
	patch := func(row []byte) ([]byte, error) { return withAllowlist(row, cidrs) }
	if err := rewriteRow(ctx, path, machine, wait, patch); err != nil {
		return fmt.Errorf("forcing the allowlist of machine %q: %w", machine, err)
	}
	row, err := readRowBytes(ctx, path, machine, wait)
	if err != nil {
		return fmt.Errorf("reading the allowlist of machine %q again: %w", machine, err)
	}
	found, err := allowlistOf(row)
	if err != nil || !slices.Equal(found, cidrs) {
		return fmt.Errorf("reading the allowlist of machine %q again: %w: wanted %q, found %q", machine, ErrNotTaken, cidrs, found)
	}
	return nil
}

// rewriteRow replaces a row by what patch makes of it, unless that is the same.
func rewriteRow(ctx context.Context, path, machine string, wait time.Duration, patch func([]byte) ([]byte, error)) error {
	return withDatabase(ctx, path, wait, func(db *sql.DB) error {
		tx, err := db.BeginTx(ctx, nil) // immediate: see openDatabase
		if err != nil {
			return err
		}
		defer tx.Rollback()
		row, err := selectRow(ctx, tx, machine)
		if err != nil {
			return err
		}
		patched, err := patch(row)
		if err != nil || slices.Equal(patched, row) {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE vms SET data = ? WHERE name = ?`, patched, machine); err != nil { // []byte is bound as BLOB
			return err
		}
		return tx.Commit()
	})
}

func readRowBytes(ctx context.Context, path, machine string, wait time.Duration) (row []byte, err error) {
	err = withDatabase(ctx, path, wait, func(db *sql.DB) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		row, err = selectRow(ctx, tx, machine)
		return err
	})
	return row, err
}

// selectRow reads the row and the type that it is really stored as.
func selectRow(ctx context.Context, tx *sql.Tx, machine string) ([]byte, error) {
	var kind string
	var size int64
	err := tx.QueryRowContext(ctx, `SELECT typeof(data), length(data) FROM vms WHERE name = ?`, machine).Scan(&kind, &size)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, ErrNoMachine
	case err != nil:
		return nil, err
	case kind != "blob":
		return nil, fmt.Errorf("%w: it is of type %q", ErrRowType, kind)
	case size > maxRowBytes:
		return nil, fmt.Errorf("%w: it has %d bytes", ErrRowJSON, size)
	}
	var row []byte
	err = tx.QueryRowContext(ctx, `SELECT data FROM vms WHERE name = ?`, machine).Scan(&row)
	return row, err
}

// withDatabase opens the database for use, which must be there already, and gives
// what goes wrong its name.
func withDatabase(ctx context.Context, path string, wait time.Duration, use func(*sql.DB) error) error {
	if err := lookAt(path); err != nil {
		return err
	}
	db, err := openDatabase(path, wait)
	if err != nil {
		return err
	}
	defer db.Close()
	return named(use(db))
}

// lookAt tells a missing database from one of old times.
func lookAt(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, old := os.Lstat(filepath.Join(filepath.Dir(path), "smolvm.redb")); old == nil {
			return fmt.Errorf("opening %q: %w", path, ErrOldDatabase)
		}
		return fmt.Errorf("opening %q: %w", path, ErrNoDatabase)
	case err != nil:
		return fmt.Errorf("opening %q: %w", path, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("opening %q: %w: it is no file", path, ErrNotDatabase)
	}
	return nil
}

// openDatabase opens without creating. Transactions take the write lock at once, so
// that what was read can't be changed by another before it is written.
func openDatabase(path string, wait time.Duration) (*sql.DB, error) {
	query := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", wait.Milliseconds())}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("opening %q: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// named adds our error to SQLite's.
func named(err error) error {
	var fault *sqlite.Error
	if !errors.As(err, &fault) {
		return err
	}
	switch fault.Code() & 0xff { // the primary code (sqlite.org/rescode.html)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", ErrLocked, err)
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%w: %w", ErrNotDatabase, err)
	case sqlite3.SQLITE_ERROR: // the statements here are right but for a missing table or column
		return fmt.Errorf("%w: %w", ErrNoTable, err)
	}
	return err
}
