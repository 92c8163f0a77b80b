package smolmachines

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// aRow has what must stay: integers beyond 2^53, an exponent, odd spaces, keys that
// nobody knows.
const aRow = `{"name": "bb-1", "created_at":18446744073709551615, "mem" : 8192,"unknown":{"a":[1e3, 0.10]},"allowed_cidrs":null,"env":[["A","\u0041"]]}`

var wantedCIDRs = []string{"127.0.0.16/32"}

// database makes a state database as smolvm does, with the values as rows of the
// machine "bb-1".
func database(t *testing.T, value any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "smolvm.db")
	statements(t, path,
		`PRAGMA journal_mode=WAL`,
		`CREATE TABLE vms (name TEXT PRIMARY KEY NOT NULL, data BLOB NOT NULL)`,
		`CREATE TABLE config (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)`)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`INSERT INTO vms VALUES ('bb-1', ?), ('other', ?)`, value, []byte(`{"name":"other"}`)); err != nil {
		t.Fatal(err)
	}
	return path
}

func statements(t *testing.T, path string, all ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range all {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func stored(t *testing.T, path, machine string) (kind string, row []byte) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT typeof(data), data FROM vms WHERE name = ?`, machine).Scan(&kind, &row); err != nil {
		t.Fatal(err)
	}
	return kind, row
}

func TestAllowlistIsForcedAndNothingElseChanges(t *testing.T) {
	path := database(t, []byte(aRow))
	if err := ForceAllowlist(t.Context(), path, "bb-1", wantedCIDRs); err != nil {
		t.Fatal(err)
	}
	kind, row := stored(t, path, "bb-1")
	want := bytes.Replace([]byte(aRow), []byte(`"allowed_cidrs":null`), []byte(`"allowed_cidrs":["127.0.0.16/32"]`), 1)
	if kind != "blob" || !bytes.Equal(row, want) {
		t.Errorf("stored as %s: %s\nwanted %s", kind, row, want)
	}
	if _, other := stored(t, path, "other"); string(other) != `{"name":"other"}` {
		t.Errorf("another machine became %s", other)
	}
}

func TestEqualAllowlistStaysByteIdentical(t *testing.T) {
	for _, row := range []string{`{"allowed_cidrs" : [ "127.0.0.16/32" ] }`, `{"allowed_cidrs":["127.0.0.16\/32"],"a":1}`} {
		path := database(t, []byte(row))
		before := changes(t, path)
		if err := ForceAllowlist(t.Context(), path, "bb-1", wantedCIDRs); err != nil {
			t.Fatal(err)
		}
		if _, after := stored(t, path, "bb-1"); string(after) != row || changes(t, path) != before {
			t.Errorf("%s became %s", row, after)
		}
	}
}

// changes gives what changes when the database is written to.
func changes(t *testing.T, path string) (version int) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.ModTime().UnixNano())
}

func TestOtherAllowlistIsReplaced(t *testing.T) {
	for row, want := range map[string]string{
		`{}`:      `{"allowed_cidrs":["127.0.0.16/32"]}`,
		`{"a":1}`: `{"a":1,"allowed_cidrs":["127.0.0.16/32"]}`,
		`{"b":{"allowed_cidrs":["127.0.0.16/32"]}}`:                `{"b":{"allowed_cidrs":["127.0.0.16/32"]},"allowed_cidrs":["127.0.0.16/32"]}`,
		`{"allowed_cidrs":[],"a":1}`:                               `{"allowed_cidrs":["127.0.0.16/32"],"a":1}`,
		`{"allowed_cidrs":["0.0.0.0/0"]}`:                          `{"allowed_cidrs":["127.0.0.16/32"]}`,
		`{"allowed_cidrs":["127.0.0.16/32","1.1.1.1/32"],"z":"}"}`: `{"allowed_cidrs":["127.0.0.16/32"],"z":"}"}`,
		`{"allowed_cidrs":7}`:                                      `{"allowed_cidrs":["127.0.0.16/32"]}`,
	} {
		path := database(t, []byte(row))
		if err := ForceAllowlist(t.Context(), path, "bb-1", wantedCIDRs); err != nil {
			t.Errorf("%s: %v", row, err)
		}
		if _, got := stored(t, path, "bb-1"); string(got) != want {
			t.Errorf("%s became %s, wanted %s", row, got, want)
		}
	}
}

func TestEveryFaultOfTheStateIsAnErrorOfItsOwn(t *testing.T) {
	write := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(filepath.Dir(path), "smolvm.db")
	}
	noTable := filepath.Join(t.TempDir(), "smolvm.db")
	statements(t, noTable, `CREATE TABLE config (key TEXT)`)
	noColumn := filepath.Join(t.TempDir(), "smolvm.db")
	statements(t, noColumn, `CREATE TABLE vms (name TEXT)`)
	reverts := database(t, []byte(aRow))
	statements(t, reverts, `CREATE TRIGGER back AFTER UPDATE ON vms WHEN NEW.data != OLD.data BEGIN UPDATE vms SET data = OLD.data WHERE name = NEW.name; END`)
	link := filepath.Join(t.TempDir(), "smolvm.db")
	if err := os.Symlink(database(t, []byte(aRow)), link); err != nil {
		t.Fatal(err)
	}
	gone := database(t, []byte(aRow))
	statements(t, gone, `DELETE FROM vms WHERE name = 'bb-1'`)
	for name, c := range map[string]struct {
		path string
		want error
	}{
		"missing":         {filepath.Join(t.TempDir(), "smolvm.db"), ErrNoDatabase},
		"redb":            {write("smolvm.redb", "redb\x1a\n"), ErrOldDatabase},
		"no database":     {write("smolvm.db", "this is no database, but it is long enough to be looked at as one"), ErrNotDatabase},
		"a link":          {link, ErrNotDatabase},
		"empty file":      {write("smolvm.db", ""), ErrNoTable},
		"no table":        {noTable, ErrNoTable},
		"no column":       {noColumn, ErrNoTable},
		"no machine":      {gone, ErrNoMachine},
		"text":            {database(t, aRow), ErrRowType},
		"integer":         {database(t, 7), ErrRowType},
		"not json":        {database(t, []byte("{")), ErrRowJSON},
		"no object":       {database(t, []byte("[]")), ErrRowJSON},
		"two objects":     {database(t, []byte("{}{}")), ErrRowJSON},
		"twice":           {database(t, []byte(`{"allowed_cidrs":["127.0.0.16/32"],"allowed_cidrs":null}`)), ErrRowJSON},
		"too long":        {database(t, bytes.Repeat([]byte(" "), maxRowBytes+1)), ErrRowJSON},
		"it is not taken": {reverts, ErrNotTaken},
	} {
		if err := ForceAllowlist(t.Context(), c.path, "bb-1", wantedCIDRs); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, wanted %v", name, err, c.want)
		}
	}
}

// lock takes the write lock until the function given back is called.
func lock(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return func() { tx.Rollback(); db.Close() }
}

func TestLockedStateIsWaitedForAndThenAnError(t *testing.T) {
	if busyTimeout <= 15*time.Second {
		t.Errorf("smolvm itself holds the lock up to 15s, we wait %v", busyTimeout)
	}
	path := database(t, []byte(aRow))
	unlock := lock(t, path)
	if err := forceAllowlist(t.Context(), path, "bb-1", wantedCIDRs, 100*time.Millisecond); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
	if _, row := stored(t, path, "bb-1"); string(row) != aRow {
		t.Errorf("it became %s", row)
	}
	done := make(chan error, 1)
	go func() { done <- ForceAllowlist(t.Context(), path, "bb-1", wantedCIDRs) }()
	unlock()
	if err := <-done; err != nil {
		t.Errorf("once it is free: %v", err)
	}
}

func TestPlaceOfTheStateIsSmolvmsOwn(t *testing.T) {
	for _, c := range []struct{ goos, xdg, want string }{
		{"linux", "", "/home/a/.local/share/smolvm/server/smolvm.db"},
		{"linux", "/data", "/data/smolvm/server/smolvm.db"},
		{"linux", "data", "/home/a/.local/share/smolvm/server/smolvm.db"},
		{"darwin", "/data", "/home/a/Library/Application Support/smolvm/server/smolvm.db"},
	} {
		if got := DatabasePath(c.goos, "/home/a", func(string) string { return c.xdg }); got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}

func FuzzWithAllowlist(f *testing.F) {
	f.Add([]byte(aRow))
	f.Add([]byte(`{"allowed_cidrs":[]}`))
	f.Fuzz(func(t *testing.T, row []byte) {
		patched, err := withAllowlist(row, wantedCIDRs)
		if err != nil {
			return
		}
		var before, after map[string]json.RawMessage
		if json.Unmarshal(row, &before) != nil || json.Unmarshal(patched, &after) != nil {
			t.Fatalf("%q became %q", row, patched)
		}
		if list, err := allowlistOf(patched); err != nil || !slices.Equal(list, wantedCIDRs) {
			t.Errorf("%q became %q: %v", row, patched, err)
		}
		delete(before, allowlistKey)
		delete(after, allowlistKey)
		if len(before) != len(after) {
			t.Errorf("%q became %q", row, patched)
		}
		for k, v := range before {
			if !bytes.Equal(v, after[k]) {
				t.Errorf("%q became %q", row, patched)
			}
		}
	})
}
