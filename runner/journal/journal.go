// Package journal is the only way in which a run touches the outside, and the
// way back.
//
// Effect writes an obligation, durably, before the effect; Settle undoes what
// a run still owes, newest first; Reap does that for every dead run. For each
// kind of effect there is one Undoer, which works in any process from the
// obligation's arguments alone. So however a run ends, at whatever instant, the
// next Reap leaves nothing of it, or says what is left and why.
//
// What it can't promise: that an Undoer tells the truth, and that an effect
// which was not passed through Effect is undone. A Journal has the run's lock,
// which keeps every Reap away until Close. Effect may be called from several
// goroutines; Settle and Close only after all of them have returned.
package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/ledger"
)

// Undoer undoes one kind of effect.
type Undoer interface {
	// Undo makes the effect absent and sees it absent; only then it returns
	// nil. It is nil too where there was nothing, or only a part, to undo, and
	// may be called again. Version is of the form of args. It derives places
	// from the ids in args, which it checks as data that anybody could have
	// written, and acts only on what carries our mark.
	Undo(ctx context.Context, version int, args json.RawMessage) error
}

// UndoFunc is a function that is an Undoer.
type UndoFunc func(ctx context.Context, version int, args json.RawMessage) error

// Undo calls f.
func (f UndoFunc) Undo(ctx context.Context, version int, args json.RawMessage) error {
	return f(ctx, version, args)
}

// Bounded is an Undoer that says how long one Undo may take.
type Bounded interface {
	Undoer
	Deadline() time.Duration // more than 0
}

// Versioned is an Undoer whose arguments have had more than one form.
type Versioned interface {
	Undoer
	Version() int // of the form that this build writes; Undo knows all up to it
}

// Last is an Undoer of something that the undoing of other kinds still needs: where
// they run, or who has the alias. It isn't called while the run owes any of them.
type Last interface {
	Undoer
	After() []string // kinds
}

// DefaultDeadline is how long one Undo may take where its Undoer isn't Bounded:
// a sandbox that has to be killed and unmounted on a loaded host takes seconds.
const DefaultDeadline = 20 * time.Second

// Local is the landing time of an effect on this host. It needs none: the
// kernel frees the run's lock only after the last system call of the process
// that held it, so when the lock can be taken the effect has happened or never
// will. A helper process that has the effect on the run's behalf has to inherit
// the lock (ledger.Lock.File).
const Local time.Duration = 0

// Registry has the Undoer of every kind of effect, by the kind's name in
// kebab-case ("run-folder").
type Registry map[string]Undoer

// Journal is the effects of one run.
type Journal struct {
	ledger   *ledger.Ledger
	lock     *ledger.Lock
	run      string
	registry Registry

	mu   sync.Mutex
	made []ledger.Obligation // by this process and not dropped, for a ledger that can't be read any more
}

// New gives the journal of the run that lock is of. The lock is then the
// journal's: Close gives it up.
func New(l *ledger.Ledger, lock *ledger.Lock, registry Registry) *Journal {
	return &Journal{ledger: l, lock: lock, run: lock.Run(), registry: registry}
}

// Effect does something that has to be undone later. It records the
// obligation, calls do, and records that it is held.
//
// The error is do's own, or the ledger's. In both cases the obligation stays,
// because the effect may have happened in part; Settle undoes it. Only if the
// obligation could not be recorded, do was not called.
//
// Args are typed ids that are marshalled to JSON, never a path, a command or a
// secret. LandsIn is Local, or for a request to another host the time from now
// after which the request can't take effect any more, even if its sender died:
// do's own time limit and what the request may spend on the way. Do's context
// ends then, so that nothing is sent later.
func (j *Journal) Effect(ctx context.Context, kind string, args any, landsIn time.Duration, do func(context.Context) error) error {
	landsIn = landing(landsIn)
	o, err := j.intend(ctx, kind, args, landsIn)
	if err != nil {
		return err
	}
	if landsIn > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, landsIn)
		defer cancel()
	}
	if err := do(ctx); err != nil {
		return j.failed(ctx, o, err)
	}
	crash(AfterDo, kind)
	// The effect has happened: that is recorded although ctx may have ended.
	if err := j.ledger.Hold(context.WithoutCancel(ctx), o); err != nil {
		return err
	}
	crash(AfterHold, kind)
	return nil
}

// over is an error after which nothing of an effect is under way any more.
type over struct{ error }

func (o over) Unwrap() error { return o.error }

// Over marks the error of an effect of which nothing is under way any more, so that
// its absence counts at once. Without the mark it counts after its landing time.
func Over(err error) error { return over{err} }

// failed records of an effect that failed and is over that it has landed, in
// whatever part.
func (j *Journal) failed(ctx context.Context, o ledger.Obligation, err error) error {
	if !errors.As(err, new(over)) {
		return err
	}
	return errors.Join(err, j.ledger.Hold(context.WithoutCancel(ctx), o))
}

func (j *Journal) intend(ctx context.Context, kind string, args any, landsIn time.Duration) (ledger.Obligation, error) {
	undoer, ok := j.registry[kind]
	if !ok {
		panic(fmt.Sprintf("journal: kind %q has no Undoer", kind))
	}
	text, err := json.Marshal(args)
	if err != nil {
		panic(fmt.Sprintf("journal: marshalling the arguments of a %s: %v", kind, err))
	}
	crash(BeforeIntend, kind)
	o, err := j.ledger.Intend(ctx, ledger.Obligation{
		Run: j.run, Kind: kind, Version: versionOf(undoer), Args: text, LandsIn: landsIn,
	})
	if err != nil {
		return o, err
	}
	j.remember(o)
	crash(AfterIntend, kind)
	return o, nil
}

// Close gives up the run's lock. A run of which nothing is left is recorded as
// settled before; one that still owes something stays for the next Reap, which
// is no error here: Settle has told it. Like Settle it does not end with ctx. It
// may not be called again.
func (j *Journal) Close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	crash(BeforeClose, "")
	err := j.ledger.Settled(ctx, j.run)
	if err != nil {
		if errors.Is(err, ledger.ErrOwing) {
			err = nil
		}
		return errors.Join(err, j.unlock(j.lock.Release()))
	}
	crash(AfterSettled, "")
	return j.unlock(j.lock.Remove())
}

func (j *Journal) unlock(err error) error {
	if err == nil {
		return nil
	}
	return term.Errorf(term.StageSettle, "", "giving up the lock of run %q: %w", j.run, err)
}

func (j *Journal) remember(o ledger.Obligation) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.made = append(j.made, o)
}

func (j *Journal) forget(o ledger.Obligation) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.made = slices.DeleteFunc(j.made, func(m ledger.Obligation) bool { return m.Seq == o.Seq })
}

// remembered gives what this process made and has not undone, newest first.
func (j *Journal) remembered() []ledger.Obligation {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := slices.Clone(j.made)
	slices.SortFunc(all, func(a, b ledger.Obligation) int { return int(b.Seq - a.Seq) })
	return all
}
