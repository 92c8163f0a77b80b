package guest

import (
	"fmt"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// apply brings up what s says. Whatever can't be had is an error: the guest is
// not proven then, and never used.
func (p *process1) apply(s Setup) error {
	alias, err := netip.ParseAddr(s.Alias)
	if err != nil || !alias.Is4() || !alias.IsLoopback() {
		return fmt.Errorf("listening on %q, which is no IPv4 loopback address", s.Alias)
	}
	loopbackUp()
	withoutDevices()
	for _, o := range s.Owned {
		if err := o.apply(); err != nil {
			return err
		}
	}
	for _, f := range s.Forwards {
		if err := p.forwarders.open(alias, f); err != nil {
			return err
		}
	}
	return limitTasks(s.Tasks)
}

// spareDevices are devices of the guest's own kernel, gVisor's for instance, that
// lead nowhere, and that no agent needs: less to be attacked is better.
var spareDevices = []string{"/dev/fuse", "/dev/net/tun"}

// withoutDevices removes them. Where that can't be done there is nothing to say
// yet: the escape suite looks for them.
func withoutDevices() {
	for _, path := range spareDevices {
		os.Remove(path)
	}
}

// apply gives the folder to its user. Where it already is his no right is needed.
func (o Owned) apply() error {
	info, err := os.Lstat(o.Path)
	if err != nil {
		return fmt.Errorf("giving %q to user %d: %w", o.Path, o.UID, err)
	}
	if s := info.Sys().(*syscall.Stat_t); int(s.Uid) == o.UID && int(s.Gid) == o.GID {
		return nil
	}
	if err := os.Lchown(o.Path, o.UID, o.GID); err != nil {
		return fmt.Errorf("giving %q to user %d: %w", o.Path, o.UID, err)
	}
	return nil
}

// limitTasks sets the limit for this process, from which all others have it.
func limitTasks(n int) error {
	if n == 0 {
		return nil
	}
	limit := unix.Rlimit{Cur: uint64(n), Max: uint64(n)}
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &limit); err != nil {
		return fmt.Errorf("limiting tasks to %d: %w", n, err)
	}
	return nil
}

// loopbackUp brings lo up where it isn't (netdevice(7)). Where it can't, there is
// nothing to say yet: the forwarders can't listen or can't be reached then, and
// the proof finds that out.
func loopbackUp() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil || unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, request) != nil || request.Uint16()&unix.IFF_UP != 0 {
		return
	}
	request.SetUint16(request.Uint16() | unix.IFF_UP)
	unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}
