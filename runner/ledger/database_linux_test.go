package ledger

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/internal/child"
)

func TestWhatWasWrittenSurvivesTheDeathOfItsWriter(t *testing.T) {
	dir := stateDir(t)
	p := child.Start(t, child.Command("begin", dir, "first"))
	id := p.MustLine(t)
	p.Kill(t)
	r, err := open(t, dir).Find(t.Context(), "first")
	must(t, err)
	if r.ID != id || r.State != StateOpen {
		t.Errorf("got %+v, want the open run %s", r, id)
	}
}

func TestTheHostIDStays(t *testing.T) {
	dir := stateDir(t)
	first := open(t, dir)
	id := first.HostID()
	if len(id) != hostIDLength || strings.ToLower(id) != id {
		t.Errorf("host id %q", id)
	}
	must(t, first.Close())
	if again := open(t, dir).HostID(); again != id {
		t.Errorf("host id %q became %q", id, again)
	}
	if other := open(t, stateDir(t)).HostID(); other == id {
		t.Error("two state folders have one host id")
	}
}

func TestACorruptDatabaseIsSetAside(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"not a database": func([]byte) []byte { return bytes.Repeat([]byte("garbage\n"), 2000) },
		"cut short":      func(b []byte) []byte { return b[:len(b)-4096] },
		"spoilt page":    func(b []byte) []byte { copy(b[4096:], bytes.Repeat([]byte{0xa5}, 4096)); return b },
	} {
		t.Run(name, func(t *testing.T) {
			dir := stateDir(t)
			spoilt := spoilDatabase(t, dir, spoil)
			l, notices, err := Open(t.Context(), dir, Options{})
			must(t, err)
			defer l.Close()
			if len(notices) != 1 || !strings.Contains(notices[0].String(), ".corrupt-") || notices[0].Hint == "" {
				t.Fatalf("notices %+v", notices)
			}
			if runs, err := l.Runs(t.Context()); err != nil || len(runs) != 0 {
				t.Errorf("the new ledger has %v, %v", runs, err)
			}
			aside, err := filepath.Glob(filepath.Join(dir, databaseName+".corrupt-*Z"))
			must(t, err)
			if len(aside) != 1 {
				t.Fatalf("set aside: %q", aside)
			}
			kept, err := os.ReadFile(aside[0])
			must(t, err)
			if !bytes.Equal(kept, spoilt) {
				t.Error("what was set aside is not what was there")
			}
		})
	}
}

// spoilDatabase makes a database with a run, closes and spoils it, and gives
// what is then in the file.
func spoilDatabase(t *testing.T, dir string, spoil func([]byte) []byte) []byte {
	t.Helper()
	l := open(t, dir)
	begin(t, l, "lost")
	must(t, l.Close())
	path := filepath.Join(dir, databaseName)
	data, err := os.ReadFile(path)
	must(t, err)
	data = spoil(data)
	must(t, os.WriteFile(path, data, 0o600))
	return data
}

func TestSettingAsideLosesNoEarlierOne(t *testing.T) {
	path := filepath.Join(stateDir(t), databaseName)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	seen := map[string]bool{}
	for i := range 3 {
		must(t, os.WriteFile(path, fmt.Append(nil, i), 0o600))
		must(t, os.WriteFile(path+"-wal", fmt.Append(nil, i), 0o600))
		aside, err := setAside(path, at) // the clock stands still
		must(t, err)
		seen[aside] = true
		for _, suffix := range []string{"", "-wal"} {
			got, err := os.ReadFile(aside + suffix)
			must(t, err)
			if string(got) != fmt.Sprint(i) {
				t.Errorf("%s holds %q, want %d", aside+suffix, got, i)
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("three were set aside as %v", seen)
	}
}

func TestADatabaseOfANewerVersionIsRefusedAndLeftAlone(t *testing.T) {
	dir := stateDir(t)
	l := open(t, dir)
	_, err := l.db.Exec(fmt.Sprintf("PRAGMA user_version = %d", len(schema())+1))
	must(t, err)
	must(t, l.Close())
	before, err := os.ReadFile(filepath.Join(dir, databaseName))
	must(t, err)
	_, _, err = Open(t.Context(), dir, Options{})
	refused(t, err, term.StageLedger, "ledger.db", "schema has version", "newer bot-bottle")
	after, err := os.ReadFile(filepath.Join(dir, databaseName))
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("the database was changed")
	}
}

func TestADatabaseThatIsALinkIsRefused(t *testing.T) {
	dir := stateDir(t)
	must(t, os.Symlink("/dev/null", filepath.Join(dir, databaseName)))
	_, _, err := Open(t.Context(), dir, Options{})
	if err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("got %v", err)
	}
}

