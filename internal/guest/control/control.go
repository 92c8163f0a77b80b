// Package control is the supervisor's end of the one connection over which a
// guest gets its orders.
//
// The guest calls; Accept takes exactly one call, before any agent code runs, and
// the socket is gone then. What comes over the connection is never trusted: it
// can end a command, fill its output and break the session, and nothing else.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/bot-bottle/action/internal/guest"
	"github.com/bot-bottle/action/internal/guest/wire"
)

// ErrGuest is wrapped by what the guest says went wrong on its side.
var ErrGuest = errors.New("the guest says")

// Cmd is something to run in the guest.
type Cmd struct {
	guest.Command
	Stdin          io.Reader // nil: empty
	Stdout, Stderr io.Writer // never nil; a slow one slows its own stream only
}

// Conn is the connection to one guest. Its methods may be called concurrently.
type Conn struct {
	conn  net.Conn
	out   *wire.Writer
	ready chan error

	mu       sync.Mutex
	next     uint32
	commands map[uint32]*running
	err      error
	done     chan struct{}
}

// running is a command that has been sent.
type running struct {
	base   uint32
	stdin  *wire.Sender
	stdout *wire.Receiver
	stderr *wire.Receiver
	exit   chan guest.Exit
}

// Accept waits for the guest's call. checkPeer is asked whether the caller, by
// the kernel's word, may be the guest; where it may not, that is the end. The
// listener is closed and its socket removed before Accept returns.
func Accept(ctx context.Context, l *net.UnixListener, checkPeer func(pid, uid int) error) (*Conn, error) {
	defer os.Remove(l.Addr().String())
	defer l.Close()
	stop := context.AfterFunc(ctx, func() { l.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := l.AcceptUnix()
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("accepting the guest's call: %w", err)
	}
	pid, uid, err := peerOf(conn)
	if err == nil {
		err = checkPeer(pid, uid)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("checking who calls: %w", err)
	}
	c := &Conn{conn: conn, out: wire.NewWriter(conn), ready: make(chan error, 1), commands: map[uint32]*running{}, done: make(chan struct{})}
	go c.read()
	return c, nil
}

// Setup has the guest bring up what s says.
func (c *Conn) Setup(ctx context.Context, s guest.Setup) error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := c.out.Write(wire.Frame{Type: wire.Setup, Payload: body}); err != nil {
		return c.broken(err)
	}
	select {
	case err := <-c.ready:
		return err
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Exec runs cmd and waits for its end and all of its output. When ctx ends it is
// sent SIGTERM, after its grace SIGKILL, and Exec gives the cause. The error is
// about the connection or the writers; how the command ended, or why it could not
// be started, is in Exit.
func (c *Conn) Exec(ctx context.Context, cmd Cmd) (guest.Exit, error) {
	r, err := c.send(cmd.Command)
	if err != nil {
		return guest.Exit{}, err
	}
	defer c.forget(r)
	go func() {
		if cmd.Stdin != nil {
			io.Copy(r.stdin, cmd.Stdin)
		}
		r.stdin.Close()
	}()
	copied := make(chan error, 2)
	go func() { copied <- drain(cmd.Stdout, r.stdout) }()
	go func() { copied <- drain(cmd.Stderr, r.stderr) }()
	exit, err := c.wait(ctx, cmd, r)
	if err != nil {
		return exit, err
	}
	for range 2 {
		select {
		case err = <-copied:
		case <-ctx.Done():
			return exit, context.Cause(ctx)
		}
		if err != nil {
			return exit, err
		}
	}
	return exit, nil
}

// drain copies all of a stream; where the writer fails the rest is thrown away,
// so that the command is not held up.
func drain(w io.Writer, r io.Reader) error {
	_, err := io.Copy(w, r)
	if err != nil && !errors.Is(err, errSession) {
		io.Copy(io.Discard, r)
		return fmt.Errorf("passing output on: %w", err)
	}
	return err
}

// errSession is in what readers get when the session breaks.
var errSession = errors.New("the control connection has ended")

// wait waits for the exit; see Exec for what the end of ctx does.
func (c *Conn) wait(ctx context.Context, cmd Cmd, r *running) (guest.Exit, error) {
	select {
	case exit := <-r.exit:
		return exit, nil
	case <-c.done:
		return guest.Exit{}, c.Err()
	case <-ctx.Done():
	}
	c.signal(r, syscall.SIGTERM)
	over := time.NewTimer(cmd.Grace + killGrace) // the guest itself sends SIGKILL after the grace
	defer over.Stop()
	select {
	case exit := <-r.exit:
		return exit, context.Cause(ctx)
	case <-c.done:
	case <-over.C:
	}
	return guest.Exit{}, context.Cause(ctx)
}

// killGrace is how long a guest may take to report an end by SIGKILL. One that
// doesn't is wedged, and is removed as a whole.
const killGrace = time.Second

func (c *Conn) signal(r *running, s syscall.Signal) {
	c.out.Write(wire.Frame{Type: wire.Signal, Channel: r.base, Payload: []byte{byte(s)}})
}

// send gives cmd its channels and sends it.
func (c *Conn) send(cmd guest.Command) (*running, error) {
	body, err := json.Marshal(cmd)
	if err != nil {
		return nil, err
	}
	if len(body) > wire.MaxPayload {
		return nil, fmt.Errorf("running a command: its arguments and environment have %d bytes, more than %d", len(body), wire.MaxPayload)
	}
	c.mu.Lock()
	c.next += guest.ChannelsPerCommand
	r := &running{base: c.next, exit: make(chan guest.Exit, 1)}
	r.stdin = wire.NewSender(c.out, r.base+guest.Stdin)
	r.stdout = wire.NewReceiver(c.out, r.base+guest.Stdout)
	r.stderr = wire.NewReceiver(c.out, r.base+guest.Stderr)
	err = c.err
	if err == nil {
		c.commands[r.base] = r
	}
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := c.out.Write(wire.Frame{Type: wire.Exec, Channel: r.base, Payload: body}); err != nil {
		return nil, c.broken(err)
	}
	return r, nil
}

func (c *Conn) forget(r *running) {
	c.mu.Lock()
	delete(c.commands, r.base)
	c.mu.Unlock()
	r.stdin.Break(io.ErrClosedPipe)
	r.stdout.Break(errSession)
	r.stderr.Break(errSession)
}

// read handles the guest's frames until the connection ends.
func (c *Conn) read() {
	for {
		f, err := wire.Read(c.conn)
		if err == nil {
			err = c.handle(f)
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

func (c *Conn) handle(f wire.Frame) error {
	if f.Type == wire.Ready {
		var err error
		if len(f.Payload) > 0 {
			err = fmt.Errorf("%w: %q", ErrGuest, f.Payload)
		}
		select {
		case c.ready <- err:
			return nil
		default:
			return fmt.Errorf("%w: ready twice", wire.ErrProtocol)
		}
	}
	c.mu.Lock()
	r := c.commands[f.Channel-f.Channel%guest.ChannelsPerCommand]
	c.mu.Unlock()
	if r == nil {
		return nil // it was given up
	}
	return r.handle(f)
}

func (r *running) handle(f wire.Frame) error {
	channel := f.Channel - r.base
	switch {
	case f.Type == wire.Exit && channel == 0:
		return r.ended(f.Payload)
	case f.Type == wire.Data && channel == guest.Stdout:
		return r.stdout.Take(f.Payload)
	case f.Type == wire.Data && channel == guest.Stderr:
		return r.stderr.Take(f.Payload)
	case f.Type == wire.End && channel == guest.Stdout:
		r.stdout.Break(io.EOF)
	case f.Type == wire.End && channel == guest.Stderr:
		r.stderr.Break(io.EOF)
	case f.Type == wire.Credit && channel == guest.Stdin:
		return r.stdin.Grant(f.Payload)
	default:
		return fmt.Errorf("%w: frame %d on channel %d", wire.ErrProtocol, f.Type, channel)
	}
	return nil
}

func (r *running) ended(payload []byte) error {
	var exit guest.Exit
	if err := json.Unmarshal(payload, &exit); err != nil {
		return fmt.Errorf("%w: an exit that can't be read: %w", wire.ErrProtocol, err)
	}
	// A guest that ends a command without ending its streams doesn't get to
	// keep their readers.
	r.stdout.Break(io.EOF)
	r.stderr.Break(io.EOF)
	select {
	case r.exit <- exit:
		return nil
	default:
		return fmt.Errorf("%w: a command ended twice", wire.ErrProtocol)
	}
}

// end ends the session for everybody who waits.
func (c *Conn) end(err error) {
	c.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = fmt.Errorf("%w: %w", errSession, err)
	for _, r := range c.commands {
		r.stdin.Break(c.err)
		r.stdout.Break(c.err)
		r.stderr.Break(c.err)
	}
	close(c.done)
}

// broken prefers the reader's reason.
func (c *Conn) broken(err error) error {
	select {
	case <-c.done:
		return c.Err()
	case <-time.After(100 * time.Millisecond):
		return fmt.Errorf("%w: %w", errSession, err)
	}
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err tells, after Done, why.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection, and with it the guest.
func (c *Conn) Close() error { return c.conn.Close() }
