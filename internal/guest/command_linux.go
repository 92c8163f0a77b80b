package guest

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bot-bottle/action/internal/guest/wire"
	"golang.org/x/sys/unix"
)

// command is one that runs.
type command struct {
	Command
	base   uint32
	reaper *reaper
	stdin  *wire.Receiver
	stdout *wire.Sender
	stderr *wire.Sender

	pid  atomic.Int64 // 0: not started yet
	told atomic.Bool  // to end, by SIGTERM
}

// Codes of a command that did not run, as the shell gives them.
const (
	codeNotRun   = 126
	codeNotFound = 127
)

// run runs the command to its end, output included.
func (c *command) run() Exit {
	streams, err := openStreams(c.UID, c.GID)
	if err != nil {
		return Exit{Code: codeNotRun, Error: err.Error()}
	}
	defer streams.closeOurs()
	ended, err := c.start(streams)
	if err != nil {
		return Exit{Code: codeNotFound, Error: err.Error()}
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { c.feed(streams.stdin.ours) })
	pumps.Go(func() { pump(c.stdout, streams.stdout.ours) })
	pumps.Go(func() { pump(c.stderr, streams.stderr.ours) })
	status := <-ended
	c.stdin.Stop()
	streams.stdin.ours.Close() // feed may be writing to what nobody reads
	if c.told.Load() {
		c.reaper.endSession(int(c.pid.Load()))
	}
	streams.endBy(time.Now().Add(drain))
	pumps.Wait()
	if status.Signaled() {
		return Exit{Code: -1, Signal: int(status.Signal())}
	}
	return Exit{Code: status.ExitStatus()}
}

// start starts the process and closes its ends of the streams here.
func (c *command) start(s *streams) (<-chan unix.WaitStatus, error) {
	defer s.closeTheirs()
	path, err := c.lookUp()
	if err != nil {
		return nil, err
	}
	pid, ended, err := c.reaper.start(func() (int, error) { return c.launch(path, s) })
	if err != nil {
		return nil, fmt.Errorf("starting %q in %q: %w", c.Argv[0], c.Dir, err)
	}
	c.pid.Store(int64(pid))
	if c.told.Load() {
		c.signal(unix.SIGTERM) // it came before there was anybody to tell
	}
	return ended, nil
}

// feed passes stdin on, and closes it at its end.
func (c *command) feed(to *os.File) {
	io.Copy(to, c.stdin)
	c.stdin.Stop()
	to.Close()
}

// signal sends s to the command's process group; SIGTERM is followed by SIGKILL
// to the whole session when the grace is over.
func (c *command) signal(s syscall.Signal) {
	if s == unix.SIGTERM {
		c.told.Store(true)
	}
	pid := int(c.pid.Load())
	if pid == 0 {
		return
	}
	c.reaper.whileOurs(pid, func() { unix.Kill(-pid, s) })
	if s == unix.SIGTERM {
		time.AfterFunc(c.Grace, func() {
			c.reaper.whileOurs(pid, func() { endSession(pid) })
		})
	}
}
