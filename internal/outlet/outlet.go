// Package outlet writes to files that perhaps nobody reads: a CI runner's pipe, a
// pager, a terminal that was stopped. While a job works, a slow reader slows its
// output, as it should. Once the job is to end, a reader that takes nothing is
// given up, so that nobody can keep a bottle alive by not reading.
//
// What it does not promise: that what was written has been read. The report has
// all of it.
package outlet

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"
)

// Patience is how long one piece may stall once the job is to end: more than a
// loaded machine's runner needs to come back to its pipe, little enough for
// whoever cancels.
const Patience = 5 * time.Second

// pieceBytes is the most that is written at once: PIPE_BUF (pipe(7)), which other
// writers on the same pipe don't cut in two.
const pieceBytes = 4096

// ErrGivenUp is the error of writes for which there is no reader any more.
var ErrGivenUp = errors.New("nobody reads it")

// Outlet is one such file. All methods may be called concurrently.
type Outlet struct {
	mu       sync.Mutex // one write at a time, in order
	w        io.Writer
	patience time.Duration

	hurry     sync.Once
	hurried   chan struct{}
	abandon   sync.Once
	abandoned chan struct{}
}

// New gives an outlet that writes to w and waits for its reader.
func New(w io.Writer) *Outlet {
	return &Outlet{w: w, patience: Patience, hurried: make(chan struct{}), abandoned: make(chan struct{})}
}

// Hurry says that the job is to end: from now on a piece that stalls longer than
// Patience, one that is under way included, gives the outlet up for good.
func (o *Outlet) Hurry() { o.hurry.Do(func() { close(o.hurried) }) }

// Abandon gives the outlet up at once. A write that is stuck is left behind.
func (o *Outlet) Abandon() { o.abandon.Do(func() { close(o.abandoned) }) }

// Write writes p in pieces. Once the outlet is given up it writes nothing more and
// gives ErrGivenUp.
func (o *Outlet) Write(p []byte) (n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n < len(p) && err == nil {
		piece := p[n:min(len(p), n+pieceBytes)]
		if err = o.writePiece(piece); err == nil {
			n += len(piece)
		}
	}
	return n, err
}

func (o *Outlet) writePiece(p []byte) error {
	select {
	case <-o.abandoned:
		return ErrGivenUp
	default:
	}
	done := make(chan error, 1)
	own := bytes.Clone(p) // the caller may change p once we return
	go func() {
		_, err := o.w.Write(own)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-o.abandoned:
		return ErrGivenUp
	case <-o.hurried:
	}
	return o.await(done)
}

// await waits with patience for a piece that is under way.
func (o *Outlet) await(done <-chan error) error {
	patience := time.NewTimer(o.patience)
	defer patience.Stop()
	select {
	case err := <-done:
		return err
	case <-patience.C:
		o.Abandon()
	case <-o.abandoned:
	}
	return ErrGivenUp
}
