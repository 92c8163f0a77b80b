package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// busyTimeout is how long a statement waits for other processes' transactions.
// Each lasts some milliseconds, of which the disk takes most; 200 starting at
// once queue for a second or two.
const busyTimeout = 30 * time.Second

// errCorrupt says that a database can't be read as one.
var errCorrupt = errors.New("the database is corrupt")

// openDatabase opens and migrates the database at path, setting a corrupt one
// aside. The caller holds the open lock.
func openDatabase(ctx context.Context, path string) (*sql.DB, []Notice, error) {
	if err := checkDatabaseFile(path); err != nil {
		return nil, nil, err
	}
	db, err := connect(ctx, path)
	if !isCorrupt(err) {
		return db, nil, err
	}
	aside, errAside := setAside(path, time.Now())
	if errAside != nil {
		return nil, nil, errors.Join(err, errAside)
	}
	db, errFresh := connect(ctx, path)
	return db, []Notice{corruptNotice(path, aside, err)}, errFresh
}

func corruptNotice(path, aside string, err error) Notice {
	return Notice{
		Subject: path,
		Text:    fmt.Sprintf("it could not be read (%v) and was set aside as %q; a new ledger was begun", err, aside),
		Hint:    "what earlier runs left behind is no longer known and has to be looked for by hand; then remove " + aside,
	}
}

// connect opens the database, checks it and brings its schema up to date.
func connect(ctx context.Context, path string) (*sql.DB, error) {
	connector, err := sqlite.NewConnector(source(path))
	if err != nil {
		return nil, fmt.Errorf("opening ledger %q: %w", path, err)
	}
	db := sql.OpenDB(connector)
	// One connection: in one process statements queue in Go, where a context
	// can end the wait, and not in SQLite's busy loop.
	db.SetMaxOpenConns(1)
	for _, step := range []func(context.Context, *sql.DB) error{check, migrate} {
		if err := step(ctx, db); err != nil {
			return nil, errors.Join(fmt.Errorf("opening ledger %q: %w", path, err), db.Close())
		}
	}
	return db, nil
}

// source gives the data source name. The pragmas hold for each connection;
// immediate transactions take the write lock at their start, so that none is
// refused half-way because another one wrote in between.
func source(path string) string {
	q := url.Values{
		"_txlock":       {"immediate"},
		"_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"on"},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_error_rc":     {"1"},
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String()
}

// check reads the whole database once, which takes a microsecond for each run in
// it: the row of a settled run is all that is kept.
func check(ctx context.Context, db *sql.DB) error {
	var result string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&result); err != nil {
		return fmt.Errorf("checking it: %w", err)
	}
	if result != "ok" {
		return fmt.Errorf("checking it: %w: %s", errCorrupt, result)
	}
	return nil
}

// checkDatabaseFile refuses anything but a plain file, before SQLite follows it.
func checkDatabaseFile(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at ledger %q: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("opening ledger %q: it is a %s", path, kindOf(info.Mode()))
	}
	return nil
}

// setAside renames the database and what belongs to it. The write-ahead log
// goes first: left beside a new database, it would be replayed into it.
func setAside(path string, now time.Time) (string, error) {
	aside, err := freeName(path + ".corrupt-" + now.UTC().Format("20060102T150405Z"))
	if err != nil {
		return "", err
	}
	for _, suffix := range []string{"-wal", "-shm", ""} {
		err := os.Rename(path+suffix, aside+suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("setting %q aside: %w", path+suffix, err)
		}
	}
	return aside, syncDir(filepath.Dir(path))
}

// freeName gives name, or name with the least number that makes it new: the
// clock may have been set back to a time at which another one was set aside.
func freeName(name string) (string, error) {
	free := name
	for i := 2; ; i++ {
		_, err := os.Lstat(free)
		if errors.Is(err, fs.ErrNotExist) {
			return free, nil
		}
		if err != nil {
			return "", err
		}
		free = fmt.Sprintf("%s.%d", name, i)
	}
}

// isCorrupt tells whether err says that the file isn't a database, or not a
// whole one (https://www.sqlite.org/rescode.html).
func isCorrupt(err error) bool {
	code := resultCode(err)
	return errors.Is(err, errCorrupt) || code == sqlite3.SQLITE_NOTADB || code == sqlite3.SQLITE_CORRUPT
}

// resultCode gives SQLite's primary result code, or 0.
func resultCode(err error) int { return extendedCode(err) & 0xff }

// extendedCode gives SQLite's extended result code, or 0.
func extendedCode(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code()
}
