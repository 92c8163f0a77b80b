package lifeline

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// watchParent closes dead when the process pid, our parent a moment ago, ends.
// A pidfd stays with its process, so only the moment of its opening matters: if
// pid is still our parent after that, the pidfd is our parent's.
func watchParent(ctx context.Context, pid int, dead chan<- struct{}) error {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) || (err == nil && os.Getppid() != pid) {
		if err == nil {
			unix.Close(fd)
		}
		close(dead)
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening process %d: %w", pid, err)
	}
	file := os.NewFile(uintptr(fd), "parent")
	stop := context.AfterFunc(ctx, func() { file.Close() })
	go func() {
		defer stop()
		if awaitExit(file) && ctx.Err() == nil {
			close(dead)
		}
		file.Close()
	}()
	return nil
}

// awaitExit waits until the pidfd is readable, which is when its process ends
// (pidfd_open(2)), or closed, which gives false.
func awaitExit(pidfd *os.File) bool {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(poll, 0)
		return n > 0
	})
	return err == nil
}
