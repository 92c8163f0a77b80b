package smolmachines

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"

	"github.com/bot-bottle/action/backends"
	"golang.org/x/sys/unix"
)

// kept are the capabilities that process 1 of the guest needs, and the most that
// root in it can have; smolvm gives all of them. Root in the guest so gets neither at
// the machine's devices nor at its kernel's sockets of packets, and from there not at
// what smolvm's agent shares with the VMM.
var kept = []uintptr{
	unix.CAP_CHOWN, unix.CAP_KILL, unix.CAP_SETGID, unix.CAP_SETPCAP, unix.CAP_SETUID,
	unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_NET_BIND_SERVICE, unix.CAP_SETFCAP, unix.CAP_SYS_CHROOT,
}

// inside is what smolvm starts in the guest, with nothing held back. It gives up
// what the guest must not have and becomes `guest init`, or, where args name the
// folder of the image and the alias, stays beside it as the way to the doors.
func inside(args []string) error {
	// Capabilities are a thread's: what is started from this one has its.
	runtime.LockOSThread()
	loopbackUp() // where it can't, the doors can't be reached, and the proof finds that out
	bridged := len(args) == 2
	if bridged {
		if err := openWay(args[0], args[1]); err != nil {
			return err
		}
	}
	if err := giveUp(); err != nil {
		return err
	}
	argv := []string{"bot-bottle", "guest", "init"}
	if !bridged {
		return fmt.Errorf("becoming process 1: %w", syscall.Exec(backends.GuestBinary, argv, os.Environ()))
	}
	cmd := exec.Command(backends.GuestBinary)
	cmd.Args, cmd.Stdout, cmd.Stderr = argv, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running process 1: %w", err)
	}
	return nil
}

// openWay moves into the image and makes the doors there.
func openWay(image, alias string) error {
	address, err := netip.ParseAddr(alias)
	if err != nil {
		return fmt.Errorf("reading the alias: %w", err)
	}
	if err := moveInto(image); err != nil {
		return err
	}
	return bridge(address)
}

// giveUp gives up every capability of this thread but those kept.
func giveUp() error {
	var mask uint64
	for _, c := range kept {
		mask |= 1 << c
	}
	for c := range uintptr(64) {
		if slices.Contains(kept, c) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err == unix.EINVAL {
			break // the kernel knows no more
		} else if err != nil {
			return fmt.Errorf("giving up capability %d: %w", c, err)
		}
	}
	return limitCapabilities(mask)
}

// limitCapabilities takes everything outside mask from this thread (capset(2)).
func limitCapabilities(mask uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("reading capabilities: %w", err)
	}
	for i := range sets {
		word := uint32(mask >> (32 * i))
		sets[i].Permitted &= word
		sets[i].Effective &= word
		sets[i].Inheritable = 0
	}
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("giving up capabilities: %w", err)
	}
	return nil
}
