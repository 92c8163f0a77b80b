package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bot-bottle/action/runner/internal/child"
	"github.com/bot-bottle/action/runner/ledger"
)

func TestMain(m *testing.M) {
	programs := map[string]child.Program{}
	for name, run := range children() {
		programs[name] = func(ctx context.Context, args []string) error { return run(ctx, world(args[0])) }
	}
	child.Main(m, programs)
}

func children() map[string]func(context.Context, world) error {
	return map[string]func(context.Context, world) error{
		"job":       childJob,
		"live":      childLive,
		"half":      childHalf,
		"reap":      childReap,
		"half-reap": childHalfReap,
	}
}

// world is a folder with a state folder and the outside: what effects make.
type world string

func newWorld(t *testing.T) world {
	t.Helper()
	w := world(t.TempDir())
	must(t, os.Mkdir(w.outside(), 0o700))
	return w
}

func (w world) state() string   { return filepath.Join(string(w), "state") }
func (w world) outside() string { return filepath.Join(string(w), "outside") }
func (w world) undone() string  { return filepath.Join(string(w), "undone") }

func (w world) open(ctx context.Context) (*ledger.Ledger, error) {
	l, _, err := ledger.Open(ctx, w.state(), ledger.Options{})
	return l, err
}

// toyArgs are the arguments of the toy kinds: a run's id and one word.
type toyArgs struct {
	Run  string `json:"run"`
	Word string `json:"word"`
}

func (a toyArgs) name() string { return a.Run + "-" + a.Word }

// make is the toy effect: a folder in the outside with something in it.
func (w world) make(a toyArgs) error {
	dir := filepath.Join(w.outside(), a.name())
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "content"), nil, 0o600)
}

// Undo removes the folder, sees it gone, and notes that it has removed one.
func (w world) Undo(_ context.Context, _ int, text json.RawMessage) error {
	var a toyArgs
	if err := json.Unmarshal(text, &a); err != nil {
		return err
	}
	if !ledger.ValidRunID(a.Run) {
		return fmt.Errorf("%q is no run id", a.Run)
	}
	root, err := os.OpenRoot(w.outside())
	if err != nil {
		return err
	}
	defer root.Close()
	_, err = root.Lstat(a.name())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := errors.Join(err, root.RemoveAll(a.name())); err != nil {
		return err
	}
	return w.note(a.name())
}

