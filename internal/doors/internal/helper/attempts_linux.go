package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// try gives an error where it was not possible.
type try = func() error

// everyday are tries that succeed in every process that isn't confined.
func everyday() map[string]try {
	made := filepath.Join("/tmp", "bot-bottle-attempt-"+strconv.Itoa(os.Getpid()))
	return map[string]try{
		"read":           func() error { return openClose("/etc/passwd", os.O_RDONLY) },
		"read-self":      func() error { return openClose("/proc/self/status", os.O_RDONLY) },
		"list":           func() error { _, err := os.ReadDir("/etc"); return err },
		"start":          startProgram,
		"process":        newProcess,
		"unix-socket":    func() error { return socket(unix.AF_UNIX, unix.SOCK_STREAM) },
		"netlink-socket": func() error { return socket(unix.AF_NETLINK, unix.SOCK_RAW) },
		"listen-tcp":     func() error { return listen("tcp", "127.0.0.1:0") },
		"bind-udp":       bindUDP,
		"create":         func() error { defer os.Remove(made); return openClose(made, os.O_CREATE|os.O_WRONLY) },
		"create-reading": func() error { defer os.Remove(made); return openClose(made, os.O_CREATE|os.O_RDONLY) },
		"write-null":     func() error { return openClose("/dev/null", os.O_WRONLY) },
		"mkdir":          func() error { defer os.Remove(made); return os.Mkdir(made, 0o700) },
		"symlink":        func() error { defer os.Remove(made); return os.Symlink("/", made) },
		"signal":         func() error { return unix.Kill(os.Getpid(), 0) },
		"memfd":          func() error { _, err := unix.MemfdCreate("x", 0); return err },
		"exec-memory":    execMemory,
		"inotify":        func() error { _, err := unix.InotifyInit1(0); return err },
		"chdir":          func() error { return os.Chdir("/tmp") },
		"prctl":          func() error { return unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) },
	}
}

// nowhere is a path, and nobody the id of a process, that don't exist (PID_MAX_LIMIT,
// proc(5)).
const (
	nowhere = "/nowhere/at/all"
	nobody  = 1 << 22
)

// grave are tries that need a right, or that would harm the test. Only the confined
// process makes them, on what doesn't exist where that can be: the list of system
// calls refuses before the kernel looks, and without it the errno is another.
func grave() map[string]try {
	return map[string]try{
		"trace":         func() error { return call(unix.SYS_PTRACE, unix.PTRACE_SEIZE, nobody) },
		"read-memory":   func() error { return call(unix.SYS_PROCESS_VM_READV, nobody) },
		"kill":          func() error { return unix.Kill(nobody, unix.SIGKILL) },
		"execve":        func() error { return unix.Exec(nowhere, []string{"x"}, nil) },
		"execveat":      func() error { return call(unix.SYS_EXECVEAT) },
		"mount":         func() error { return unix.Mount("none", nowhere, "tmpfs", 0, "") },
		"chroot":        func() error { return unix.Chroot(nowhere) },
		"unshare":       func() error { return call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER) },
		"setns":         func() error { return call(unix.SYS_SETNS) },
		"bpf":           func() error { return call(unix.SYS_BPF) },
		"keyctl":        func() error { return call(unix.SYS_KEYCTL) },
		"io-uring":      func() error { return call(unix.SYS_IO_URING_SETUP) },
		"userfaultfd":   func() error { return call(unix.SYS_USERFAULTFD) },
		"perf":          func() error { return call(unix.SYS_PERF_EVENT_OPEN) },
		"module":        func() error { return call(unix.SYS_FINIT_MODULE) },
		"open-handle":   func() error { return call(unix.SYS_OPEN_BY_HANDLE_AT) },
		"openat2":       func() error { return call(unix.SYS_OPENAT2) },
		"setuid":        func() error { return call(unix.SYS_SETUID, 0) },
		"dumpable":      func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) },
		"log-cut":       func() error { return unix.Ftruncate(4, 0) },
		"log-rewrite":   func() error { _, err := unix.FcntlInt(4, unix.F_SETFL, 0); return err },
		"log-overwrite": func() error { _, err := unix.Pwrite(4, []byte("x"), 0); return err },
	}
}

// necessary are what the doors do.
func necessary() map[string]try {
	return map[string]try{
		"read-resolver": func() error { return readIfThere("/etc/resolv.conf") },
		"read-hosts":    func() error { return readIfThere("/etc/hosts") },
		"tcp-socket":    func() error { return socket(unix.AF_INET, unix.SOCK_STREAM) },
		"send-udp":      sendUDP,
		"threads":       newThreads,
	}
}

// Attempts has, for each try by name, the errno's name, "" where it succeeded,
// or else the text of the error.
type Attempts struct{ Everyday, Grave, Necessary map[string]string }

func attempt(tries map[string]try) map[string]string {
	results := map[string]string{}
	for name, try := range tries {
		results[name] = describe(try())
	}
	return results
}

func describe(err error) string {
	if err == nil {
		return ""
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

func call(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

func openClose(path string, flags int) error {
	f, err := os.OpenFile(path, flags, 0o600)
	if err == nil {
		f.Close()
	}
	return err
}

// readIfThere reads a file that a host may do without.
func readIfThere(path string) error {
	if _, err := os.ReadFile(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func socket(family, kind int) error {
	fd, err := unix.Socket(family, kind, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func listen(network, address string) error {
	l, err := net.Listen(network, address)
	if err == nil {
		l.Close()
	}
	return err
}

func bindUDP() error {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err == nil {
		c.Close()
	}
	return err
}

// sendUDP does what a query to a name server does, on loopback: port 9 is
// discard (RFC 863).
func sendUDP() error {
	c, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte("x"))
	return err
}

func execMemory() error {
	b, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err == nil {
		unix.Munmap(b)
	}
	return err
}

func startProgram() error {
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"x", "nothing"}, nil)
	if err != nil {
		return err
	}
	var status unix.WaitStatus
	_, err = unix.Wait4(pid, &status, 0, nil)
	return err
}

// newProcess forks without executing. The child only exits.
func newProcess() error {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	var status unix.WaitStatus
	_, err := unix.Wait4(int(pid), &status, 0, nil)
	return err
}

// newThreads runs more blocked system calls at once than there are threads, so that
// the runtime has to start some.
func newThreads() error {
	done := make(chan error)
	const many = 64
	for range many {
		go func() {
			request := unix.Timespec{Nsec: 20_000_000}
			_, _, errno := unix.Syscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&request)), 0, 0)
			if errno != 0 && errno != unix.EINTR {
				done <- fmt.Errorf("sleeping: %w", errno)
				return
			}
			done <- nil
		}()
	}
	var err error
	for range many {
		err = errors.Join(err, <-done)
	}
	return err
}
