package main

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A starter that lives must not be taken for a dead one because a signal came while it
// was looked for.
func TestAPipeIsLookedAtDespiteSignals(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
	defer signal.Reset(syscall.SIGUSR1)
	runtime.LockOSThread() // signals are sent to the thread that looks
	defer runtime.UnlockOSThread()
	thread := unix.Gettid()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				unix.Tgkill(os.Getpid(), thread, syscall.SIGUSR1)
			}
		}
	}()
	for range 5_000 {
		if readable(int(r.Fd())) {
			t.Error("a pipe whose other end is open, with nothing in it, could be read")
			break
		}
	}
	close(stop)
	<-stopped
	if w.Close(); !readable(int(r.Fd())) {
		t.Error("the end of a pipe could not be read")
	}
}
