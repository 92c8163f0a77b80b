package runner

import (
	"errors"
	"io"
	"os"
	"sync"

	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/scan"
)

// Output is where the agent's output is shown while it works. Its reader may be
// slow, and so slows the agent, until Hurry says that the work is over: from then
// on nobody holds up a job by not reading.
type Output interface {
	io.Writer
	Hurry()
}

// agentOutput takes what the agent writes, makes it harmless, keeps it in the log
// and shows it. Neither a full disk nor a reader that has gone ends the work: the
// log's error is kept, the reader's is nobody's.
type agentOutput struct {
	log            *kept
	shown          []Output
	scanned        []*withholding // between the shown and what the agent writes
	scanner        *scan.Scanner  // nil: what is shown stays with who owns the host
	stdout, stderr *neutralize.Writer
}

func newAgentOutput(log io.Writer, stdout, stderr Output, scanner *scan.Scanner) *agentOutput {
	o := &agentOutput{log: &kept{w: log}, scanner: scanner}
	o.stdout, o.stderr = o.stream(stdout), o.stream(stderr)
	return o
}

func (o *agentOutput) stream(shown Output) *neutralize.Writer {
	if shown == nil {
		return neutralize.NewWriter(o.log, neutralize.Options{})
	}
	o.shown = append(o.shown, shown)
	var to io.Writer = quiet{shown}
	if o.scanner != nil {
		w := newWithholding(to, o.scanner)
		o.scanned = append(o.scanned, w)
		to = w
	}
	return neutralize.NewWriter(io.MultiWriter(o.log, to), neutralize.Options{})
}

// hurry tells those who are shown the output that the work is over.
func (o *agentOutput) hurry() {
	for _, shown := range o.shown {
		shown.Hurry()
	}
}

// close passes on what was held back, and gives the log's error.
func (o *agentOutput) close() error {
	err := errors.Join(o.stdout.Close(), o.stderr.Close(), o.log.failed())
	for _, w := range o.scanned {
		w.Close() // nobody may be reading
	}
	return err
}

func (o *agentOutput) dropped() int64 { return o.stdout.Dropped() + o.stderr.Dropped() }

// quiet passes writes on and forgets errors: nobody may be reading the agent's
// output any more (a closed pipe, a starter that died), and the job goes on.
type quiet struct{ w io.Writer }

func (q quiet) Write(p []byte) (int, error) {
	q.w.Write(p)
	return len(p), nil
}

// kept passes writes on until one fails, and then keeps the error and drops the
// rest.
type kept struct {
	mu  sync.Mutex
	w   io.Writer
	err error
}

func (k *kept) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		_, k.err = k.w.Write(p)
	}
	return len(p), nil
}

func (k *kept) failed() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// maxSaid bounds what is kept of a helper's diagnosis.
const maxSaid = 4 << 10

// bounded passes on the first left bytes and drops the rest.
type bounded struct {
	w    io.Writer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	if _, err := b.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// create makes a file of the report, which must not be there yet.
func create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}
