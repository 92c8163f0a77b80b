package ledger

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/bot-bottle/action/runner/internal/child"
	"time"
)

func TestARunIsLiveUntilItsProcessIsKilled(t *testing.T) {
	dir := stateDir(t)
	p := child.Start(t, child.Command("begin", dir, "job"))
	id := p.MustLine(t)
	l := open(t, dir)
	if live, err := l.Live(id); err != nil || !live {
		t.Fatalf("live: %v, %v", live, err)
	}
	if _, err := l.TryLock(id); !errors.Is(err, ErrLive) {
		t.Errorf("its lock could be had: %v", err)
	}
	p.Kill(t)
	if live, err := l.Live(id); err != nil || live {
		t.Errorf("killed, and live: %v, %v", live, err)
	}
	lock, err := l.TryLock(id)
	must(t, err)
	must(t, lock.Release())
}

func TestAHelperThatInheritedTheLockKeepsTheRunLive(t *testing.T) {
	dir := stateDir(t)
	p := child.Start(t, child.Command("begin", dir, "job", "with a helper"))
	id := p.MustLine(t)
	p.Kill(t)
	l := open(t, dir)
	if live, err := l.Live(id); err != nil || !live {
		t.Fatalf("the helper lives; live: %v, %v", live, err)
	}
	p.CloseInput(t) // the helper ends
	must(t, l.WaitUnlocked(soon(t), id))
}

func TestReleaseDoesNotTakeTheLockFromAHelper(t *testing.T) {
	l := open(t, stateDir(t))
	r, lock := begin(t, l, "")
	helper := child.Command("helper")
	helper.ExtraFiles = []*os.File{lock.File()}
	p := child.Start(t, helper)
	must(t, lock.Release())
	if live, err := l.Live(r.ID); err != nil || !live {
		t.Errorf("live: %v, %v", live, err)
	}
	p.CloseInput(t)
	must(t, l.WaitUnlocked(soon(t), r.ID))
}

func TestOurOwnLockIsSeenAsLive(t *testing.T) {
	l := open(t, stateDir(t))
	r, lock := begin(t, l, "")
	if live, err := l.Live(r.ID); err != nil || !live {
		t.Errorf("live: %v, %v", live, err)
	}
	if _, err := l.TryLock(r.ID); !errors.Is(err, ErrLive) {
		t.Errorf("taken twice: %v", err)
	}
	must(t, lock.Remove())
	if live, err := l.Live(r.ID); err != nil || live {
		t.Errorf("removed, and live: %v, %v", live, err)
	}
}

func TestLockWaitsForItsHolder(t *testing.T) {
	dir := stateDir(t)
	p := child.Start(t, child.Command("begin", dir, "job"))
	id := p.MustLine(t)
	l := open(t, dir)
	short, cancel := context.WithTimeout(t.Context(), 4*lockPoll)
	defer cancel()
	if _, err := l.Lock(short, id); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it is held: %v", err)
	}
	got := make(chan error, 1)
	go func() {
		lock, err := l.Lock(soon(t), id)
		if err == nil {
			err = lock.Release()
		}
		got <- err
	}()
	p.CloseInput(t)
	must(t, <-got)
}

func TestALockThatWasRemovedMeanwhileIsTakenAnew(t *testing.T) {
	l := open(t, stateDir(t))
	r, lock := begin(t, l, "")
	waiting := make(chan *Lock, 1)
	go func() {
		k, err := l.Lock(soon(t), r.ID)
		if err != nil {
			t.Error(err)
		}
		waiting <- k
	}()
	must(t, lock.Remove())
	k := <-waiting
	if same, err := isAt(k.File(), k.path); err != nil || !same {
		t.Errorf("the lock is on a file that is gone: %v, %v", same, err)
	}
	if live, err := l.Live(r.ID); err != nil || !live {
		t.Errorf("live: %v, %v", live, err)
	}
	must(t, k.Release())
}

func TestSweepingRemovesOnlyWhatNobodyNeeds(t *testing.T) {
	l := open(t, stateDir(t))
	ctx := t.Context()
	live, _ := begin(t, l, "")
	dead, deadLock := begin(t, l, "")
	must(t, deadLock.Release())
	settled, settledLock := begin(t, l, "")
	must(t, l.Settled(ctx, settled.ID))
	must(t, settledLock.Release())
	const neverRecorded, recording = "bbbbbbbbbb", "cccccccccc"
	k, err := l.TryLock(neverRecorded)
	must(t, err)
	must(t, k.Release())
	held, err := l.TryLock(recording)
	must(t, err)
	defer held.Release()

	must(t, l.SweepLocks(ctx))
	for id, want := range map[string]bool{live.ID: true, dead.ID: true, settled.ID: false, neverRecorded: false, recording: true} {
		path, err := l.lockPath(id)
		must(t, err)
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("lock file of %s is there: %v, want %v", id, err == nil, want)
		}
	}
}

func TestRunsBeginAndEndBesideSweeps(t *testing.T) {
	dir := stateDir(t)
	sweeper := open(t, dir)
	done := make(chan struct{})
	swept := make(chan error, 1)
	go func() {
		for {
			select {
			case <-done:
				swept <- nil
				return
			default:
			}
			if err := sweeper.SweepLocks(context.Background()); err != nil {
				swept <- err
				return
			}
		}
	}()
	l := open(t, dir)
	for range 100 {
		r, lock, err := l.Begin(t.Context(), NewRun{})
		must(t, err)
		if live, err := l.Live(r.ID); err != nil || !live {
			t.Fatalf("a run that began is live: %v, %v", live, err)
		}
		must(t, l.Settled(t.Context(), r.ID))
		must(t, lock.Remove())
	}
	close(done)
	must(t, <-swept)
}

func TestValidRunIDsAreOnlyThose(t *testing.T) {
	for id, want := range map[string]bool{
		"abcdefghij": true, "a2b3c4d5e6": true, "": false, "abcdefghi": false, "abcdefghijk": false,
		"ABCDEFGHIJ": false, "../../../..": false, "abcde/ghij": false, "abcde\nghij": false, "abcdefghi0": false,
	} {
		if got := ValidRunID(id); got != want {
			t.Errorf("%q: %v, want %v", id, got, want)
		}
	}
	for range 1000 {
		if id := randomID(runIDLength); !ValidRunID(id) || strings.ToLower(id) != id {
			t.Fatalf("drew %q", id)
		}
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	l := open(t, stateDir(t))
	r, _ := begin(t, l, "")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := l.WaitUnlocked(ctx, r.ID); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