func TestAMigrationHappensWholeOrNotAtAll(t *testing.T) {
	l := open(t, stateDir(t))
	ctx := t.Context()
	version := func() (v int) {
		must(t, l.db.QueryRow(`PRAGMA user_version`).Scan(&v))
		return v
	}
	released := schema()
	broken := append(released, `CREATE TABLE half (x); INSERT INTO nowhere VALUES (1);`)
	if err := migrateTo(ctx, l.db, broken); err == nil {
		t.Fatal("a broken migration passed")
	}
	if got := version(); got != len(released) {
		t.Errorf("version %d after a broken migration, want %d", got, len(released))
	}
	whole := append(released, `CREATE TABLE half (x);`, `INSERT INTO half VALUES (1);`)
	must(t, migrateTo(ctx, l.db, whole))
	if got := version(); got != len(released)+2 {
		t.Errorf("version %d after two more, want %d", got, len(released)+2)
	}
}

func TestTheDatabaseIsAsDurableAsItIsSaidToBe(t *testing.T) {
	l := open(t, stateDir(t))
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		must(t, l.db.QueryRow(`PRAGMA `+pragma).Scan(&got))
		if got != want {
			t.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
}

func TestAnEndedContextEndsAWait(t *testing.T) {
	l := open(t, stateDir(t))
	tx, err := l.db.Begin() // has the only connection
	must(t, err)
	defer tx.Rollback()
	ctx, cancel := contextEndedBy(errors.New("enough"))
	defer cancel()
	if _, err := l.Runs(ctx); err == nil {
		t.Error("it did not end")
	}
}

func TestLedgerOfTheFirstSchemaIsReadOn(t *testing.T) {
	dir := stateDir(t)
	ctx := t.Context()
	must(t, os.MkdirAll(dir, 0o700))
	db, err := sql.Open("sqlite", filepath.Join(dir, databaseName))
	must(t, err)
	must(t, migrateTo(ctx, db, schema()[:1]))
	_, err = db.ExecContext(ctx, `
		INSERT INTO host (only, id) VALUES (1, 'abcdefghijklmnop');
		INSERT INTO runs (id, name, state, created, bottle, agent, backend, isolation, workspace)
			VALUES ('abcdefghij', 'old', 'open', 1, 'b', 'a', 'gvisor', 'gvisor', '');
		INSERT INTO obligations (run, kind, version, args, state, created, boot, intended, lands_in)
			VALUES ('abcdefghij', 'alias', 1, '{"run":"abcdefghij"}', 'held', 1, '', 1, 0)`)
	must(t, errors.Join(err, db.Close()))
	l, _, err := Open(ctx, dir, Options{})
	must(t, err)
	defer l.Close()
	runs, err := l.OpenRuns(ctx)
	must(t, err)
	if len(runs) != 1 || runs[0].Name != "old" || runs[0].Report != "" {
		t.Errorf("got %+v", runs)
	}
	owed, err := l.Obligations(ctx, "abcdefghij")
	if err != nil || len(owed) != 1 {
		t.Errorf("got %+v, %v", owed, err)
	}
}
