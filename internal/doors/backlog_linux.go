package doors

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// What a guest has written into a connection that nobody has accepted yet is in
// the kernel's memory, some 200 KiB for each, and counted by none of the bottle's
// limits. So few may wait: at the egress door, which accepts at once, as many as a
// burst of the guest's forwarder has; at the closed ones, what a person's tools ask.
const (
	egressBacklog = 512
	closedBacklog = 128
)

// boundBacklog lets no more connections wait at a door than it needs. Go's own
// number is the host's largest, 4096 on most (listen(2), somaxconn).
func boundBacklog(door decision.Door, l *net.UnixListener) error {
	backlog := closedBacklog
	if door == decision.Egress {
		backlog = egressBacklog
	}
	raw, err := l.SyscallConn()
	if err == nil {
		if ctlErr := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), backlog) }); ctlErr != nil {
			err = ctlErr
		}
	}
	if err != nil {
		return fmt.Errorf("bounding what waits at %s: %w", door, err)
	}
	return nil
}
