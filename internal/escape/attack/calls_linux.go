package attack

import (
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// unshareInThread leaves namespaces in a thread of its own, which ends with it.
func unshareInThread(flags int) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread goes with the goroutine
		done <- unix.Unshare(flags)
	}()
	return <-done
}

func leaveNetwork() error { return unshareInThread(unix.CLONE_NEWNET) }
func leaveUsers() error   { return unshareInThread(unix.CLONE_NEWUSER) }

func leaveNamespaces() error {
	return unshareInThread(unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS)
}

func mount(source, kind string) error { return unix.Mount(source, "/mnt", kind, 0, "") }
func unmount()                        { unix.Unmount("/mnt", unix.MNT_DETACH) }

func (d device) make(path string) error {
	mode := uint32(unix.S_IFCHR | 0o600)
	if d.block {
		mode = unix.S_IFBLK | 0o600
	}
	return unix.Mknod(path, mode, int(unix.Mkdev(d.major, d.minor)))
}

// addRoute asks the kernel for a default route over the loopback.
func addRoute() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	const header, route = 16, 12
	attributes := []byte{8, 0, unix.RTA_OIF, 0, 1, 0, 0, 0}
	m := make([]byte, header, header+route+len(attributes))
	*(*uint32)(unsafe.Pointer(&m[0])) = uint32(cap(m))
	*(*uint16)(unsafe.Pointer(&m[4])) = unix.RTM_NEWROUTE
	*(*uint16)(unsafe.Pointer(&m[6])) = unix.NLM_F_REQUEST | unix.NLM_F_CREATE | unix.NLM_F_ACK
	m = append(m, unix.AF_INET, 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, unix.RT_SCOPE_LINK, unix.RTN_UNICAST, 0, 0, 0, 0)
	m = append(m, attributes...)
	return unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// systemCalls are those that give power over a kernel or over other processes,
// with arguments that would do something harmless if they were let through. What
// fails for another reason than a missing right was let through.
func systemCalls() map[string]func() error {
	calls := map[string]func() error{
		"bpf(2): make a map":               makeMap,
		"kexec_load(2)":                    raw(unix.SYS_KEXEC_LOAD, 0, 0, 0, 0), // unloads what nobody loaded
		"init_module(2)":                   raw(unix.SYS_INIT_MODULE, 0, 0, 0),
		"delete_module(2)":                 raw(unix.SYS_DELETE_MODULE, 0, 0),
		"keyctl(2): the session's keyring": raw(unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, ^uintptr(2), 1), // -3
		"ptrace(2) process 1":              raw(unix.SYS_PTRACE, unix.PTRACE_ATTACH, 1, 0, 0),
		"open_by_handle_at(2)":             openByHandle,
		"perf_event_open(2)":               openPerfEvent,
		"reboot(2): Ctrl-Alt-Del off":      raw(unix.SYS_REBOOT, unix.LINUX_REBOOT_MAGIC1, unix.LINUX_REBOOT_MAGIC2, unix.LINUX_REBOOT_CMD_CAD_OFF, 0),
		"swapon(2)":                        raw(unix.SYS_SWAPON, 0, 0),
		"acct(2)":                          raw(unix.SYS_ACCT, 1),
		"settimeofday(2)":                  raw(unix.SYS_SETTIMEOFDAY, 0, 0),
	}
	for name, do := range calls {
		calls[name] = func() error { return withoutRight(do()) }
	}
	return calls
}

// withoutRight keeps the errors that mean that a right, or the call itself, is
// missing; nil for all others, which come from a kernel that went to work.
func withoutRight(err error) error {
	for _, e := range []unix.Errno{unix.EPERM, unix.EACCES, unix.ENOSYS, unix.EOPNOTSUPP, unix.ESRCH, unix.ENODEV} {
		if errors.Is(err, e) {
			return err
		}
	}
	return nil
}

func raw(number uintptr, args ...uintptr) func() error {
	var a [6]uintptr
	copy(a[:], args)
	return func() error {
		if _, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
			return errno
		}
		return nil
	}
}

// makeMap makes the smallest array of bpf(2): type, size of a key, of a value, and
// number of entries.
func makeMap() error {
	attributes := [4]uint32{unix.BPF_MAP_TYPE_ARRAY, 4, 4, 1}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_MAP_CREATE, uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes))
	if errno != 0 {
		return errno
	}
	return unix.Close(int(fd))
}

// openByHandle opens the root by a handle, past every mount above it.
func openByHandle() error {
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, "/", 0)
	if err != nil {
		return err
	}
	root, err := unix.Open("/", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	fd, err := unix.OpenByHandleAt(root, handle, unix.O_RDONLY)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func openPerfEvent() error {
	attributes := unix.PerfEventAttr{Type: unix.PERF_TYPE_HARDWARE, Config: unix.PERF_COUNT_HW_CPU_CYCLES}
	attributes.Size = uint32(unsafe.Sizeof(attributes))
	fd, err := unix.PerfEventOpen(&attributes, -1, 0, -1, 0) // of every process
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
