package lifeline

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Detach puts /dev/null in the place of the files' descriptors, for stdout and
// stderr once the starter is dead. From then on writing to them can't kill us
// by SIGPIPE, and the pipe's reader, a runner that waits for its end, is not
// kept waiting by us.
//
// A write that is under way is not ended by it: writes to a starter's pipe
// belong in a goroutine that nothing waits for. Before it is called, SIGPIPE
// has to be caught (os/signal.Notify): the Go runtime dies of it when it hits
// descriptor 1 or 2 (see os/signal, "SIGPIPE").
func Detach(files ...*os.File) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("detaching: %w", err)
	}
	defer null.Close()
	for _, f := range files {
		if err := replace(f, null); err != nil {
			return fmt.Errorf("detaching %q: %w", f.Name(), err)
		}
	}
	return nil
}

// replace makes f's descriptor refer to what with refers to.
func replace(f, with *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errDup error
	err = raw.Control(func(fd uintptr) { errDup = dup(int(with.Fd()), int(fd)) })
	if err != nil {
		return err
	}
	return errDup
}

// checkReadable refuses a descriptor that is open for writing only.
func checkReadable(fd int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	if flags&unix.O_ACCMODE == unix.O_WRONLY {
		return fmt.Errorf("it is the writing end")
	}
	return nil
}
