package confine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tryVerb is the helper that Try runs.
const tryVerb = "try"

// Try finds out, in processes of its own, whether a helper can be confined here
// and do there what gVisor's systrap platform does: it maps a user, mounts, moves
// to a new root, traces a child and installs a seccomp filter. Looking at
// sysctls would not do: Ubuntu, for one, lets a user namespace be made and then
// denies everything in it.
func Try(ctx context.Context, executable string, userID int) error {
	var said bytes.Buffer
	p, err := Start(ctx, Spec{
		Exe:    "/bin/bot-bottle",
		Argv:   []string{argv0, Verb, tryVerb},
		UserID: userID,
		Root: []Entry{
			{Kind: KindProc, Target: "/proc"},
			{Kind: KindBind, Source: executable, Target: "/bin/bot-bottle"},
			{Kind: KindBind, Source: "/dev/null", Target: "/dev/null", Device: true, Writable: true},
		},
	}, Options{Executable: "/proc/self/exe", Stderr: &said})
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		<-p.Done()
		return context.Cause(ctx)
	}
	if p.Err() != nil && said.Len() > 0 {
		return fmt.Errorf("%s", bytes.TrimSpace(said.Bytes()))
	}
	return p.Err()
}

// tryInside runs confined.
func tryInside() int {
	for _, try := range []func() error{tryTrace, tryFilter} {
		if err := try(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

// tryTrace starts a child that asks to be traced; it stops at its first
// instruction.
func tryTrace() error {
	runtime.LockOSThread() // ptrace(2) is by thread
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", Verb)
	cmd.Args[0] = argv0
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("tracing a child: %w", err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var ws unix.WaitStatus
	if _, err := unix.Wait4(cmd.Process.Pid, &ws, 0, nil); err != nil || !ws.Stopped() {
		return fmt.Errorf("tracing a child: it did not stop (%v, status %#x)", err, uint32(ws))
	}
	return nil
}

// tryFilter installs a filter that allows everything (seccomp(2)).
func tryFilter() error {
	runtime.LockOSThread() // the filter stays with this thread, which ends with us
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("setting no_new_privs: %w", err)
	}
	allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	prog := unix.SockFprog{Len: 1, Filter: &allow}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return fmt.Errorf("installing a seccomp filter: %w", errno)
	}
	return nil
}
