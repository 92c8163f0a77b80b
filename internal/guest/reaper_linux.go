package guest

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// reaper waits for every child, ours and orphans that came to process 1. It is
// the only one that waits: two would steal each other's.
type reaper struct {
	mu   sync.Mutex // held while a child is started or reaped, so that a pid in ours is not another's
	ours map[int]chan unix.WaitStatus
}

func newReaper() *reaper { return &reaper{ours: map[int]chan unix.WaitStatus{}} }

// signals gives a channel on which something comes after each SIGCHLD. It takes
// what else would end or stop this process by Go's rules (os/signal): nobody but
// the supervisor ends the guest, and a write to a closed stderr doesn't either.
// They are caught rather than ignored because what is ignored stays so in
// children (execve(2)).
func signals() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGCHLD, unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGPIPE,
		unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGSTKFLT, unix.SIGSYS,
		unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	return c
}

// run reaps whenever woken says so. Several ends can be behind one signal.
func (r *reaper) run(woken <-chan os.Signal) {
	for range woken {
		r.reap()
	}
}

// reap waits for all children that have ended, and tells whether there are others.
func (r *reaper) reap() (more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil: // ECHILD
			return false
		case pid == 0:
			return true
		case r.ours[pid] != nil:
			r.ours[pid] <- status
			delete(r.ours, pid)
		}
	}
}

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

// whileOurs calls do if the child pid has not been reaped, and keeps it from
// being so meanwhile: its number is no other process's.
func (r *reaper) whileOurs(pid int, do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ours[pid] != nil {
		do()
	}
}

// endSession ends what the child pid, which has ended, left behind in its
// session. A session's number is not given to another process before it is empty.
func (r *reaper) endSession(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ours[pid] == nil {
		endSession(pid)
	}
}

// killRound is the time between two rounds of killAll: what was killed needs a
// moment to die, and what forked in between is found in the next round.
const killRound = time.Millisecond

// errLeft is what killAll gives where the limit is over.
var errLeft = errors.New("killing all processes: some don't end")

// killAll kills every process but this one and waits until they are gone, but no
// longer than limit.
func (r *reaper) killAll(limit time.Duration) error {
	for end := time.Now().Add(limit); ; {
		killOthers()
		if !r.reap() {
			return nil
		}
		if time.Now().After(end) {
			return errLeft
		}
		time.Sleep(killRound)
	}
}
