package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/bot-bottle/action/internal/guest"
	"github.com/bot-bottle/action/internal/guest/wire"
)

const (
	// killGrace is how long after a command's grace a guest may take to
	// report its end by SIGKILL: it looks for the session's processes and
	// drains the output. One that takes longer is wedged, and is removed as
	// a whole.
	killGrace = 2 * time.Second

	// writerGrace is how long Exec waits, once its context has ended, for a
	// writer that doesn't return.
	writerGrace = time.Second
)

// Cmd is something to run in the guest.
type Cmd struct {
	guest.Command

	// Stdin is copied to the command until it ends; nil is empty. A Read
	// that doesn't return keeps one goroutine, and no more, beyond Exec.
	Stdin io.Reader
	// Stdout and Stderr are never nil, and are written to by one goroutine
	// each, at once. One that blocks slows its own stream only; where one
	// fails the rest of that stream is thrown away.
	Stdout, Stderr io.Writer
}

// running is a command that has been sent.
type running struct {
	base   uint32
	stdin  *wire.Sender
	stdout *wire.Receiver
	stderr *wire.Receiver
	exit   chan guest.Exit // takes one

	sent   chan struct{} // closed when the guest has the command, or the connection has ended
	copied chan struct{} // closed when both outputs have ended
	errs   [2]error      // of the writers; after copied
}

// Exec runs cmd and waits for its end and all of its output. When ctx ends, or
// cmd.Stdin fails, the command's process group is sent SIGTERM and after cmd.Grace
// its session SIGKILL; Exec then gives the cause, and the exit if the guest told
// one. Otherwise the error is about the writers or the connection (ErrEnded); how
// the command ended, or why it could not be started, is in Exit. After Exec has
// returned the writers are not called again, unless one was blocked when ctx ended.
func (c *Conn) Exec(ctx context.Context, cmd Cmd) (guest.Exit, error) {
	start := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, order, err := c.prepare(cmd.Command)
	if err != nil {
		return guest.Exit{}, err
	}
	go r.deliver(cmd.Stdout, cmd.Stderr)
	go c.feed(r, order, cmd.Stdin, cancel)
	exit, err := c.wait(ctx, cmd.Grace, r)
	exit.Duration = time.Since(start)
	if late := r.settle(ctx, err != nil); err == nil {
		err = late
	}
	return exit, err
}

// prepare gives cmd its channels, and its frame.
func (c *Conn) prepare(cmd guest.Command) (*running, wire.Frame, error) {
	body, err := json.Marshal(cmd)
	if err != nil {
		return nil, wire.Frame{}, fmt.Errorf("running a command: %w", err)
	}
	if len(body) > wire.MaxPayload {
		return nil, wire.Frame{}, fmt.Errorf("running a command: its arguments and environment have %d bytes, more than %d", len(body), wire.MaxPayload)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, wire.Frame{}, c.err
	}
	c.next += guest.ChannelsPerCommand
	r := &running{
		base: c.next, exit: make(chan guest.Exit, 1), sent: make(chan struct{}), copied: make(chan struct{}),
		stdin:  c.session.OpenSender(c.next + guest.Stdin),
		stdout: c.session.OpenReceiver(c.next + guest.Stdout),
		stderr: c.session.OpenReceiver(c.next + guest.Stderr),
	}
	c.commands[r.base] = r
	return r, wire.Frame{Type: wire.Exec, Channel: r.base, Payload: body}, nil
}

// feed sends the command, and then its input. Input that can't be read must not
// look like its end: the command is cancelled.
func (c *Conn) feed(r *running, order wire.Frame, input io.Reader, cancel context.CancelCauseFunc) {
	c.session.Send(order) // where it fails the connection has ended
	close(r.sent)
	defer r.stdin.Close()
	if input == nil {
		return
	}
	buffer := make([]byte, wire.MaxPayload)
	for {
		n, err := input.Read(buffer)
		if _, failed := r.stdin.Write(buffer[:n]); failed != nil {
			return // the command has had enough, or has ended
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			cancel(fmt.Errorf("reading the command's input: %w", err))
			return
		}
	}
}

// deliver copies both outputs to their end.
func (r *running) deliver(stdout, stderr io.Writer) {
	defer close(r.copied)
	var both sync.WaitGroup
	both.Go(func() { r.errs[0] = copyAll(stdout, r.stdout) })
	both.Go(func() { r.errs[1] = copyAll(stderr, r.stderr) })
	both.Wait()
}

// copyAll copies a stream to its end. Where the writer fails the rest is thrown
// away, so that the command is not held up.
func copyAll(w io.Writer, r io.Reader) (failed error) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Read(buffer)
		if n > 0 && failed == nil {
			if _, failed = w.Write(buffer[:n]); failed != nil {
				failed = fmt.Errorf("passing output on: %w", failed)
			}
		}
		if err != nil {
			return failed // why the stream ended, where not by itself, Exec knows
		}
	}
}

// wait waits for the exit; see Exec for what the end of ctx does.
func (c *Conn) wait(ctx context.Context, grace time.Duration, r *running) (guest.Exit, error) {
	select {
	case exit := <-r.exit:
		return exit, nil
	case <-c.done:
		return r.last(c.Err())
	case <-ctx.Done():
	}
	go c.signal(r, syscall.SIGTERM) // process 1 itself follows it up with SIGKILL
	over := time.NewTimer(grace + killGrace)
	defer over.Stop()
	select {
	case exit := <-r.exit:
		return exit, context.Cause(ctx)
	case <-c.done:
		return r.last(context.Cause(ctx))
	case <-over.C:
		r.stop()
		return guest.Exit{}, context.Cause(ctx)
	}
}

// last is for a connection that has ended: the exit may still have come.
func (r *running) last(err error) (guest.Exit, error) {
	select {
	case exit := <-r.exit:
		return exit, nil
	default:
		return guest.Exit{}, err
	}
}

// signal sends s to the command.
func (c *Conn) signal(r *running, s syscall.Signal) {
	<-r.sent
	c.session.Send(wire.Frame{Type: wire.Signal, Channel: r.base, Payload: []byte{byte(s)}})
}

// settle waits for the outputs, but where the command is given up only for a
// writer that is about to return.
func (r *running) settle(ctx context.Context, givenUp bool) error {
	if !givenUp {
		select {
		case <-r.copied:
			return errors.Join(r.errs[:]...)
		case <-ctx.Done():
		}
	}
	select {
	case <-r.copied:
		return errors.Join(r.errs[:]...)
	case <-time.After(writerGrace):
		r.stop()
		return context.Cause(ctx)
	}
}

// stop throws the rest of the outputs away and has the guest do the same.
func (r *running) stop() {
	for _, output := range []*wire.Receiver{r.stdout, r.stderr} {
		output.Drop()
		go output.Stop()
	}
}
