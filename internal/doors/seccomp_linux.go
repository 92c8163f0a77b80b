package doors

import (
	"fmt"
	"os"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// allowedCalls are what the Go runtime and package net of a static binary use
// when they serve inherited listeners, resolve names and connect out (runtime's
// sys_linux_*.s, internal/runtime/syscall/linux, internal/poll), the frequent ones
// first. A name that the architecture doesn't have is left out.
//
// What is not here fails with EPERM: among others to start or trace a process, to
// bind or listen, to change a file or its place, to lock, mount, load or log.
var allowedCalls = []string{
	"futex", "epoll_pwait", "epoll_wait", "read", "write", "nanosleep", "clock_nanosleep", "clock_gettime",
	"recvfrom", "sendto", "recvmsg", "sendmsg", "readv", "writev", "splice", "sendfile", "pipe2",
	"accept4", "connect", "shutdown", "close", "getsockname", "getpeername", "getsockopt", "setsockopt",
	"epoll_ctl", "epoll_create1", "eventfd2",
	"munmap", "madvise", "mincore", "brk",
	"fstat", "newfstatat", "fstatat", "lseek", "pread64", "getdents64", "readlinkat",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
	"sched_yield", "sched_getaffinity", "getpid", "gettid", "getuid", "geteuid", "getgid", "getegid",
	"getrandom", "gettimeofday", "uname", "set_robust_list", "rseq", "exit", "exit_group",
}

// conditions are what a call's arguments have to be, all together; a call may
// have several.
type conditions = seccomp.ArgumentConditions

func is(argument uint32, value int) seccomp.Condition {
	return seccomp.Condition{Argument: argument, Operation: seccomp.Equal, Value: uint64(value)}
}

// has is true where any bit of value is set.
func has(argument uint32, value int) seccomp.Condition {
	return seccomp.Condition{Argument: argument, Operation: seccomp.BitsSet, Value: uint64(value)}
}

func lacks(argument uint32, value int) seccomp.Condition {
	return seccomp.Condition{Argument: argument, Operation: seccomp.BitsNotSet, Value: uint64(value)}
}

// changing are the flags of openat(2) by which a file could be changed or made.
const changing = unix.O_WRONLY | unix.O_RDWR | unix.O_CREAT | unix.O_TRUNC

// conditionalCalls are those that depend on their arguments.
func conditionalCalls(pid int) []seccomp.NameWithConditions {
	calls := []seccomp.NameWithConditions{
		{Name: "openat", Conditions: conditions{lacks(2, changing)}},
		// No Unix sockets: not Docker's, nor the user's ssh-agent.
		{Name: "socket", Conditions: conditions{is(0, unix.AF_INET)}},
		{Name: "socket", Conditions: conditions{is(0, unix.AF_INET6)}},
		{Name: "mmap", Conditions: conditions{lacks(2, unix.PROT_EXEC)}},
		{Name: "mprotect", Conditions: conditions{lacks(2, unix.PROT_EXEC)}},
		// A process of its own could outlive us.
		{Name: "clone", Conditions: conditions{has(0, unix.CLONE_THREAD)}},
		// How the runtime preempts goroutines.
		{Name: "tgkill", Conditions: conditions{is(0, pid)}},
	}
	// Not F_SETFL, which could make the decision log one that can be written over.
	for _, command := range []int{unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_DUPFD_CLOEXEC, unix.F_SETPIPE_SZ, unix.F_GETPIPE_SZ} {
		calls = append(calls, seccomp.NameWithConditions{Name: "fcntl", Conditions: conditions{is(1, command)}})
	}
	return calls
}

// restrictCalls leaves all threads of the process, and those to come, only the
// system calls above.
func restrictCalls() error {
	here, err := arch.GetInfo("")
	if err != nil {
		return fmt.Errorf("looking up the system calls of this processor: %w", err)
	}
	// It doesn't say where a thread could not be given the list; harden looks.
	return seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy:     callPolicy(here, os.Getpid()),
	})
}

func callPolicy(here *arch.Info, pid int) seccomp.Policy {
	allowed := seccomp.SyscallGroup{Action: seccomp.ActionAllow, NamesWithCondtions: conditionalCalls(pid)}
	for _, name := range allowedCalls {
		if _, ok := here.SyscallNames[name]; ok {
			allowed.Names = append(allowed.Names, name)
		}
	}
	return seccomp.Policy{
		DefaultAction: seccomp.ActionErrno, // EPERM
		Syscalls: []seccomp.SyscallGroup{
			allowed,
			// Where this says "not permitted", a C library starts no thread;
			// where it doesn't exist, it uses clone.
			{Names: []string{"clone3"}, Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS)},
		},
	}
}
