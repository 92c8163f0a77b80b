package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/bot-bottle/action/internal/guest/wire"
	"golang.org/x/sys/unix"
)

// process1 is the state of Init.
type process1 struct {
	conn   net.Conn
	out    *wire.Writer
	reaper *reaper

	mu       sync.Mutex
	commands map[uint32]*command // by base channel
	ready    bool
}

// Init is process 1: it dials the control socket at path and serves until the
// connection ends; then it ends every other process. The error says why it
// ended; nil where the supervisor asked for it.
func Init(ctx context.Context, path string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("calling the supervisor: %w", err)
	}
	defer conn.Close()
	if os.Getpid() != 1 {
		// As a child, in tests, orphans come to us as they would to process 1.
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("becoming a reaper: %w", err)
		}
	}
	p := &process1{conn: conn, out: wire.NewWriter(conn), reaper: newReaper(), commands: map[uint32]*command{}}
	go p.reaper.run()
	err = p.serve()
	p.endAll()
	return err
}

// serve handles frames until the connection ends.
func (p *process1) serve() error {
	for {
		f, err := wire.Read(p.conn)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading from the supervisor: %w", err)
		}
		if f.Type == wire.Shutdown {
			return nil
		}
		if err := p.handle(f); err != nil {
			return err
		}
	}
}

func (p *process1) handle(f wire.Frame) error {
	switch f.Type {
	case wire.Setup:
		return p.setUp(f.Payload)
	case wire.Exec:
		return p.exec(f)
	}
	base := f.Channel - f.Channel%ChannelsPerCommand
	p.mu.Lock()
	c := p.commands[base]
	p.mu.Unlock()
	if c == nil {
		return nil // it has ended, and the supervisor doesn't know yet
	}
	return c.handle(f)
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
		err = s.apply()
	}
	var reason []byte
	if err != nil {
		reason = []byte(err.Error())
	}
	return p.out.Write(wire.Frame{Type: wire.Ready, Payload: reason[:min(len(reason), wire.MaxPayload)]})
}

func (s Setup) apply() error {
	loopbackUp()
	for _, o := range s.Owned {
		if err := os.Chown(o.Path, o.UID, o.GID); err != nil {
			return fmt.Errorf("giving %q to user %d: %w", o.Path, o.UID, err)
		}
	}
	for _, f := range s.Forwards {
		if err := forward(s.Alias, f); err != nil {
			return err
		}
	}
	if s.Tasks == 0 {
		return nil
	}
	limit := unix.Rlimit{Cur: uint64(s.Tasks), Max: uint64(s.Tasks)}
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &limit); err != nil {
		return fmt.Errorf("limiting tasks to %d: %w", s.Tasks, err)
	}
	return nil
}

// loopbackUp brings lo up where it isn't (netdevice(7)). An error is not told: the
// forwarders that listen there tell it better.
func loopbackUp() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil || unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, req) != nil || req.Uint16()&unix.IFF_UP != 0 {
		return
	}
	req.SetUint16(req.Uint16() | unix.IFF_UP)
	unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// endAll kills every process in the guest but this one (kill(2)); when this one
// ends too, so does the guest.
func (p *process1) endAll() {
	if os.Getpid() == 1 {
		unix.Kill(-1, unix.SIGKILL)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.commands {
		c.kill()
	}
}
