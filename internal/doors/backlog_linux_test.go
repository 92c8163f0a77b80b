package doors_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// What waits holds memory of the host's that no limit of the bottle counts.
func TestFewConnectionsWaitAtADoor(t *testing.T) {
	w, o := newWorld(t)
	w.start(o) // it is not configured yet, so that nothing is accepted
	for _, door := range allDoors {
		if n := w.waiting(door); n < 100 || n > 600 {
			t.Errorf("%d connections wait at %s", n, door)
		}
	}
}

// waiting opens connections until one more would have to wait to be let wait.
func (w *world) waiting(door decision.Door) (n int) {
	w.t.Helper()
	for ; n < 5000; n++ {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		w.must(err)
		w.t.Cleanup(func() { unix.Close(fd) })
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: w.path(string(door))})
		if errors.Is(err, unix.EAGAIN) {
			return n
		}
		w.must(err)
	}
	return n
}
