// Package lifeline tells a process that whoever started it is dead. A cancelled
// CI job gets no signal that can be caught, so the supervisor watches for the
// end of its starter, and then settles by itself.
//
// It promises that the death is noticed at once and without the starter's help,
// however the starter dies, also if it died before Watch was called (with
// Parent: only if the kernel already shows it, see there). It does not stop
// anything: what follows from a death is the caller's business. One thing that
// has to follow is Detach.
package lifeline

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/bot-bottle/action/internal/term"
)

// Specs that Watch understands; a third is "fd:N".
const (
	// None watches nothing.
	None = "none"
	// Parent watches the parent process, by a pidfd (pidfd_open(2)). "parent:PID"
	// does so too and says who it has to be: without that, a parent that died
	// before Watch was called can't be told from the process that inherited us.
	Parent = "parent"
)

// Watch gives a channel that is closed when the starter is dead. It is never
// closed with None or the empty spec, or if ctx ends before the starter.
//
// With "fd:N" the starter's death is the end of file on descriptor N, the
// reading end of a pipe or one end of a socket pair, whose other end nobody but
// the starter has. The descriptor then belongs to Watch; what is sent over it
// is discarded. It is not passed on to children.
//
// An error is about the spec: unknown, or a descriptor that can't be a lifeline.
func Watch(ctx context.Context, spec string) (<-chan struct{}, error) {
	dead := make(chan struct{})
	kind, operand, _ := strings.Cut(spec, ":")
	var err error
	switch {
	case spec == "" || spec == None:
		return dead, nil
	case kind == "fd":
		err = watchDescriptor(ctx, operand, dead)
	case kind == Parent:
		err = watchParentSpec(ctx, spec, operand, dead)
	default:
		err = fmt.Errorf("it is none of none, fd:N, parent, parent:PID")
	}
	if err != nil {
		return nil, term.Errorf(term.StageUsage, "", "watching lifeline %q: %w", spec, err).
			WithHint("give the number of an open pipe's reading end as fd:N, or parent, or none")
	}
	return dead, nil
}

func watchParentSpec(ctx context.Context, spec, operand string, dead chan<- struct{}) error {
	parent := os.Getppid()
	if spec == Parent {
		if parent == 0 {
			return fmt.Errorf("the parent is outside this pid namespace")
		}
		return watchParent(ctx, parent, dead)
	}
	pid, err := strconv.Atoi(operand)
	if err != nil || pid < 1 {
		return fmt.Errorf("%q is no process id", operand)
	}
	if pid != parent { // the parent of a process changes only by its death
		close(dead)
		return nil
	}
	return watchParent(ctx, pid, dead)
}

// watchDescriptor closes dead at the end of file on the descriptor.
func watchDescriptor(ctx context.Context, operand string, dead chan<- struct{}) error {
	fd, err := strconv.Atoi(operand)
	if err != nil || fd < 0 {
		return fmt.Errorf("%q is no descriptor", operand)
	}
	if err := checkDescriptor(fd); err != nil {
		return err
	}
	syscall.CloseOnExec(fd)
	if err := syscall.SetNonblock(fd, true); err != nil { // so that ctx can end the wait
		return err
	}
	file := os.NewFile(uintptr(fd), "lifeline")
	stop := context.AfterFunc(ctx, func() { file.Close() })
	go func() {
		defer stop()
		if ended(file) && ctx.Err() == nil {
			close(dead)
		}
		file.Close()
	}()
	return nil
}

// ended reads until nothing can be read any more. A reset connection is as
// dead as a closed one; only our own Close is not an end.
func ended(file *os.File) bool {
	var discarded [512]byte
	for {
		if _, err := file.Read(discarded[:]); err != nil {
			return true
		}
	}
}

// checkDescriptor refuses what would never end, or at once: files, terminals,
// devices, and ends for writing only.
func checkDescriptor(fd int) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return err
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFIFO, syscall.S_IFSOCK:
	default:
		return fmt.Errorf("it is not a pipe or socket")
	}
	return checkReadable(fd)
}
