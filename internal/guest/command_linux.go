package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bot-bottle/action/internal/guest/wire"
	"golang.org/x/sys/unix"
)

// drain is how long after a command's end its output is waited for, where
// something it left behind keeps the pipe open.
const drain = 250 * time.Millisecond

// command is one that runs.
type command struct {
	Command
	base   uint32
	out    *wire.Writer
	stdin  *wire.Receiver
	stdout *wire.Sender
	stderr *wire.Sender

	mu  sync.Mutex
	pid int // 0: not started, or ended
}

// exec starts what the frame asks for; how it ends is told by an Exit frame.
func (p *process1) exec(f wire.Frame) error {
	c := &command{base: f.Channel, out: p.out}
	if err := json.Unmarshal(f.Payload, &c.Command); err != nil || len(c.Argv) == 0 || f.Channel%ChannelsPerCommand != 0 {
		return fmt.Errorf("%w: a command that can't be read: %v", wire.ErrProtocol, err)
	}
	c.stdin = wire.NewReceiver(p.out, c.base+Stdin)
	c.stdout = wire.NewSender(p.out, c.base+Stdout)
	c.stderr = wire.NewSender(p.out, c.base+Stderr)
	p.mu.Lock()
	p.commands[c.base] = c
	p.mu.Unlock()
	go func() {
		exit := c.run(p.reaper)
		p.mu.Lock()
		delete(p.commands, c.base)
		p.mu.Unlock()
		body, _ := json.Marshal(exit)
		p.out.Write(wire.Frame{Type: wire.Exit, Channel: c.base, Payload: body})
	}()
	return nil
}

// handle takes a frame that belongs to a running command.
func (c *command) handle(f wire.Frame) error {
	switch {
	case f.Type == wire.Signal && len(f.Payload) == 1:
		c.signal(syscall.Signal(f.Payload[0]))
	case f.Type == wire.Data && f.Channel == c.base+Stdin:
		return c.stdin.Take(f.Payload)
	case f.Type == wire.End && f.Channel == c.base+Stdin:
		c.stdin.Break(io.EOF)
	case f.Type == wire.Credit && f.Channel == c.base+Stdout:
		return c.stdout.Grant(f.Payload)
	case f.Type == wire.Credit && f.Channel == c.base+Stderr:
		return c.stderr.Grant(f.Payload)
	default:
		return fmt.Errorf("%w: frame %d on channel %d", wire.ErrProtocol, f.Type, f.Channel)
	}
	return nil
}

// run runs the command to its end, output included.
func (c *command) run(r *reaper) Exit {
	start := time.Now()
	pipes, err := newPipes(c.UID, c.GID)
	if err != nil {
		return Exit{Code: 126, Error: err.Error()}
	}
	defer pipes.close()
	pid, ended, err := r.start(func() (int, error) { return c.start(pipes) })
	pipes.closeTheirs()
	if err != nil {
		return Exit{Code: 127, Error: err.Error()}
	}
	c.mu.Lock()
	c.pid = pid
	c.mu.Unlock()
	go func() { // ends when stdin does, or the pipe breaks
		io.Copy(pipes.stdin.ours, c.stdin)
		pipes.stdin.ours.Close()
	}()
	var pumps sync.WaitGroup
	pumps.Go(func() { pump(c.stdout, pipes.stdout.ours) })
	pumps.Go(func() { pump(c.stderr, pipes.stderr.ours) })
	status := <-ended
	c.mu.Lock()
	c.pid = 0
	c.mu.Unlock()
	c.stdin.Break(io.ErrClosedPipe)
	deadline := time.Now().Add(drain)
	pipes.stdout.ours.SetReadDeadline(deadline)
	pipes.stderr.ours.SetReadDeadline(deadline)
	pumps.Wait()
	exit := Exit{Code: status.ExitStatus(), Duration: time.Since(start)}
	if status.Signaled() {
		exit.Signal = int(status.Signal())
	}
	return exit
}

// start starts the command in a session of its own. It has no capability unless
// it is root: setuid(2) takes them.
func (c *command) start(p *pipes) (int, error) {
	path, err := c.lookUp()
	if err != nil {
		return 0, err
	}
	process, err := os.StartProcess(path, c.Argv, &os.ProcAttr{
		Dir:   c.Dir,
		Env:   c.Env,
		Files: []*os.File{p.stdin.theirs, p.stdout.theirs, p.stderr.theirs},
		Sys:   &syscall.SysProcAttr{Setsid: true, Credential: c.credential()},
	})
	if err != nil {
		return 0, fmt.Errorf("starting %q: %w", c.Argv[0], err)
	}
	return process.Pid, nil
}

// credential is nil where the command runs as who we are: there may be no right
// to set even that.
func (c *command) credential() *syscall.Credential {
	if int(c.UID) == os.Getuid() && int(c.GID) == os.Getgid() {
		return nil
	}
	return &syscall.Credential{Uid: c.UID, Gid: c.GID}
}

// lookUp finds the program in the command's own PATH.
func (c *command) lookUp() (string, error) {
	name := c.Argv[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, v := range c.Env {
		list, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("starting %q: %w", name, exec.ErrNotFound)
}

// signal sends s to the command's process group; SIGTERM is followed by SIGKILL
// to the whole session when the grace is over.
func (c *command) signal(s syscall.Signal) {
	c.mu.Lock()
	pid := c.pid
	c.mu.Unlock()
	if pid == 0 {
		return
	}
	unix.Kill(-pid, s)
	if s == unix.SIGTERM {
		time.AfterFunc(c.Grace, c.kill)
	}
}

func (c *command) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid != 0 {
		unix.Kill(-c.pid, unix.SIGKILL)
	}
}

// pump passes output on until its end, or until the deadline that the end of the
// command sets; then what is in the pipe is still taken.
func pump(to *wire.Sender, from *os.File) {
	defer to.Close()
	_, err := io.Copy(to, from)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	raw, err := from.SyscallConn()
	if err != nil {
		return
	}
	buffer := make([]byte, 64<<10) // a pipe holds as much (pipe(7))
	var n int
	from.SetReadDeadline(time.Time{})
	raw.Read(func(fd uintptr) bool {
		n, _ = unix.Read(int(fd), buffer)
		return true
	})
	if n > 0 {
		to.Write(buffer[:n])
	}
}
