package doors

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/landlock-lsm/go-landlock/landlock"
	abi "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// programFolders are where a git of the host and its libraries are (file-hierarchy(7);
// NixOS has all of it in its store).
var programFolders = []string{"/usr", "/bin", "/sbin", "/lib", "/lib64", "/nix/store"}

// programFiles are what the loader of programs reads (ld.so(8)), and git for names of
// its files.
var programFiles = []string{"/etc/ld.so.cache", "/dev/urandom"}

// ownFiles are what our own binary reads when it starts, before it becomes git: gVisor,
// which is linked in, wants to know it.
var ownFiles = []string{"/proc/sys/vm/mmap_min_addr"}

// resolverPort is where names are asked for by TCP.
const resolverPort = 53

// restrictFiles leaves the process its own folder, the host's programs and what name
// resolution reads; and of TCP the way to the upstreams.
func (g *gitRoom) restrictFiles() Measure {
	rules := append(resolverRules(),
		landlock.RWDirs(g.dir).WithRefer(),
		landlock.RWFiles("/dev/null"),
		landlock.RODirs(programFolders...).IgnoreIfMissing(),
		landlock.ROFiles(append(slices.Clone(programFiles), g.program, g.executable)...).IgnoreIfMissing(),
		landlock.PathAccess(landlock.AccessFSSet(abi.AccessFSReadFile), ownFiles...).IgnoreIfMissing(),
		landlock.ConnectTCP(resolverPort),
	)
	for _, port := range g.ports {
		rules = append(rules, landlock.ConnectTCP(port))
	}
	return restrict(abi.AccessNetBindTCP|abi.AccessNetConnectTCP, rules...)
}

// forbiddenCalls are those by which a process reaches into others, the kernel or the
// host, and that neither git nor this program needs. A list of what may stay would
// have to know every libc; Landlock and the lost rights are what confines.
var forbiddenCalls = []string{
	"ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd",
	"mount", "umount2", "pivot_root", "chroot", "setns", "unshare", "fsopen", "fsmount", "move_mount", "open_tree", "mount_setattr",
	"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
	"kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module",
	"keyctl", "add_key", "request_key", "open_by_handle_at", "name_to_handle_at",
	"swapon", "swapoff", "reboot", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "acct", "quotactl", "syslog",
	"mknod", "mknodat", "personality", "iopl", "ioperm", "listen",
}

// restrictGitCalls forbids those, and sockets of any kind but IP.
func restrictGitCalls() error {
	notIP := seccomp.NameWithConditions{Name: "socket", Conditions: conditions{
		{Argument: 0, Operation: seccomp.NotEqual, Value: unix.AF_INET}, {Argument: 0, Operation: seccomp.NotEqual, Value: unix.AF_INET6},
	}}
	return forbid(seccomp.FilterFlagTSync, forbiddenCalls, notIP)
}

// forbid forbids calls, of which this processor may lack some, for the threads that flag
// names: all, or this one.
func forbid(flag seccomp.FilterFlag, names []string, conditional ...seccomp.NameWithConditions) error {
	here, err := arch.GetInfo("")
	if err != nil {
		return fmt.Errorf("looking up the system calls of this processor: %w", err)
	}
	group := seccomp.SyscallGroup{Action: seccomp.ActionErrno, NamesWithCondtions: conditional} // EPERM
	for _, name := range names {
		if _, ok := here.SyscallNames[name]; ok {
			group.Names = append(group.Names, name)
		}
	}
	return seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true, Flag: flag,
		Policy: seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{group}},
	})
}

// becomeGit gives up sockets of every kind and becomes the program of args: what git
// is handed, hostile packs among it, has no network to tell of it.
func becomeGit(args []string) error {
	if len(args) == 0 {
		return errors.New("becoming git: no program is named")
	}
	runtime.LockOSThread() // the filter is this thread's, and execve(2) leaves no other
	if err := forbid(0, []string{"socket", "socketpair", "connect", "bind"}); err != nil {
		return fmt.Errorf("giving up sockets: %w", err)
	}
	return fmt.Errorf("becoming %q: %w", args[0], unix.Exec(args[0], args, os.Environ()))
}
