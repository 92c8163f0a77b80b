package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/internal/child"
)

func contextEndedBy(cause error) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	return ctx, func() { cancel(nil) }
}

func TestARunIsKeptAsItWasTold(t *testing.T) {
	l := open(t, stateDir(t))
	told := NewRun{Name: "fix-42", Bottle: "web", Agent: "fixer", Backend: "gvisor", Isolation: "gvisor", Workspace: "/srv/x"}
	begun, lock, err := l.Begin(t.Context(), told)
	must(t, err)
	defer lock.Release()
	if !ValidRunID(begun.ID) {
		t.Errorf("id %q", begun.ID)
	}
	alias, err := l.LeaseAlias(t.Context(), begun.ID)
	must(t, err)
	outcome := Outcome{ExitCode: 1, Reason: "the agent ended with 3", Patch: "sha256:ab", Files: 2, Added: 10, Deleted: 1}
	must(t, l.Record(t.Context(), begun.ID, outcome))
	got, err := l.Run(t.Context(), begun.ID)
	must(t, err)
	if got.NewRun != told || got.Outcome == nil || *got.Outcome != outcome || got.Alias != alias {
		t.Errorf("got %+v %+v", got, got.Outcome)
	}
	if got.Finished.Before(got.Created) || time.Since(got.Created) > time.Minute {
		t.Errorf("created %v, finished %v", got.Created, got.Finished)
	}
}

func TestARunWithoutANameIsNamedByItsID(t *testing.T) {
	r, _ := begin(t, open(t, stateDir(t)), "")
	if r.Name != r.ID {
		t.Errorf("%q is named %q", r.ID, r.Name)
	}
}

func TestNamesThatAreRefused(t *testing.T) {
	l := open(t, stateDir(t))
	for _, name := range []string{"-a", "a-", "A", "a b", "a/b", "..", "ä", "a\n", "a\x00", strings.Repeat("a", 64)} {
		_, _, err := l.Begin(t.Context(), NewRun{Name: name})
		refused(t, err, term.StageUsage, "not a run name")
	}
	for _, name := range []string{"a", "0", "a--b", "pr-17", strings.Repeat("a", 63)} {
		begin(t, l, name)
	}
	locks, err := os.ReadDir(filepath.Join(l.dir, locksName))
	must(t, err)
	if len(locks) != 5 {
		t.Errorf("%d lock files for 5 runs", len(locks))
	}
}

func TestALiveRunsNameIsTaken(t *testing.T) {
	dir := stateDir(t)
	p := child.Start(t, child.Command("begin", dir, "nightly"))
	id := p.MustLine(t)
	l := open(t, dir)
	_, _, err := l.Begin(t.Context(), NewRun{Name: "nightly"})
	refused(t, err, term.StageUsage, `"nightly"`, id, "choose another name")
	if !errors.Is(err, ErrNameTaken) {
		t.Errorf("got %v", err)
	}
	p.Kill(t)
	again, _ := begin(t, l, "nightly") // the dead one's name is free, though it is not settled
	found, err := l.Find(t.Context(), "nightly")
	must(t, err)
	if found.ID != again.ID {
		t.Errorf("the name means %s, want the newest %s", found.ID, again.ID)
	}
}

func TestOfRunsThatBeginAtOnceOneGetsTheName(t *testing.T) {
	dir := stateDir(t)
	var won, lost int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		l := open(t, dir)
		wg.Go(func() {
			_, lock, err := l.Begin(context.Background(), NewRun{Name: "same"})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
				t.Cleanup(func() { lock.Release() })
			case errors.Is(err, ErrNameTaken):
				lost++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 || lost != 7 {
		t.Errorf("%d got the name and %d did not, want 1 and 7", won, lost)
	}
}

func TestFindPrefersTheID(t *testing.T) {
	l := open(t, stateDir(t))
	first, lock := begin(t, l, "")
	must(t, lock.Release())
	begin(t, l, first.ID) // named like the other's id
	got, err := l.Find(t.Context(), first.ID)
	must(t, err)
	if got.ID != first.ID {
		t.Errorf("found %s by id %s", got.ID, first.ID)
	}
	_, err = l.Find(t.Context(), "no-such")
	refused(t, err, term.StageUsage, `"no-such"`, "ls --all")
	if !errors.Is(err, ErrUnknownRun) {
		t.Errorf("got %v", err)
	}
}

func TestARunThatOwesIsNotSettled(t *testing.T) {
	l := open(t, stateDir(t))
	r, _ := begin(t, l, "")
	o, err := l.Intend(t.Context(), Obligation{Run: r.ID, Kind: "toy", Version: 1, Args: []byte(`{}`)})
	must(t, err)
	if err := l.Settled(t.Context(), r.ID); !errors.Is(err, ErrOwing) {
		t.Errorf("got %v", err)
	}
	must(t, l.Drop(t.Context(), o))
	must(t, l.Settled(t.Context(), r.ID))
	openRuns, err := l.OpenRuns(t.Context())
	must(t, err)
	if len(openRuns) != 0 {
		t.Errorf("open: %v", openRuns)
	}
}

func TestWhatIsSaidOfNoRunIsAnError(t *testing.T) {
	l := open(t, stateDir(t))
	ctx := t.Context()
	const unknown = "aaaaaaaaaa"
	_, errLease := l.LeaseAlias(ctx, unknown)
	_, errIntend := l.Intend(ctx, Obligation{Run: unknown, Kind: "toy", Args: []byte(`{}`)})
	_, errLive := l.Live("../../etc")
	_, errLock := l.TryLock("../../etc")
	for what, err := range map[string]error{
		"record": l.Record(ctx, unknown, Outcome{}), "settled": l.Settled(ctx, unknown),
		"lease": errLease, "intend": errIntend, "live": errLive, "lock": errLock,
	} {
		if err == nil {
			t.Errorf("%s passed", what)
		}
	}
}

func TestTheClockSetBackChangesNothing(t *testing.T) {
	clock := &testClock{wall: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), boot: "a", since: time.Hour}
	l := open(t, stateDir(t), Options{Clock: clock.clock()})
	first, lock := begin(t, l, "first")
	o, err := l.Intend(t.Context(), Obligation{Run: first.ID, Kind: "toy", Version: 1, Args: []byte(`{}`), LandsIn: time.Minute})
	must(t, err)

	clock.wall = clock.wall.AddDate(-10, 0, 0)
	clock.since += 2 * time.Minute
	second, _ := begin(t, l, "second")
	runs, err := l.Runs(t.Context())
	must(t, err)
	if len(runs) != 2 || runs[0].ID != second.ID {
		t.Errorf("the newest is not first: %v", runs)
	}
	if left, err := l.MayLand(o); err != nil || left != 0 {
		t.Errorf("a minute after the intent it may land for %v, %v", left, err)
	}
	must(t, l.Drop(t.Context(), o))
	must(t, l.Record(t.Context(), first.ID, Outcome{}))
	must(t, l.Settled(t.Context(), first.ID))
	must(t, lock.Remove())
}

// testClock is set by hand.
type testClock struct {
	wall  time.Time
	boot  string
	since time.Duration
}

func (c *testClock) clock() Clock {
	return Clock{
		Now:  func() time.Time { return c.wall },
		Boot: func() (string, time.Duration, error) { return c.boot, c.since, nil },
	}
}
