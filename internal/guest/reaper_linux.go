package guest

import (
	"errors"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// reaper waits for every child, ours and orphans that came to process 1. It is
// the only one that waits: two would steal each other's.
type reaper struct {
	mu   sync.Mutex // held while a child is started, so that it is known when it ends
	ours map[int]chan unix.WaitStatus
}

func newReaper() *reaper { return &reaper{ours: map[int]chan unix.WaitStatus{}} }

// start calls do, which starts a child, and gives the channel that its end comes
// over.
func (r *reaper) start(do func() (pid int, err error)) (int, <-chan unix.WaitStatus, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := do()
	if err != nil {
		return 0, nil, err
	}
	ended := make(chan unix.WaitStatus, 1)
	r.ours[pid] = ended
	return pid, ended, nil
}

// run reaps at each SIGCHLD; several ends can be behind one.
func (r *reaper) run() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGCHLD)
	for {
		r.reap()
		<-signals
	}
}

func (r *reaper) reap() {
	for {
		var status unix.WaitStatus
		r.mu.Lock()
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if pid > 0 && r.ours[pid] != nil {
			r.ours[pid] <- status
			delete(r.ours, pid)
		}
		r.mu.Unlock()
		if pid <= 0 && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
