package action

import (
	"context"
	"errors"
	"time"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
	"github.com/bot-bottle/action/runner/journal"
	"github.com/bot-bottle/action/runner/ledger"
)

// postPatience is how long post waits for main: a supervisor that was told to end
// settles in seconds, and after five minutes GitHub kills a cancelled job's post
// step (docs.github.com, "Workflow cancellation reference").
const postPatience = 4 * time.Minute

// mainPatience is how long a main waits for the lock of its handle, which nobody
// but another main with the same state, or a passing sweep, can hold.
const mainPatience = 10 * time.Second

// Claim takes the handle's lock for main, before anything else is done. Post
// waits for it, and so for the whole of main: for a run that doesn't exist yet,
// too. After taking it main has to look whether its starter still lives; if it
// died before, post may be over.
func Claim(ctx context.Context, l *ledger.Ledger, h Handover) (*ledger.Lock, error) {
	if h.Handle == "" {
		return nil, term.Errorf(term.StageUsage, "", "reading what the action's shim sent: it has no handle").
			WithHint("this verb is for action.yml; a person uses bot-bottle run")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, mainPatience, errors.New("another main of this step is at work"))
	defer cancel()
	return l.Lock(ctx, h.Handle)
}

// PostWorld is what post needs.
type PostWorld struct {
	World
	Ledger *ledger.Ledger
	// Reap settles dead runs.
	Reap func(context.Context) (journal.Report, error)
}

// Post waits until main is gone and settles what it left, and what other dead
// runs left. A step without main has nothing to wait for. Everything was told to
// the runner when it returns.
func Post(ctx context.Context, h Handover, w PostWorld) runner.ExitCode {
	v := newVoice(w.Stdout, w.Getenv)
	left, err := w.settle(ctx, h, v)
	w.abandon(ctx, v, h)
	if err == nil && left > 0 {
		err = term.Errorf(term.StageSettle, "", "settling: %s of this job could not be undone", term.Count(int64(left), "obligation", "obligations")).
			WithHint("see above what stands in the way; the next job on this host, or bot-bottle reap, tries again")
	}
	if err != nil {
		v.failure(err)
	}
	return runner.CodeOf(err)
}

func (w PostWorld) settle(ctx context.Context, h Handover, v *voice) (left int, err error) {
	own, err := w.await(ctx, h)
	if err != nil {
		return 0, err
	}
	reaped, err := w.Reap(ctx)
	if err != nil {
		return 0, err
	}
	for _, id := range reaped.Reaped {
		v.line("settled what run " + id + " had left")
	}
	for _, m := range reaped.Remainders {
		if own[m.Run] {
			left++
		}
		v.warning("run " + m.Run + " still owes " + m.Kind + ": " + m.Reason)
	}
	return left, nil
}

// await waits for the end of main, and gives the ids of its runs.
func (w PostWorld) await(ctx context.Context, h Handover) (map[string]bool, error) {
	own := map[string]bool{}
	if h.Handle == "" {
		return own, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, postPatience, errors.New("main is still at work"))
	defer cancel()
	lock, err := w.Ledger.Lock(ctx, h.Handle)
	if err != nil {
		return nil, settleError(err)
	}
	defer lock.Remove()
	runs, err := w.Ledger.OpenRuns(ctx)
	if err != nil {
		return nil, settleError(err)
	}
	for _, r := range runs {
		if r.Name == h.runName() {
			own[r.ID] = true
			err = errors.Join(err, w.Ledger.WaitUnlocked(ctx, r.ID))
		}
	}
	return own, settleError(err)
}

func settleError(err error) error {
	if err == nil {
		return nil
	}
	return term.Errorf(term.StageSettle, "", "waiting for main: %w", err).
		WithHint("look at the job with bot-bottle ls on the host; bot-bottle reap settles it once it is dead")
}
