package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/ledger"
)

// ErrMayLand says that an effect was seen absent, but may still come about.
var ErrMayLand = errors.New("it is absent, but may still come about")

// ErrWaits says that an effect was left as it is, because something that is undone
// before it could not be (see Last).
var ErrWaits = errors.New("it has to wait")

// abandonAfter is how long after its deadline an Undo is waited for, to give
// one that heeds its context the time to say what it was waiting for.
const abandonAfter = time.Second

// Remainder is an obligation that could not be undone. It stays in the ledger
// for the next reap. One without a Kind is about the ledger itself.
type Remainder struct {
	Run    string `json:"run"`
	Seq    int64  `json:"obligation,omitempty"`
	Kind   string `json:"kind,omitempty"`
	Reason string `json:"reason"` // Err's text
	Err    error  `json:"-"`      // never nil; a *term.Error is in its chain
}

// Settle undoes what the run owes, newest first, and gives what remains. With
// kinds, only obligations of these kinds are undone, in the same order: the
// guest and the sidecar go before their output is read, the rest after.
//
// It never stops early: an Undo that fails, panics or outlasts its deadline
// leaves a remainder, and the next one is undone, unless it is a Last one that the
// remainder needs. For the same reason the end of ctx does not end it; the sum of
// the deadlines does. It may be called again, and then tries again.
func (j *Journal) Settle(ctx context.Context, kinds ...string) []Remainder {
	ctx = context.WithoutCancel(ctx)
	var left []Remainder
	owed, err := j.ledger.Obligations(ctx, j.run)
	if err != nil {
		left = append(left, remainder(ledger.Obligation{Run: j.run}, err))
		owed = j.remembered()
	}
	owing := countKinds(owed)
	for _, o := range owed {
		if len(kinds) > 0 && !slices.Contains(kinds, o.Kind) {
			continue
		}
		if err := j.settleInTurn(ctx, o, owing); err != nil {
			left = append(left, remainder(o, err))
		}
	}
	return left
}

// countKinds says how many obligations there are of each kind.
func countKinds(owed []ledger.Obligation) map[string]int {
	owing := map[string]int{}
	for _, o := range owed {
		owing[o.Kind]++
	}
	return owing
}

// settleInTurn settles o unless something is owed that has to go before it.
func (j *Journal) settleInTurn(ctx context.Context, o ledger.Obligation, owing map[string]int) error {
	if last, ok := j.registry[o.Kind].(Last); ok {
		for _, before := range last.After() {
			if owing[before] > 0 {
				return term.Errorf(term.StageSettle, "", "undoing %s: %w until the %s is undone", o.Kind, ErrWaits, before).
					WithHint("see what keeps the %s, then run bot-bottle reap", before)
			}
		}
	}
	return j.settle(ctx, o, owing)
}

func remainder(o ledger.Obligation, err error) Remainder {
	var told *term.Error
	if !errors.As(err, &told) {
		err = &term.Error{Stage: term.StageSettle, Err: err}
	}
	return Remainder{Run: o.Run, Seq: o.Seq, Kind: o.Kind, Reason: err.Error(), Err: err}
}

// settle undoes one obligation and drops it, if its absence counts. It is taken off
// owing when it has been undone, also where the ledger can't be told: what comes
// after it need not wait for that.
func (j *Journal) settle(ctx context.Context, o ledger.Obligation, owing map[string]int) error {
	undoer, err := j.undoer(o)
	if err != nil {
		return err
	}
	// Asked before the undo: what lands after that is not seen by it.
	wait, err := j.ledger.MayLand(o)
	if err != nil {
		return err
	}
	crash(BeforeUndo, o.Kind)
	if err := undo(ctx, undoer, o); err != nil {
		return fmt.Errorf("undoing %s: %w", o.Kind, err)
	}
	crash(AfterUndo, o.Kind)
	if wait > 0 {
		return term.Errorf(term.StageSettle, "", "undoing %s: %w", o.Kind, ErrMayLand).
			WithHint("run bot-bottle reap in %s", wait.Round(time.Second)+time.Second)
	}
	owing[o.Kind]--
	if err := j.ledger.Drop(ctx, o); err != nil {
		return err
	}
	j.forget(o)
	crash(AfterDrop, o.Kind)
	return nil
}

// undoer gives the Undoer that knows o's kind and version.
func (j *Journal) undoer(o ledger.Obligation) (Undoer, error) {
	u, ok := j.registry[o.Kind]
	if !ok {
		return nil, term.Errorf(term.StageSettle, "", "undoing %s: this build knows no such kind of obligation", o.Kind).
			WithHint("run reap of the bot-bottle that made it")
	}
	if known := versionOf(u); o.Version > known {
		return nil, term.Errorf(term.StageSettle, "", "undoing %s: it has version %d, this build knows up to %d", o.Kind, o.Version, known).
			WithHint("run reap of the newer bot-bottle that made it")
	}
	return u, nil
}

func versionOf(u Undoer) int {
	if v, ok := u.(Versioned); ok {
		return v.Version()
	}
	return 1
}

func deadlineOf(u Undoer) time.Duration {
	if b, ok := u.(Bounded); ok {
		return b.Deadline()
	}
	return DefaultDeadline
}

// undo calls the Undoer with a deadline that holds even if the Undoer does not
// heed it: a call into a dead file server, say. It is then left behind.
func undo(ctx context.Context, u Undoer, o ledger.Obligation) error {
	deadline := deadlineOf(u)
	late := fmt.Errorf("it took longer than %s", deadline)
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, late)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- recovered(ctx, u, o.Version, o.Args) }()
	abandon := time.NewTimer(deadline + abandonAfter)
	defer abandon.Stop()
	select {
	case err := <-done:
		return err
	case <-abandon.C:
		return late
	}
}

// recovered makes an error of a panic: one Undoer's mistake must not keep the
// others from undoing.
func recovered(ctx context.Context, u Undoer, version int, args json.RawMessage) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the undoer panicked: %v", p)
		}
	}()
	return u.Undo(ctx, version, args)
}
