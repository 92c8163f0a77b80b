package ledger

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/bot-bottle/action/internal/term"
)

// schema lists what makes each version from the one before it; the version of
// a database is how many of them it has had (PRAGMA user_version). A step that
// was released is never changed.
//
// seq columns say what came first. Times of day are microseconds since 1970
// and for people only; times on the boot clock and durations are nanoseconds.
func schema() []string {
	return []string{`
CREATE TABLE host (
	only INTEGER PRIMARY KEY CHECK (only = 1),
	id   TEXT NOT NULL
) STRICT;

CREATE TABLE runs (
	seq       INTEGER PRIMARY KEY AUTOINCREMENT,
	id        TEXT NOT NULL UNIQUE,
	name      TEXT NOT NULL,
	state     TEXT NOT NULL CHECK (state IN ('open', 'settled')),
	created   INTEGER NOT NULL,
	finished  INTEGER NOT NULL DEFAULT 0,
	bottle    TEXT NOT NULL,
	agent     TEXT NOT NULL,
	backend   TEXT NOT NULL,
	isolation TEXT NOT NULL,
	workspace TEXT NOT NULL,
	alias     TEXT NOT NULL DEFAULT '',
	exit_code INTEGER,
	reason    TEXT NOT NULL DEFAULT '',
	patch     TEXT NOT NULL DEFAULT '',
	files     INTEGER NOT NULL DEFAULT 0,
	added     INTEGER NOT NULL DEFAULT 0,
	deleted   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX runs_by_name ON runs (name, seq);
CREATE INDEX open_runs ON runs (seq) WHERE state = 'open';

CREATE TABLE obligations (
	seq      INTEGER PRIMARY KEY AUTOINCREMENT,
	run      TEXT NOT NULL REFERENCES runs (id),
	kind     TEXT NOT NULL,
	version  INTEGER NOT NULL,
	args     TEXT NOT NULL CHECK (json_valid(args)),
	state    TEXT NOT NULL CHECK (state IN ('intended', 'held')),
	created  INTEGER NOT NULL,
	boot     TEXT NOT NULL,
	intended INTEGER NOT NULL,
	lands_in INTEGER NOT NULL CHECK (lands_in >= 0)
) STRICT;
CREATE INDEX obligations_by_run ON obligations (run, seq);

CREATE TABLE aliases (
	number INTEGER PRIMARY KEY,
	run    TEXT NOT NULL UNIQUE REFERENCES runs (id)
) STRICT;
`, `
ALTER TABLE runs ADD COLUMN report TEXT NOT NULL DEFAULT '';
`}
}

// migrate brings the schema up to date. The caller holds the open lock, so no
// other process of a version that knows about it migrates at the same time.
func migrate(ctx context.Context, db *sql.DB) error { return migrateTo(ctx, db, schema()) }

func migrateTo(ctx context.Context, db *sql.DB, steps []string) error {
	var version int
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return fmt.Errorf("reading its version: %w", err)
	}
	if version > len(steps) {
		return term.Errorf(term.StageLedger, "", "reading it: its schema has version %d, this build knows up to %d", version, len(steps)).
			WithHint("use the newer bot-bottle that wrote it, or set %s to another folder", StateVariable)
	}
	for ; version < len(steps); version++ {
		if err := step(ctx, db, steps[version], version+1); err != nil {
			return fmt.Errorf("migrating it to version %d: %w", version+1, err)
		}
	}
	return nil
}

// step makes one version, whole or not at all.
func step(ctx context.Context, db *sql.DB, statements string, version int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	// A pragma takes no parameters.
	if _, err := tx.ExecContext(ctx, statements+fmt.Sprintf("PRAGMA user_version = %d;", version)); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}
