package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// errPending means that neither an error nor an answer has come yet.
var errPending = errors.New("nothing came yet")

// attempt is a try that waits for the kernel: when fd is ready for events, or
// reports an error, look says what has come. nil means reached, errPending to
// wait on, an errno refused.
type attempt struct {
	fd     int
	events int16
	look   func() error
	again  func() error // sends once more, as look's error; nil: what was sent can't be lost
	also   func()       // closes what is open besides fd; may be nil
}

// finished is an attempt that is over already; err is as attempt.look gives it.
func finished(err error) (*attempt, error) { return nil, err }

// Run makes all tries of p side by side, asks the doors, and looks around. It
// takes no longer than the longest deadline, or as long as the doors do, and ends when ctx does; what is then
// not over is broken.
func Run(ctx context.Context, p Plan) Results {
	start := time.Now()
	r := Results{UID: os.Geteuid()}
	var asked sync.WaitGroup
	asked.Go(func() { r.Doors = askDoors(ctx, p.Doors) })
	r.Tries = tryAll(ctx, p)
	r.look(p)
	asked.Wait()
	r.Elapsed = time.Since(start)
	return r
}

// pending is an attempt with its place in the plan.
type pending struct {
	*attempt
	result *Result
	start  time.Time
	sent   time.Time // the last time
}

// resendAfter is how long a datagram's fate is waited for before it is sent again:
// kernels limit how many refusals they tell of (gVisor fifty at once, then one each
// millisecond; Linux's net.ipv4.icmp_msgs_per_sec), and a refusal that was left out
// for that would pass for silence.
const resendAfter = 250 * time.Millisecond

// look tells what has come of w, after a poll that said ready.
func (w *pending) look(ready bool) error {
	err := errPending
	if ready {
		err = w.attempt.look()
	}
	if errors.Is(err, errPending) && w.again != nil && time.Since(w.sent) >= resendAfter {
		w.sent = time.Now()
		err = w.again()
	}
	return err
}

// due is when w is to be looked at next, even if nothing comes.
func (w *pending) due() time.Time {
	if at := w.sent.Add(resendAfter); w.again != nil && at.Before(w.deadline()) {
		return at
	}
	return w.deadline()
}

func (w *pending) deadline() time.Time { return w.start.Add(w.result.Try.wait()) }

// wait is how long t may take.
func (t Try) wait() time.Duration {
	if t.Deadline <= 0 || t.Deadline > Deadline {
		return Deadline
	}
	return t.Deadline
}

// finish notes what err means and closes what the attempt opened.
func (w *pending) finish(err error) {
	w.result.note(err)
	w.result.Elapsed = time.Since(w.start)
	if w.attempt == nil {
		return
	}
	unix.Close(w.fd)
	if w.also != nil {
		w.also()
	}
}

func (r *Result) note(err error) {
	var errno unix.Errno
	switch {
	case err == nil:
		r.Outcome = Reached
	case errors.Is(err, errPending):
		r.Outcome = Silent
	case errors.As(err, &errno):
		r.Outcome, r.Errno = Refused, errnoName(errno)
	default:
		r.Outcome, r.Detail = Broken, err.Error()
	}
}

func errnoName(e unix.Errno) string {
	if name := unix.ErrnoName(e); name != "" {
		return name
	}
	return fmt.Sprintf("errno %d", int(e))
}

// tryAll begins every try and then waits for those that are under way, all in one
// thread: in gVisor a thread costs more than all the tries together.
func tryAll(ctx context.Context, p Plan) []Result {
	results, shared := make([]Result, len(p.Tries)), newRun(p)
	var waiting []*pending
	for _, i := range quickFirst(p.Tries) {
		results[i].Try = p.Tries[i]
		now := time.Now()
		w := &pending{result: &results[i], start: now, sent: now}
		var err error
		if w.attempt, err = shared.begin(p.Tries[i]); w.attempt == nil {
			w.finish(err)
			continue
		}
		waiting = append(waiting, w)
	}
	for len(waiting) > 0 {
		waiting = wait(ctx, waiting)
	}
	return results
}

// quickFirst gives the places of the tries with the shortest deadlines first: those
// that will meet silence wait while the others are begun.
func quickFirst(tries []Try) []int {
	order := make([]int, len(tries))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(tries[a].wait(), tries[b].wait()) })
	return order
}

// contextSlice is how long the end of a context may go unnoticed. One that can't
// end costs nothing.
const contextSlice = 100 * time.Millisecond

// wait waits until something comes or the next deadline passes, and gives what is
// still under way.
func wait(ctx context.Context, waiting []*pending) []*pending {
	fds := make([]unix.PollFd, len(waiting))
	next := waiting[0].due()
	for i, w := range waiting {
		fds[i] = unix.PollFd{Fd: int32(w.fd), Events: w.events}
		if d := w.due(); d.Before(next) {
			next = d
		}
	}
	if slice := time.Now().Add(contextSlice); ctx.Done() != nil && slice.Before(next) {
		next = slice
	}
	left := max(0, time.Until(next)+time.Millisecond) // in whole milliseconds, and never negative: that is for ever (poll(2))
	if _, err := unix.Poll(fds, int(left.Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) {
		return breakOff(waiting, fmt.Errorf("waiting for the tries: %w", err))
	}
	if ctx.Err() != nil {
		return breakOff(waiting, context.Cause(ctx))
	}
	var rest []*pending
	for i, w := range waiting {
		err := w.look(fds[i].Revents != 0)
		if errors.Is(err, errPending) && time.Now().Before(w.deadline()) {
			rest = append(rest, w)
			continue
		}
		w.finish(err)
	}
	return rest
}

// breakOff ends all with a reason that is not an outcome of theirs.
func breakOff(waiting []*pending, reason error) []*pending {
	for _, w := range waiting {
		w.finish(fmt.Errorf("broken off: %v", reason))
	}
	return nil
}
