package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/ledger"
)

// journalWith begins a run with a registry of the test's.
func journalWith(t *testing.T, registry Registry, options ...ledger.Options) *Journal {
	t.Helper()
	l, _, err := ledger.Open(t.Context(), newWorld(t).state(), append(options, ledger.Options{})[0])
	must(t, err)
	t.Cleanup(func() { l.Close() })
	_, lock, err := l.Begin(t.Context(), ledger.NewRun{})
	must(t, err)
	t.Cleanup(func() { lock.Release() })
	return New(l, lock, registry)
}

// done is an effect that has happened.
func done(context.Context) error { return nil }

// did has an effect of each kind.
func did(t *testing.T, j *Journal, kinds ...string) {
	t.Helper()
	for _, k := range kinds {
		must(t, j.Effect(t.Context(), k, struct{}{}, Local, done))
	}
}

// owed lists the kinds that the run owes, newest first, with "?" for intended.
func owed(t *testing.T, j *Journal) string {
	t.Helper()
	all, err := j.ledger.Obligations(t.Context(), j.run)
	must(t, err)
	var words []string
	for _, o := range all {
		if o.Holding == ledger.Intended {
			o.Kind += "?"
		}
		words = append(words, o.Kind)
	}
	return strings.Join(words, " ")
}

// recorder notes what was undone, in order.
type recorder []string

func (r *recorder) undoer(kind string, err error) Undoer {
	return UndoFunc(func(context.Context, int, json.RawMessage) error {
		*r = append(*r, kind)
		return err
	})
}

func (r *recorder) registry(kinds ...string) Registry {
	registry := Registry{}
	for _, k := range kinds {
		registry[k] = r.undoer(k, nil)
	}
	return registry
}

func TestAnEffectIsIntendedBeforeItAndHeldAfter(t *testing.T) {
	var r recorder
	j := journalWith(t, r.registry("key"))
	must(t, j.Effect(t.Context(), "key", struct{}{}, Local, func(context.Context) error {
		if got := owed(t, j); got != "key?" {
			t.Errorf("during the effect %q is owed, want key?", got)
		}
		return nil
	}))
	if got := owed(t, j); got != "key" {
		t.Errorf("after the effect %q is owed, want key", got)
	}
}

func TestAnEffectThatFailedIsStillUndone(t *testing.T) {
	var r recorder
	j := journalWith(t, r.registry("key"))
	failure := errors.New("half-way")
	err := j.Effect(t.Context(), "key", struct{}{}, Local, func(context.Context) error { return failure })
	if !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	if got := owed(t, j); got != "key?" {
		t.Errorf("%q is owed, want key?", got)
	}
	if left := j.Settle(t.Context()); len(left) > 0 || len(r) != 1 || owed(t, j) != "" {
		t.Errorf("undone %v, left %v, owed %q", r, left, owed(t, j))
	}
}

func TestWithoutAnObligationThereIsNoEffect(t *testing.T) {
	var r recorder
	j := journalWith(t, r.registry("key"))
	must(t, j.ledger.Close())
	err := j.Effect(t.Context(), "key", struct{}{}, Local, func(context.Context) error {
		t.Error("it was done")
		return nil
	})
	if err == nil {
		t.Error("it passed")
	}
}

func TestWhatWasDoneIsHeldThoughItsContextHasEnded(t *testing.T) {
	var r recorder
	j := journalWith(t, r.registry("key"))
	ctx, cancel := context.WithCancel(t.Context())
	must(t, j.Effect(ctx, "key", struct{}{}, Local, func(context.Context) error { cancel(); return nil }))
	if got := owed(t, j); got != "key" {
		t.Errorf("%q is owed, want key", got)
	}
}

