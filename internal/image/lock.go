package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// alone does what no two processes may do at once in this cache. It has to be
// short: unpacking and removing are not.
func (c *Cache) alone(do func() error) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	lock, err := lockFile(filepath.Join(c.dir, ".lock"), os.O_RDWR|os.O_CREATE, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.Close()
	return do()
}

// awaitLock takes the lock of the file at path, which is made, or gives up when
// ctx ends.
func awaitLock(ctx context.Context, path string) (*os.File, error) {
	type result struct {
		lock *os.File
		err  error
	}
	got := make(chan result, 1)
	go func() {
		lock, err := lockFile(path, os.O_RDWR|os.O_CREATE, unix.LOCK_EX)
		got <- result{lock, err}
	}()
	select {
	case r := <-got:
		return r.lock, r.err
	case <-ctx.Done():
		go func() {
			if r := <-got; r.err == nil {
				r.lock.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// lockFile opens a file or folder and takes its lock (flock(2)), which ends when
// it is closed or this process ends, however it ends.
func lockFile(path string, flags, how int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, how); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %q: %w", path, err)
	}
	return f, nil
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if err != unix.EINTR {
			return err
		}
	}
}
