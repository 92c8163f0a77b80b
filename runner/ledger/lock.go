package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrLive says that a run's lock is held: the run, or something that acts for
// it, is at work.
var ErrLive = errors.New("the run is live")

// errHeld is what setLock gives when another open file description has the lock.
var errHeld = errors.New("the lock is held")

// lockPoll is the pause between two looks at a lock that is not to be taken.
const lockPoll = 10 * time.Millisecond

// Lock is the held lock of one run: the right to change what the run left, and
// the sign that it is live.
//
// It is an open-file-description lock (fcntl(2), F_OFD_SETLK): it belongs to
// the open file, not to the process, holds across pid namespaces, and ends when
// the last descriptor of that open file is closed, however that comes about. A
// helper that must keep reap away is given File as an inherited descriptor.
type Lock struct {
	run  string
	path string
	file *os.File
}

// Run gives the id of the run.
func (k *Lock) Run() string { return k.run }

// File gives the descriptor that carries the lock, for exec.Cmd.ExtraFiles. It
// stays the Lock's own: don't close it.
func (k *Lock) File() *os.File { return k.file }

// Release gives the lock up, as far as this process holds it. It never unlocks:
// that would take the lock from helpers that inherited it.
func (k *Lock) Release() error { return k.file.Close() }

// Remove removes the lock's file and gives the lock up. It is for a run that
// was settled (see Ledger.Settled): whoever takes the lock after that sees it.
func (k *Lock) Remove() error {
	err := os.Remove(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, k.file.Close())
}

// Live tells whether the run's lock is held by anybody, this process included.
// It does not touch the lock.
func (l *Ledger) Live(run string) (bool, error) {
	live, err := l.live(run)
	return live, l.explain(fmt.Sprintf("looking at the lock of run %q", run), err)
}

func (l *Ledger) live(run string) (bool, error) {
	path, err := l.lockPath(run)
	if err != nil {
		return false, err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	return lockHeld(file)
}

// TryLock takes the lock of a run, dead or new. The error is ErrLive, wrapped,
// when somebody holds it.
func (l *Ledger) TryLock(run string) (*Lock, error) {
	lock, err := l.lockWith(run, tryLock)
	if errors.Is(err, errHeld) {
		err = ErrLive
	}
	return lock, l.explain(fmt.Sprintf("locking run %q", run), err)
}

// Lock waits until the run's lock is free and takes it. The post step settles
// under it.
func (l *Ledger) Lock(ctx context.Context, run string) (*Lock, error) {
	lock, err := l.lockWith(run, func(path string) (*os.File, error) { return waitLock(ctx, path) })
	return lock, l.explain(fmt.Sprintf("waiting for run %q", run), err)
}

func (l *Ledger) lockWith(run string, take func(path string) (*os.File, error)) (*Lock, error) {
	path, err := l.lockPath(run)
	if err != nil {
		return nil, err
	}
	file, err := take(path)
	if err != nil {
		return nil, err
	}
	return &Lock{run: run, path: path, file: file}, nil
}

// WaitUnlocked waits until nobody holds the run's lock.
func (l *Ledger) WaitUnlocked(ctx context.Context, run string) error {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		live, err := l.live(run)
		if err == nil && live && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil || !live {
			return l.explain(fmt.Sprintf("waiting for run %q", run), err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// SweepLocks removes lock files that no open run needs: those of runs that
// died between being settled and removing their file, or before they were
// recorded.
func (l *Ledger) SweepLocks(ctx context.Context) error {
	files, err := os.ReadDir(filepath.Join(l.dir, locksName))
	if err != nil {
		return l.explain("listing locks", err)
	}
	var all []error
	for _, f := range files {
		all = append(all, l.sweepLock(ctx, f.Name()))
	}
	return l.explain("sweeping locks", errors.Join(all...))
}

func (l *Ledger) sweepLock(ctx context.Context, run string) error {
	// The lock of an open run isn't even tried: a reap that came upon it in
	// that moment would take the run for live.
	if needed, err := l.needsLock(ctx, run); needed || err != nil {
		return err
	}
	lock, err := l.TryLock(run)
	if errors.Is(err, ErrLive) {
		return nil
	}
	if err != nil {
		return err
	}
	// Only now the answer is final: a beginning run records itself while it
	// holds its lock.
	needed, err := l.needsLock(ctx, run)
	if needed || err != nil {
		return errors.Join(err, lock.Release())
	}
	return lock.Remove()
}

// needsLock tells whether the lock file with this name is not to be swept.
func (l *Ledger) needsLock(ctx context.Context, run string) (bool, error) {
	if !ValidRunID(run) {
		return true, nil // not made by us
	}
	r, err := l.Run(ctx, run)
	if errors.Is(err, ErrUnknownRun) {
		return false, nil
	}
	return r.State == StateOpen, err
}

// lockPath lets nothing become part of a path that isn't the id of a run.
func (l *Ledger) lockPath(run string) (string, error) {
	if !ValidRunID(run) {
		return "", ErrUnknownRun
	}
	return filepath.Join(l.dir, locksName, run), nil
}

// tryLock makes the file at path and locks it exclusively, or gives errHeld.
func tryLock(path string) (*os.File, error) { return lockFile(path, setLock) }

// waitLock is tryLock that waits its turn. The queue is the kernel's, and those
// in it cost nothing: a hundred processes that tried again and again would keep
// the one that has the lock from getting on.
//
// A wait in the kernel does not end with ctx. It is then left behind, and gives
// the lock back should it get it.
func waitLock(ctx context.Context, path string) (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	got := make(chan result, 1)
	go func() {
		file, err := lockFile(path, awaitLock)
		got <- result{file, err}
	}()
	select {
	case r := <-got:
		return r.file, r.err
	case <-ctx.Done():
		go func() {
			if r := <-got; r.err == nil {
				r.file.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// lockFile makes the file at path and locks it with lock. That counts only if
// the file still has its name then: its last holder may have removed it after
// we opened it.
func lockFile(path string, lock func(*os.File) error) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		same := false
		if err = lock(file); err == nil {
			same, err = isAt(file, path)
		}
		if same && err == nil {
			return file, nil
		}
		file.Close()
		if err != nil {
			return nil, err
		}
	}
}

// isAt tells whether path still names the open file.
func isAt(file *os.File, path string) (bool, error) {
	mine, err := file.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, there), err
}