func TestNothingIsSentAfterItsLandingTime(t *testing.T) {
	var r recorder
	j := journalWith(t, r.registry("key"))
	err := j.Effect(t.Context(), "key", struct{}{}, time.Millisecond, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestAnEffectOfAnUnknownKindPanics(t *testing.T) {
	j := journalWith(t, Registry{})
	defer func() {
		if recover() == nil {
			t.Error("it did not panic")
		}
	}()
	_ = j.Effect(t.Context(), "typo", struct{}{}, Local, done)
}

func TestSettleUndoesNewestFirst(t *testing.T) {
	var r recorder
	j := journalWith(t, r.registry("alias", "disk", "sidecar", "guest"))
	did(t, j, "alias", "disk", "sidecar", "guest")
	if left := j.Settle(t.Context()); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if want := []string{"guest", "sidecar", "disk", "alias"}; !slices.Equal(r, want) {
		t.Errorf("undone %v, want %v", r, want)
	}
}

func TestSettleInTwoHalves(t *testing.T) {
	var r recorder
	j := journalWith(t, r.registry("alias", "disk", "sidecar", "guest"))
	did(t, j, "alias", "sidecar", "disk", "guest")
	j.Settle(t.Context(), "sidecar", "guest")
	if want := []string{"guest", "sidecar"}; !slices.Equal(r, want) || owed(t, j) != "disk alias" {
		t.Errorf("first half: undone %v, owed %q", r, owed(t, j))
	}
	j.Settle(t.Context())
	if want := []string{"guest", "sidecar", "disk", "alias"}; !slices.Equal(r, want) || owed(t, j) != "" {
		t.Errorf("both: undone %v, owed %q", r, owed(t, j))
	}
}

// patient is an undoer that heeds no context.
type patient struct{ forever chan struct{} }

func (p patient) Undo(context.Context, int, json.RawMessage) error { <-p.forever; return nil }
func (p patient) Deadline() time.Duration                          { return 10 * time.Millisecond }

// slow is an undoer that heeds its context.
type slow struct{}

func (slow) Undo(ctx context.Context, _ int, _ json.RawMessage) error {
	<-ctx.Done()
	return context.Cause(ctx)
}
func (slow) Deadline() time.Duration { return 10 * time.Millisecond }

func TestSettleNeverStopsEarly(t *testing.T) {
	var r recorder
	registry := r.registry("first", "last")
	failure := errors.New("still mounted")
	registry["fails"] = r.undoer("fails", failure)
	registry["panics"] = UndoFunc(func(context.Context, int, json.RawMessage) error { panic("oh") })
	stuck := patient{make(chan struct{})}
	defer close(stuck.forever)
	registry["stuck"], registry["slow"] = stuck, slow{}
	j := journalWith(t, registry)
	did(t, j, "first", "fails", "panics", "stuck", "slow", "last")

	ended, cancel := context.WithCancel(t.Context())
	cancel() // a job that was told to stop settles all the same
	left := j.Settle(ended)

	var kinds []string
	for _, m := range left {
		kinds = append(kinds, m.Kind)
		if !errors.As(m.Err, new(*term.Error)) || m.Reason != m.Err.Error() || m.Run != j.run {
			t.Errorf("remainder %+v", m)
		}
	}
	if want := []string{"slow", "stuck", "panics", "fails"}; !slices.Equal(kinds, want) {
		t.Fatalf("left %v, want %v", kinds, want)
	}
	for i, word := range []string{"longer than 10ms", "longer than 10ms", "panicked: oh", "still mounted"} {
		if !strings.Contains(left[i].Reason, word) {
			t.Errorf("%q is not said in %q", word, left[i].Reason)
		}
	}
	if !errors.Is(left[3].Err, failure) {
		t.Errorf("the cause is lost: %v", left[3].Err)
	}
	if got := owed(t, j); got != "slow stuck panics fails" {
		t.Errorf("owed: %q", got)
	}
}

func TestWhatCouldNotBeUndoneIsTriedAgain(t *testing.T) {
	var failure error = errors.New("busy")
	tries := 0
	j := journalWith(t, Registry{"mount": UndoFunc(func(context.Context, int, json.RawMessage) error {
		tries++
		return failure
	})})
	did(t, j, "mount")
	if left := j.Settle(t.Context()); len(left) != 1 {
		t.Errorf("left %v", left)
	}
	failure = nil
	if left := j.Settle(t.Context()); len(left) != 0 || tries != 2 {
		t.Errorf("left %v after %d tries", left, tries)
	}
	if left := j.Settle(t.Context()); len(left) != 0 || tries != 2 {
		t.Errorf("what is gone was undone again: left %v, %d tries", left, tries)
	}
}

func TestAbsenceCountsOnlyAfterTheLandingTime(t *testing.T) {
	since := time.Hour
	clock := ledger.Clock{Boot: func() (string, time.Duration, error) { return "boot", since, nil }}
	var r recorder
	j := journalWith(t, r.registry("key"), ledger.Options{Clock: clock})
	_ = j.Effect(t.Context(), "key", struct{}{}, time.Minute, func(context.Context) error { return errors.New("timeout") })

	left := j.Settle(t.Context())
	if len(left) != 1 || !errors.Is(left[0].Err, ErrMayLand) || !strings.Contains(term.Explain(left[0].Err), "hint: run bot-bottle reap in 1m1s") {
		t.Errorf("before the landing time: %+v", left)
	}
	since += time.Minute
	if left := j.Settle(t.Context()); len(left) != 0 || len(r) != 2 {
		t.Errorf("after the landing time: left %v, undone %v", left, r)
	}
}

func TestAFailedEffectThatIsOverNeedsNoLandingTime(t *testing.T) {
	var r recorder
	j := journalWith(t, r.registry("guest"))
	refused := errors.New("refused")
	err := j.Effect(t.Context(), "guest", struct{}{}, time.Hour, func(context.Context) error { return fmt.Errorf("asking: %w", Over(refused)) })
	if !errors.Is(err, refused) || owed(t, j) != "guest" {
		t.Errorf("got %v, owed %q", err, owed(t, j))
	}
	if left := j.Settle(t.Context()); len(left) != 0 || len(r) != 1 {
		t.Errorf("left %v, undone %v", left, r)
	}
}

func TestAHeldEffectNeedsNoLandingTime(t *testing.T) {
	var r recorder
	j := journalWith(t, r.registry("key"))
	must(t, j.Effect(t.Context(), "key", struct{}{}, time.Hour, done))
	if left := j.Settle(t.Context()); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// second is an undoer whose arguments have had two forms.
type second struct{ seen *[]int }

func (s second) Undo(_ context.Context, version int, _ json.RawMessage) error {
	*s.seen = append(*s.seen, version)
	return nil
}
func (second) Version() int { return 2 }

func TestAnUndoerIsToldTheVersion(t *testing.T) {
	var seen []int
	registry := Registry{"key": UndoFunc(func(context.Context, int, json.RawMessage) error { return nil })}
	j := journalWith(t, registry)
	did(t, j, "key")
	registry["key"] = second{&seen}
	did(t, j, "key")
	if left := j.Settle(t.Context()); len(left) != 0 || !slices.Equal(seen, []int{2, 1}) {
		t.Errorf("left %v, versions %v", left, seen)
	}
}

func TestWhatThisBuildDoesNotKnowStays(t *testing.T) {
	registry := Registry{"key": second{new([]int)}, "later": slow{}}
	j := journalWith(t, registry)
	did(t, j, "key", "later")
	delete(registry, "later")
	registry["key"] = slow{} // version 1
	left := j.Settle(t.Context())
	if len(left) != 2 || owed(t, j) != "later key" {
		t.Fatalf("left %v, owed %q", left, owed(t, j))
	}
	for i, words := range []string{"knows no such kind", "it has version 2, this build knows up to 1"} {
		if text := term.Explain(left[i].Err); !strings.Contains(text, words) || !strings.Contains(text, "hint: ") {
			t.Errorf("%q is not said in %q", words, text)
		}
	}
}

func TestSettleUndoesThoughTheLedgerIsGone(t *testing.T) {
	var r recorder
	registry := r.registry("guest")
	registry["disk"] = last{r.undoer("disk", nil), []string{"guest"}}
	j := journalWith(t, registry)
	did(t, j, "disk", "guest")
	must(t, j.ledger.Close())
	left := j.Settle(t.Context())
	if want := []string{"guest", "disk"}; !slices.Equal(r, want) {
		t.Errorf("undone %v, want %v", r, want)
	}
	if len(left) != 3 || left[0].Kind != "" {
		t.Errorf("left %+v, want one about the ledger and two that it could not be told of", left)
	}
}

func TestCloseSettlesOnlyWhatOwesNothing(t *testing.T) {
	var r recorder
	registry := r.registry("key")
	registry["mount"] = r.undoer("mount", errors.New("busy"))
	for kind, want := range map[string]ledger.State{"key": ledger.StateSettled, "mount": ledger.StateOpen} {
		j := journalWith(t, registry)
		did(t, j, kind)
		j.Settle(t.Context())
		must(t, j.Close(t.Context()))
		run, err := j.ledger.Run(t.Context(), j.run)
		must(t, err)
		live, err := j.ledger.Live(j.run)
		must(t, err)
		if run.State != want || live {
			t.Errorf("a run with a %s: %s, live %v; want %s", kind, run.State, live, want)
		}
	}
}

// last is an Undoer that goes after others.
type last struct {
	Undoer
	after []string
}

func (l last) After() []string { return l.after }

func TestWhatTheUndoingOfOthersNeedsStaysWhileTheyAreOwed(t *testing.T) {
	var r recorder
	stuck := errors.New("stuck")
	registry := r.registry("key", "other")
	registry["guest"] = r.undoer("guest", stuck)
	registry["folder"] = last{r.undoer("folder", nil), []string{"guest", "sidecar"}}
	j := journalWith(t, registry)
	did(t, j, "folder", "other", "guest", "key")
	left := j.Settle(t.Context())
	if got := owed(t, j); got != "guest folder" || len(left) != 2 {
		t.Errorf("%q is owed, and %v was told", got, left)
	}
	if slices.Contains(r, "folder") {
		t.Error("the folder was undone while the guest was owed")
	}
	if text := term.Explain(left[1].Err); !errors.Is(left[1].Err, ErrWaits) || !strings.Contains(text, "until the guest is undone") || !strings.Contains(text, "hint: ") {
		t.Errorf("the folder's remainder says %q", text)
	}
	registry["guest"] = r.undoer("guest", nil)
	if left := j.Settle(t.Context()); len(left) != 0 || owed(t, j) != "" {
		t.Errorf("%q is owed, and %v was told", owed(t, j), left)
	}
	if got := r[len(r)-2:]; !slices.Equal(got, []string{"guest", "folder"}) {
		t.Errorf("undone in the order %v", got)
	}
}

func TestWhatWasNotToBeUndoneYetHoldsUpWhatComesAfter(t *testing.T) {
	var r recorder
	registry := r.registry("guest", "sidecar")
	registry["disk"] = last{r.undoer("disk", nil), []string{"guest", "sidecar"}}
	j := journalWith(t, registry)
	did(t, j, "disk", "sidecar", "guest")
	left := j.Settle(t.Context(), "disk", "sidecar")
	if len(left) != 1 || !errors.Is(left[0].Err, ErrWaits) || owed(t, j) != "guest disk" {
		t.Errorf("left %+v, owed %q", left, owed(t, j))
	}
}

func TestWhatMayStillLandHoldsUpWhatComesAfter(t *testing.T) {
	clock := ledger.Clock{Boot: func() (string, time.Duration, error) { return "boot", time.Hour, nil }}
	var r recorder
	registry := r.registry("guest")
	registry["disk"] = last{r.undoer("disk", nil), []string{"guest"}}
	j := journalWith(t, registry, ledger.Options{Clock: clock})
	did(t, j, "disk")
	_ = j.Effect(t.Context(), "guest", struct{}{}, time.Minute, func(context.Context) error { return errors.New("timeout") })
	if left := j.Settle(t.Context()); len(left) != 2 || slices.Contains(r, "disk") {
		t.Errorf("left %+v, tried %v", left, r)
	}
}
