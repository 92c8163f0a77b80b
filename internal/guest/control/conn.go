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
	"time"

	"github.com/bot-bottle/action/internal/guest"
	"github.com/bot-bottle/action/internal/guest/wire"
)

// SendTimeout is how long a guest may take to accept one frame. Process 1 reads
// at all times, so that only one that is wedged takes as long, or one on a host
// that is hopelessly overloaded.
const SendTimeout = 30 * time.Second

// Errors that callers tell apart.
var (
	// ErrGuest is wrapped by what the guest says went wrong on its side. Its
	// words are quoted, and at most maxSaid bytes.
	ErrGuest = errors.New("the guest says")
	// ErrEnded is wrapped by what is given once the connection has ended.
	ErrEnded = errors.New("the control connection has ended")
)

// Conn is the connection to one guest. Its methods may be called concurrently.
type Conn struct {
	session *wire.Session
	done    chan struct{}

	mu       sync.Mutex
	next     uint32
	commands map[uint32]*running // by base channel; until the guest tells the exit
	asked    map[wire.Type]chan error
	err      error
}

// Accept waits for the guest's call. checkPeer is asked whether the caller, by
// the kernel's word (SO_PEERCRED), may be the guest; where it may not, that is the
// end. The listener is closed and its socket removed before Accept returns. When
// ctx ends the error is its cause.
func Accept(ctx context.Context, l *net.UnixListener, checkPeer func(pid, uid int) error) (*Conn, error) {
	defer os.Remove(l.Addr().String())
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.SetDeadline(time.Unix(1, 0)) })()
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
	return serve(conn), nil
}

// serve gives the Conn over conn.
func serve(conn net.Conn) *Conn {
	c := &Conn{
		session: wire.NewSession(conn, SendTimeout), done: make(chan struct{}),
		commands: map[uint32]*running{}, asked: map[wire.Type]chan error{},
	}
	go func() {
		err := fmt.Errorf("%w: %w", ErrEnded, c.session.Serve(c.handle))
		c.mu.Lock()
		c.err = err
		c.mu.Unlock()
		close(c.done)
	}()
	return c
}

// handle takes every frame that is not of an open stream.
func (c *Conn) handle(f wire.Frame) error {
	switch f.Type {
	case wire.Ready, wire.Killed:
		return c.answered(f)
	case wire.Exit:
		return c.exited(f)
	}
	return fmt.Errorf("%w: a frame of type %d on channel %d", wire.ErrProtocol, f.Type, f.Channel)
}

// Setup has the guest bring up what s says. It is called once, first.
func (c *Conn) Setup(ctx context.Context, s guest.Setup) error {
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("setting the guest up: %w", err)
	}
	if len(body) > wire.MaxPayload {
		return fmt.Errorf("setting the guest up: %d bytes are more than a frame holds", len(body))
	}
	if err := c.ask(ctx, wire.Frame{Type: wire.Setup, Payload: body}, wire.Ready); err != nil {
		return fmt.Errorf("setting the guest up: %w", err)
	}
	return nil
}

// KillAll ends every process in the guest but process 1, and so also what left
// the session of its command, and gives nil once the guest says that they are
// gone. Commands under way end by it.
func (c *Conn) KillAll(ctx context.Context) error {
	if err := c.ask(ctx, wire.Frame{Type: wire.KillAll}, wire.Killed); err != nil {
		return fmt.Errorf("ending the guest's processes: %w", err)
	}
	return nil
}

// ask sends f and waits for the answer, one at a time of each type.
func (c *Conn) ask(ctx context.Context, f wire.Frame, answer wire.Type) error {
	reply := make(chan error, 1)
	c.mu.Lock()
	busy := c.asked[answer] != nil
	if !busy {
		c.asked[answer] = reply
	}
	c.mu.Unlock()
	if busy {
		return errors.New("asking the guest: it has not answered the last time")
	}
	go c.session.Send(f) // where it fails the connection has ended
	select {
	case err := <-reply:
		return err
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// answered takes the answer to ask.
func (c *Conn) answered(f wire.Frame) error {
	c.mu.Lock()
	reply := c.asked[f.Type]
	delete(c.asked, f.Type)
	c.mu.Unlock()
	if reply == nil {
		return fmt.Errorf("%w: an answer of type %d that nobody asked for", wire.ErrProtocol, f.Type)
	}
	if len(f.Payload) > 0 {
		reply <- fmt.Errorf("%w: %q", ErrGuest, shorten(string(f.Payload)))
		return nil
	}
	reply <- nil
	return nil
}

// maxSaid bounds what of the guest's words gets into an error.
const maxSaid = 1 << 10

func shorten(said string) string { return said[:min(len(said), maxSaid)] }

// exited takes the end of a command.
func (c *Conn) exited(f wire.Frame) error {
	var exit guest.Exit
	if err := json.Unmarshal(f.Payload, &exit); err != nil {
		return fmt.Errorf("%w: an exit that can't be read: %w", wire.ErrProtocol, err)
	}
	byCode, bySignal := exit.Code >= 0 && exit.Code <= 255 && exit.Signal == 0, exit.Code == -1 && exit.Signal > 0 && exit.Signal < 128
	if !byCode && !bySignal {
		return fmt.Errorf("%w: an exit with code %d and signal %d", wire.ErrProtocol, exit.Code, exit.Signal)
	}
	exit.Error = shorten(exit.Error)
	c.mu.Lock()
	r := c.commands[f.Channel]
	delete(c.commands, f.Channel)
	c.mu.Unlock()
	if r == nil {
		return fmt.Errorf("%w: the exit of no command", wire.ErrProtocol)
	}
	// A guest that ends a command without ending its streams doesn't get to
	// keep their readers.
	for _, channel := range []uint32{guest.Stdin, guest.Stdout, guest.Stderr} {
		c.session.Forget(r.base+channel, io.EOF)
	}
	r.exit <- exit
	return nil
}

// Shutdown asks the guest to end and waits until the connection has ended.
func (c *Conn) Shutdown(ctx context.Context) error {
	go c.session.Send(wire.Frame{Type: wire.Shutdown}) // where it fails the connection has ended
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("shutting the guest down: %w", context.Cause(ctx))
	}
}

// Close ends the connection, and with it the guest.
func (c *Conn) Close() error {
	c.session.Close()
	<-c.done
	return nil
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err tells, after Done, why; it wraps ErrEnded.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
