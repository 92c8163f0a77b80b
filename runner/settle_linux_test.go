package runner

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/gvisor"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/journal"
	"github.com/bot-bottle/action/runner/ledger"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(term.Explain(err))
	}
}

// ownDir gives a new folder of ours alone.
func ownDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o700))
	return dir
}

// placesIn gives the places of a user whose session has its root in session.
func placesIn(state, session string) Places {
	return Places{State: state, Runtime: RootSession, Roots: map[RootKind]string{RootSession: session, RootState: filepath.Join(state, "run")}}
}

// open gives a supervisor's deps in these places.
func open(t *testing.T, p Places) Deps {
	t.Helper()
	l, notices, err := ledger.Open(t.Context(), p.State, ledger.Options{})
	must(t, err)
	t.Cleanup(func() { l.Close() })
	if len(notices) > 0 {
		t.Fatalf("notices %v", notices)
	}
	must(t, p.ensure())
	return Deps{Places: p, Ledger: l, Backends: []backends.Backend{gvisor.New(p.Records())}}
}

// begin begins a run and has the effects of its launch up to the folders.
func begin(t *testing.T, d Deps) *run {
	t.Helper()
	begun, lock, err := d.Ledger.Begin(t.Context(), ledger.NewRun{})
	must(t, err)
	t.Cleanup(func() { lock.Release() })
	r := &run{id: begun.ID, deps: d, journal: journal.New(d.Ledger, lock, d.registry())}
	must(t, r.leaseAlias(t.Context()))
	must(t, r.makeFolders(t.Context()))
	return r
}

