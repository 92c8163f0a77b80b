package doors

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/neutralize"
)

// maxStderr is room for a crash with the stacks of its goroutines.
const maxStderr = 256 << 10

// Start starts a sidecar, which then confines itself and waits for Configure. It
// lives until Stop or the end of this process; ctx bounds the start only.
func Start(ctx context.Context, o StartOptions) (*Sidecar, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("starting the sidecar: %w", err)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	files, err := inheritance(theirs, o)
	defer closeAll(files)
	if err != nil {
		ours.Close()
		return nil, err
	}
	cmd := command(o, files)
	var stderr *neutralize.Writer
	if o.Stderr != nil {
		stderr = neutralize.NewWriter(o.Stderr, neutralize.Options{MaxBytes: maxStderr, NoColour: true})
		cmd.Stderr = stderr
	}
	waited, err := startWithFewerRights(cmd, stderr)
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("starting the sidecar: %w", err)
	}
	s := newSidecar(ours, cmd.Process.Pid, o.doors(), func() { cmd.Process.Kill() }, waited)
	s.git = o.Git != nil
	return s, nil
}

// socketPair gives the supervisor's end and the sidecar's.
func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making the sidecar's socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "supervisor"), os.NewFile(uintptr(fds[1]), "sidecar")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("using the sidecar's socket pair: %w", err)
	}
	return conn.(*net.UnixConn), theirs, nil
}

// inheritance gives the files from configFD on; see the package comment. The
// caller closes them, also where there is an error.
func inheritance(config *os.File, o StartOptions) ([]*os.File, error) {
	files := []*os.File{config}
	log, err := unix.FcntlInt(o.Decisions.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return files, fmt.Errorf("handing on the decision log: %w", err)
	}
	files = append(files, os.NewFile(uintptr(log), o.Decisions.Name()))
	for _, door := range o.doors() {
		if err := boundBacklog(door, o.Listeners[door]); err != nil {
			return files, err
		}
		f, err := o.Listeners[door].File()
		if err != nil {
			return files, fmt.Errorf("handing on the listener of %s: %w", door, err)
		}
		files = append(files, f)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func command(o StartOptions, files []*os.File) *exec.Cmd {
	cmd := exec.Command(o.Executable, append([]string{Verb}, o.args()...)...)
	cmd.Args[0] = "bot-bottle"
	cmd.Env = mutation.Environ()
	cmd.Dir = "/"
	cmd.ExtraFiles = files
	cmd.WaitDelay = time.Second // nobody else holds its stderr
	// A session of its own keeps the terminal's signals away: who stops a job
	// stops the supervisor, which still needs the doors' record.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if changesUser(o) {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(o.UID), Gid: uint32(o.GID)}
	}
	return cmd
}

func changesUser(o StartOptions) bool {
	return o.UID != 0 && (o.UID != os.Getuid() || o.GID != os.Getgid())
}

// startWithFewerRights starts cmd from a thread that has given up what the sidecar
// must not have, so that the sidecar never had it. The thread lives as long as cmd
// does, because the kernel sends Pdeathsig when the starting thread ends
// (golang.org/issue/27505), and is never used for anything else: Go ends a thread
// whose goroutine ended locked to it, and starts no other from it.
func startWithFewerRights(cmd *exec.Cmd, stderr *neutralize.Writer) (waited <-chan error, err error) {
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := giveUpRights(cmd.SysProcAttr.Credential != nil)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		if stderr != nil {
			stderr.Close() // what the caller's log doesn't take has no other place
		}
		ended <- err
	}()
	return ended, <-started
}
