package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/bot-bottle/action/internal/guest/wire"
	"golang.org/x/sys/unix"
)

// InitOptions say how Init serves.
type InitOptions struct {
	Control  string // path of the control socket
	PowerOff bool   // switch the machine off in the end, for a guest that is one (reboot(2))
}

// endLimit is how long process 1 waits in the end for what it has killed. What is
// left then ends with process 1.
const endLimit = time.Second

// firstExtra is the first descriptor after stdin, stdout and stderr.
const firstExtra = 3

// process1 is the state of Init.
type process1 struct {
	session    *wire.Session
	reaper     *reaper
	forwarders forwarders
	ready      bool // only Serve's goroutine looks at it

	mu       sync.Mutex
	commands map[uint32]*command // by base channel
}

// Init is process 1: it dials control and serves until the connection or ctx
// ends; then it ends every other process. The error says why it ended; nil where
// the supervisor asked for it or closed. Besides tests it is called in process 1
// only, where it needs CAP_SETUID, CAP_SETGID, CAP_SETPCAP and CAP_KILL to run
// commands as another user.
func Init(ctx context.Context, o InitOptions) error {
	if os.Getpid() != 1 {
		// As a child, in tests, orphans come to us as they would to process 1.
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("becoming a reaper: %w", err)
		}
	}
	if err := unix.CloseRange(firstExtra, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("keeping descriptors from children: %w", err)
	}
	unix.Umask(0o022)
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", o.Control)
	if err != nil {
		return fmt.Errorf("calling the supervisor: %w", err)
	}
	p := &process1{session: wire.NewSession(conn, 0), reaper: newReaper(), commands: map[uint32]*command{}}
	defer context.AfterFunc(ctx, p.session.Close)()
	go p.reaper.run(signals())
	err = p.session.Serve(p.handle)
	p.forwarders.close()
	p.reaper.killAll(endLimit) // the end of process 1 kills what is left
	if o.PowerOff {
		return errors.Join(ended(err), powerOff())
	}
	return ended(err)
}

// errShutdown ends the session where the supervisor asks for it.
var errShutdown = errors.New("the supervisor shuts the guest down")

// ended gives nil for the ways in which the supervisor ends a session. Unread
// answers make its closing a reset (unix(7)).
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, errShutdown) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return fmt.Errorf("serving the supervisor: %w", err)
}

func powerOff() error {
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		return fmt.Errorf("switching the machine off: %w", err)
	}
	return nil
}

// handle takes every frame that is not of an open stream.
func (p *process1) handle(f wire.Frame) error {
	switch f.Type {
	case wire.Setup:
		return p.setUp(f.Payload)
	case wire.Exec:
		return p.exec(f)
	case wire.Signal:
		return p.signal(f)
	case wire.KillAll:
		go p.killAll()
		return nil
	case wire.Shutdown:
		return errShutdown
	case wire.Data, wire.End, wire.Stop, wire.Credit:
		return nil // of a command that has ended, which the supervisor didn't know yet
	}
	return fmt.Errorf("%w: a frame of type %d", wire.ErrProtocol, f.Type)
}

// setUp brings up what the message asks for and says so.
func (p *process1) setUp(payload []byte) error {
	if p.ready {
		return fmt.Errorf("%w: a second setup", wire.ErrProtocol)
	}
	p.ready = true
	var s Setup
	err := json.Unmarshal(payload, &s)
	if err == nil {
		err = p.apply(s)
	}
	return p.answer(wire.Ready, err)
}

// answer sends a frame whose payload, if any, is an error.
func (p *process1) answer(t wire.Type, err error) error {
	var reason []byte
	if err != nil {
		reason = []byte(err.Error())
	}
	return p.session.Send(wire.Frame{Type: t, Payload: reason[:min(len(reason), wire.MaxPayload)]})
}

// exec starts what the frame asks for; how it ends is told by an Exit frame.
func (p *process1) exec(f wire.Frame) error {
	c := &command{base: f.Channel, reaper: p.reaper}
	if err := json.Unmarshal(f.Payload, &c.Command); err != nil {
		return fmt.Errorf("%w: a command that can't be read: %w", wire.ErrProtocol, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ready || len(c.Argv) == 0 || c.base%ChannelsPerCommand != 0 || p.commands[c.base] != nil {
		return fmt.Errorf("%w: a command without setup, argv or a channel of its own", wire.ErrProtocol)
	}
	c.stdin = p.session.OpenReceiver(c.base + Stdin)
	c.stdout = p.session.OpenSender(c.base + Stdout)
	c.stderr = p.session.OpenSender(c.base + Stderr)
	p.commands[c.base] = c
	go p.finish(c)
	return nil
}

// finish runs c and tells its exit, which is the last word on its channels.
func (p *process1) finish(c *command) {
	exit := c.run()
	for _, channel := range []uint32{Stdin, Stdout, Stderr} {
		p.session.Forget(c.base+channel, io.ErrClosedPipe)
	}
	p.mu.Lock()
	delete(p.commands, c.base)
	p.mu.Unlock()
	body, err := json.Marshal(exit)
	if err != nil {
		panic(err) // numbers and a string
	}
	p.session.Send(wire.Frame{Type: wire.Exit, Channel: c.base, Payload: body}) // where it fails Serve ends
}

func (p *process1) signal(f wire.Frame) error {
	if len(f.Payload) != 1 {
		return fmt.Errorf("%w: a signal of %d bytes", wire.ErrProtocol, len(f.Payload))
	}
	p.mu.Lock()
	c := p.commands[f.Channel]
	p.mu.Unlock()
	if c != nil {
		c.signal(syscall.Signal(f.Payload[0]))
	}
	return nil
}

// killAllLimit bounds the answer to KillAll: what doesn't die by then hangs in
// the kernel, and the guest has to be removed as a whole.
const killAllLimit = 5 * time.Second

func (p *process1) killAll() { p.answer(wire.Killed, p.reaper.killAll(killAllLimit)) }