// folders are what begin has made.
func (r *run) folders() []string {
	p := r.deps.Places
	return []string{p.runFolder(r.id), p.disk(r.id), p.workFolder(r.id)}
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// recorded starts a process that does nothing and records it, as an effect of kind.
func (r *run) recorded(t *testing.T, kind, file string, args any) confine.Record {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	record, err := confine.RecordOf(cmd.Process.Pid, 0)
	must(t, err)
	must(t, r.journal.Effect(t.Context(), kind, args, journal.Local, func(context.Context) error {
		return confine.WriteRecord(filepath.Join(r.deps.Places.workFolder(r.id), file), record)
	}))
	return record
}

func kindsOf(left []journal.Remainder) []string {
	var kinds []string
	for _, m := range left {
		kinds = append(kinds, m.Kind)
	}
	return kinds
}

func TestAProcessThatCouldNotBeEndedIsNotForgotten(t *testing.T) {
	for kind, file := range map[string]string{kindSidecar: sidecarRecords[0], kindGuest: "guest.json"} {
		t.Run(kind, func(t *testing.T) {
			r := begin(t, open(t, placesIn(ownDir(t), ownDir(t))))
			var args any = runArgs{r.id}
			if kind == kindGuest {
				args = backends.Handle{Backend: gvisor.Name, Run: r.id}
			}
			record := r.recorded(t, kind, file, args)
			path := filepath.Join(r.deps.Places.workFolder(r.id), file)
			must(t, os.WriteFile(path, []byte("{"), 0o600)) // what a power failure may leave of a careless writer

			wanted := []string{kind, kindDisk, kindRunFolder, kindWorkFolder, kindAlias}
			left := append(r.journal.Settle(t.Context(), ofGuest...), r.journal.Settle(t.Context())...)
			if got := kindsOf(left); !slices.Equal(got, append([]string{kind}, wanted...)) {
				t.Errorf("left %v", got)
			}
			must(t, r.journal.Close(t.Context()))
			again, err := Reap(t.Context(), r.deps)
			if got := kindsOf(again.Remainders); err != nil || !slices.Equal(got, wanted) {
				t.Errorf("a reap left %v, %v; want %v", got, err, wanted)
			}
			for _, dir := range r.folders() {
				if !there(dir) {
					t.Errorf("%s is gone, the process is not", dir)
				}
			}
			if !record.Outer.Alive() {
				t.Fatal("the process was to be alive here")
			}

			must(t, confine.WriteRecord(path, record))
			r.reapsWhole(t, r.deps)
			if record.Outer.Alive() {
				t.Error("the process is alive")
			}
		})
	}
}

// reapsWhole reaps with d and sees that nothing of r is left.
func (r *run) reapsWhole(t *testing.T, d Deps) {
	t.Helper()
	report, err := Reap(t.Context(), d)
	must(t, err)
	if len(report.Remainders) > 0 || !slices.Contains(report.Reaped, r.id) {
		t.Errorf("report %+v", report)
	}
	for _, dir := range r.folders() {
		if there(dir) {
			t.Errorf("%s is left", dir)
		}
	}
}

func TestReapFromElsewhereDoesNotCallARunFolderGone(t *testing.T) {
	// What can be at the path of the root in another session or mount namespace.
	for name, elsewhere := range map[string]func(*testing.T) string{
		"nothing": func(t *testing.T) string { return filepath.Join(ownDir(t), "missing") },
		"another": func(t *testing.T) string {
			dir := ownDir(t)
			_, err := placesIn(ownDir(t), dir).ref()
			must(t, err)
			return dir
		},
		"a new one": func(t *testing.T) string { return ownDir(t) },
	} {
		t.Run(name, func(t *testing.T) {
			here := placesIn(ownDir(t), ownDir(t))
			r := begin(t, open(t, here))
			must(t, r.journal.Close(t.Context())) // as if it had died
			from := r.deps
			from.Places = placesIn(here.State, elsewhere(t))
			report, err := Reap(t.Context(), from)
			must(t, err)
			if got := kindsOf(report.Remainders); !slices.Equal(got, []string{kindRunFolder}) || !there(here.runFolder(r.id)) {
				t.Fatalf("left %v, %+v", got, report)
			}
			if text := term.Explain(report.Remainders[0].Err); !strings.Contains(text, "hint: ") || !strings.Contains(text, "where the run was started") {
				t.Errorf("it says %q", text)
			}
			r.reapsWhole(t, r.deps)
		})
	}
}

func TestTheRootOfARunIsFoundWithoutItsSession(t *testing.T) {
	here := placesIn(ownDir(t), ownDir(t))
	r := begin(t, open(t, here))
	must(t, r.journal.Close(t.Context()))
	reaper := r.deps
	reaper.Places.Runtime = RootState // as under a runner, or from cron
	report, err := Reap(t.Context(), reaper)
	must(t, err)
	if len(report.Remainders) > 0 || there(here.runFolder(r.id)) {
		t.Errorf("report %+v", report)
	}
}

func TestReapOfOneStateFolderLeavesTheOthersRuns(t *testing.T) {
	shared := ownDir(t)
	a := begin(t, open(t, placesIn(ownDir(t), shared)))
	b := begin(t, open(t, placesIn(ownDir(t), shared)))
	must(t, a.journal.Close(t.Context()))
	a.reapsWhole(t, a.deps)
	for _, dir := range b.folders() {
		if !there(dir) {
			t.Errorf("%s of the other state folder is gone", dir)
		}
	}
	must(t, b.journal.Close(t.Context()))
	b.reapsWhole(t, b.deps)
}

func TestALedgerOfThePreviousSchemaReaps(t *testing.T) {
	state := ownDir(t)
	unpack(t, "testdata/ledger-schema-1.db.gz", filepath.Join(state, "ledger.db"))
	d := open(t, placesIn(state, ownDir(t)))
	old, err := d.Ledger.Find(t.Context(), "old") // of a supervisor that was killed
	must(t, err)
	r := &run{id: old.ID, deps: d}
	d.Places.Runtime = RootState // the other root than the one that is preferred now
	r.deps.Places = d.Places
	for _, dir := range []string{d.Places.doors(old.ID), d.Places.disk(old.ID)} {
		must(t, os.MkdirAll(dir, 0o700))
	}
	r.reapsWhole(t, d)
	if again, err := d.Ledger.Find(t.Context(), "old"); err != nil || again.State != ledger.StateSettled || again.Workspace != "/srv/project" || again.Report != "" {
		t.Errorf("got %+v, %v", again, err)
	}
	if fresh := begin(t, d); fresh.alias.String() != "127.0.0.16" {
		t.Errorf("the old alias is still leased: %s", fresh.alias)
	}
}

// unpack makes a file of a compressed one.
func unpack(t *testing.T, from, to string) {
	t.Helper()
	f, err := os.Open(from)
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	data, err := io.ReadAll(z)
	must(t, err)
	must(t, os.WriteFile(to, data, 0o600))
}
