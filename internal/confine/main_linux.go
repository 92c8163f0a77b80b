package confine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/bot-bottle/action/internal/mutation"
	"golang.org/x/sys/unix"
)

// Main is the hidden verb: it is the outer or the inner process, as args say,
// and gives the exit code.
func Main(args []string) int {
	stage := map[string]func() (int, error){"outer": outer, "inner": inner}
	switch {
	case len(args) == 1 && args[0] == tryVerb:
		return tryInside()
	case len(args) != 1 || stage[args[0]] == nil:
		fmt.Fprintln(os.Stderr, "confine is started by bot-bottle itself")
		return 2
	}
	// What the caller's caller left open is not for the helper, and neither are
	// our two pipes.
	if err := unix.CloseRange(specFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		tell(status{Error: fmt.Sprintf("keeping inherited files back: %v", err)})
		return 125
	}
	code, err := stage[args[0]]()
	if err != nil {
		tell(status{Error: err.Error()})
		return 125
	}
	return code
}

func tell(s status) {
	b, _ := json.Marshal(s)
	unix.Write(statusFD, append(b, '\n'))
}

// outer makes the namespaces and waits for what runs in them.
func outer() (int, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command("/proc/self/exe", Verb, "inner")
	cmd.Args[0] = argv0
	cmd.Env = mutation.Environ()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{r, os.NewFile(statusFD, "status")}
	cmd.SysProcAttr = namespaces()
	runtime.LockOSThread() // for Pdeathsig; this process does nothing else
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("making the namespaces: %w", err)
	}
	r.Close()
	record, err := RecordOf(os.Getpid(), cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	tell(status{Record: &record})
	body, err := io.ReadAll(os.NewFile(specFD, "spec")) // comes once the record is made
	if err != nil {
		return 0, fmt.Errorf("reading the helper's description: %w", err)
	}
	if _, err := w.Write(body); err != nil {
		return 0, fmt.Errorf("handing on the description: %w", err)
	}
	w.Close()
	return exitCode(cmd.Wait())
}

// namespaces are those of the inner process. Root keeps its user namespace for
// the inner process, which must reach folders that are closed to others; the
// helper gets one of its own.
func namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if mutation.On(mutation.GuestNetwork) {
		attr.Cloneflags &^= unix.CLONE_NEWNET
	}
	if uid := os.Getuid(); uid != 0 {
		mapTo(attr, uid, os.Getgid())
	}
	return attr
}

// mapTo gives attr a user namespace in which 0 is the host's uid and gid, and no
// other id exists.
func mapTo(attr *syscall.SysProcAttr, uid, gid int) {
	attr.Cloneflags |= unix.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	attr.Credential = &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: true}
}

func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

// inner is process 1: it builds the new root, starts the helper in it and ends
// with it.
func inner() (int, error) {
	var spec Spec
	if err := json.NewDecoder(os.NewFile(specFD, "spec")).Decode(&spec); err != nil {
		return 0, fmt.Errorf("reading the helper's description: %w", err)
	}
	if err := buildRoot(spec); err != nil {
		return 0, fmt.Errorf("building the helper's root: %w", err)
	}
	cmd, err := startHelper(spec)
	if err != nil {
		return 0, fmt.Errorf("starting the helper: %w", err)
	}
	if spec.MemoryBytes > 0 && !mutation.On(mutation.LimitMemory) {
		go func() {
			used, err := watchMemory(spec.MemoryBytes)
			if err != nil { // what isn't seen isn't bounded
				tell(status{Error: err.Error()})
			} else {
				tell(status{Memory: used})
			}
			os.Exit(128 + int(unix.SIGKILL)) // the kernel ends everything in the pid namespace
		}()
	}
	code, err := exitCode(cmd.Wait())
	if err == nil {
		tell(status{Exited: &code})
	}
	return code, err
}

func startHelper(spec Spec) (*exec.Cmd, error) {
	if err := holdBack(spec.CPUs); err != nil {
		return nil, err
	}
	cmd := exec.Command(spec.Exe)
	cmd.Args, cmd.Env, cmd.Dir = spec.Argv, spec.Env, "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Getuid() == 0 && !inOwnUserNamespace() {
		if spec.UserID <= 0 {
			return nil, errors.New("started by root without a user id to run as")
		}
		if err := unix.Setgroups(nil); err != nil {
			return nil, fmt.Errorf("leaving root's groups: %w", err)
		}
		mapTo(cmd.SysProcAttr, spec.UserID, spec.UserID)
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWNS
	}
	return cmd, cmd.Start()
}

// holdBack pins this thread, and so the helper that it starts, to the
// processors, forbids cores, and makes the kernel choose these processes first
// when the host's memory runs out.
func holdBack(cpus []int) error {
	runtime.LockOSThread()
	if len(cpus) > 0 {
		var set unix.CPUSet
		for _, cpu := range cpus {
			set.Set(cpu)
		}
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return fmt.Errorf("pinning to processors %v: %w", cpus, err)
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbidding core files: %w", err)
	}
	return os.WriteFile("/proc/self/oom_score_adj", []byte("800"), 0)
}

// inOwnUserNamespace tells whether user 0 here is another user on the host.
func inOwnUserNamespace() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	var inside, outside, size uint64
	fmt.Sscan(string(b), &inside, &outside, &size)
	return outside != 0 || size == 1
}
