package guest

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/bot-bottle/action/internal/guest/wire"
	"golang.org/x/sys/unix"
)

// drain is how long after a command's end its output is waited for, where
// something that it left behind keeps the pipe open. It is for a "| tee" that
// has not had its turn yet, not for a daemon.
const drain = 250 * time.Millisecond

// pipe has our end, which doesn't block, and the command's, which does.
type pipe struct {
	ours   *os.File
	theirs int // -1: closed
}

type streams struct{ stdin, stdout, stderr pipe }

// openStreams makes the pipes belong to the command's user, who may want to open
// /dev/stdout.
func openStreams(uid, gid uint32) (*streams, error) {
	s := &streams{}
	s.stdin.theirs, s.stdout.theirs, s.stderr.theirs = -1, -1, -1
	for _, p := range []*pipe{&s.stdin, &s.stdout, &s.stderr} {
		if err := p.open(p == &s.stdin); err != nil {
			s.closeTheirs()
			s.closeOurs()
			return nil, fmt.Errorf("making a pipe: %w", err)
		}
		unix.Fchown(p.theirs, int(uid), int(gid)) // without CAP_CHOWN /dev/stdout can't be opened, which few do
	}
	return s, nil
}

func (p *pipe) open(input bool) error {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	ours := ends[0]
	p.theirs = ends[1]
	if input {
		ours, p.theirs = ends[1], ends[0]
	}
	if err := unix.SetNonblock(ours, true); err != nil {
		unix.Close(ours)
		return err
	}
	p.ours = os.NewFile(uintptr(ours), "pipe")
	return nil
}

func (s *streams) closeTheirs() {
	for _, p := range []*pipe{&s.stdin, &s.stdout, &s.stderr} {
		if p.theirs >= 0 {
			unix.Close(p.theirs)
			p.theirs = -1
		}
	}
}

func (s *streams) closeOurs() {
	for _, p := range []*pipe{&s.stdin, &s.stdout, &s.stderr} {
		if p.ours != nil {
			p.ours.Close()
		}
	}
}

// endBy makes both outputs end at the given time, if they don't before.
func (s *streams) endBy(t time.Time) {
	s.stdout.ours.SetReadDeadline(t)
	s.stderr.ours.SetReadDeadline(t)
}

// pump passes output on until its end, until nobody wants it any more, or until
// the time that endBy sets.
func pump(to *wire.Sender, from *os.File) {
	defer to.Close()
	defer from.Close() // who still writes gets EPIPE
	buffer := make([]byte, wire.MaxPayload)
	for {
		n, err := from.Read(buffer)
		if _, failed := to.Write(buffer[:n]); failed != nil {
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			pumpRest(to, from, buffer)
		}
		if err != nil {
			return
		}
	}
}

// pumpRest passes on what is in the pipe at this moment. A pipe keeps its order,
// so that all that was written before the command's end is among it; what a
// daemon floods it with from now on is not.
func pumpRest(to *wire.Sender, from *os.File, buffer []byte) {
	raw, err := from.SyscallConn()
	if err != nil {
		return
	}
	var left int // FIONREAD of pipe(7), which has the number of TIOCINQ
	raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	for err == nil && left > 0 {
		var n int
		raw.Control(func(fd uintptr) { n, err = unix.Read(int(fd), buffer[:min(left, len(buffer))]) })
		if err != nil || n <= 0 {
			return
		}
		left -= n
		if _, err = to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