func (w world) note(name string) error {
	f, err := os.OpenFile(w.undone(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, name)
	return errors.Join(err, f.Close())
}

// registry has two toy kinds and the alias.
func (w world) registry(l *ledger.Ledger) Registry {
	return Registry{
		"folder": w,
		"guest":  w,
		"alias": UndoFunc(func(ctx context.Context, _ int, text json.RawMessage) error {
			var a toyArgs
			if err := json.Unmarshal(text, &a); err != nil {
				return err
			}
			return l.ReleaseAlias(ctx, a.Run)
		}),
	}
}

// begin opens the ledger and begins a run.
func (w world) begin(ctx context.Context) (*Journal, error) {
	l, err := w.open(ctx)
	if err != nil {
		return nil, err
	}
	_, lock, err := l.Begin(ctx, ledger.NewRun{})
	if err != nil {
		return nil, err
	}
	return New(l, lock, w.registry(l)), nil
}

// effect has the toy effect of a kind.
func (w world) effect(ctx context.Context, j *Journal, kind, word string) error {
	a := toyArgs{Run: j.run, Word: word}
	return j.Effect(ctx, kind, a, Local, func(context.Context) error { return w.make(a) })
}

// launch has the effects of a small job: alias, folder, guest.
func (w world) launch(ctx context.Context) (*Journal, error) {
	j, err := w.begin(ctx)
	if err != nil {
		return nil, err
	}
	err = j.Effect(ctx, "alias", toyArgs{Run: j.run}, Local, func(ctx context.Context) error {
		_, err := j.ledger.LeaseAlias(ctx, j.run)
		return err
	})
	return j, errors.Join(err, w.effect(ctx, j, "folder", "disk"), w.effect(ctx, j, "guest", "vm"))
}

// childJob is a whole small job.
func childJob(ctx context.Context, w world) error {
	j, err := w.launch(ctx)
	if err != nil {
		return err
	}
	for _, left := range append(j.Settle(ctx, "guest"), j.Settle(ctx)...) {
		return left.Err
	}
	return j.Close(ctx)
}

// childLive is a job that tells its id and works until its stdin ends.
func childLive(ctx context.Context, w world) error {
	j, err := w.launch(ctx)
	if err != nil {
		return err
	}
	return child.Say(j.run)
}

// childHalf stops in the middle of an effect, and tells it.
func childHalf(ctx context.Context, w world) error {
	j, err := w.launch(ctx)
	if err != nil {
		return err
	}
	a := toyArgs{Run: j.run, Word: "half"}
	return j.Effect(ctx, "folder", a, Local, func(context.Context) error {
		if err := w.make(a); err != nil {
			return err
		}
		return child.Say(j.run)
	})
}

// childReap reaps and tells the report.
func childReap(ctx context.Context, w world) error {
	l, err := w.open(ctx)
	if err != nil {
		return err
	}
	report, err := Reap(ctx, l, w.registry(l))
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

// childHalfReap stops in the middle of the first undo, and tells it.
func childHalfReap(ctx context.Context, w world) error {
	l, err := w.open(ctx)
	if err != nil {
		return err
	}
	registry := w.registry(l)
	registry["guest"] = UndoFunc(func(ctx context.Context, version int, args json.RawMessage) error {
		return child.Say("undoing")
	})
	_, err = Reap(ctx, l, registry)
	return err
}

// command is a child in the world.
func (w world) command(name string, env ...string) *exec.Cmd {
	cmd := child.Command(name, string(w))
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

func must(t *testing.T, err error) { t.Helper(); child.Must(t, err) }

// nothingLeft checks that there is nothing in the outside and that the ledger
// knows of nothing that could be.
func (w world) nothingLeft(t *testing.T) {
	t.Helper()
	if made := w.there(t); len(made) > 0 {
		t.Errorf("left in the outside: %q", made)
	}
	locks, err := os.ReadDir(filepath.Join(w.state(), "locks"))
	must(t, err)
	if len(locks) > 0 {
		t.Errorf("lock files left: %v", locks)
	}
	l, err := w.open(t.Context())
	must(t, err)
	defer l.Close()
	runs, err := l.OpenRuns(t.Context())
	must(t, err)
	if len(runs) > 0 {
		t.Errorf("open runs left: %+v", runs)
	}
	all, err := l.Runs(t.Context())
	must(t, err)
	for _, r := range all {
		owed, err := l.Obligations(t.Context(), r.ID)
		must(t, err)
		if len(owed) > 0 {
			t.Errorf("run %s still owes %v", r.ID, owed)
		}
	}
	w.aliasesAreFree(t, l)
}

// aliasesAreFree checks that a new run gets the first alias.
func (w world) aliasesAreFree(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	r, lock, err := l.Begin(t.Context(), ledger.NewRun{})
	must(t, err)
	alias, err := l.LeaseAlias(t.Context(), r.ID)
	must(t, err)
	if alias.String() != "127.0.0.16" {
		t.Errorf("an alias is still leased: the next is %s", alias)
	}
	must(t, errors.Join(l.ReleaseAlias(t.Context(), r.ID), l.Settled(t.Context(), r.ID), lock.Remove()))
}

// there lists what is in the outside.
func (w world) there(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(w.outside())
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// reap reaps in this process.
func (w world) reap(t *testing.T) Report {
	t.Helper()
	l, err := w.open(t.Context())
	must(t, err)
	defer l.Close()
	report, err := Reap(t.Context(), l, w.registry(l))
	must(t, err)
	return report
}
