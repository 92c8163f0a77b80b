package testenv

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// InOwnNetwork runs do in a network namespace that has a loopback and nothing
// else: the "host network" that a mutated guest is given there leads nowhere. It
// takes root. In do, no test of its own may be started: it would run elsewhere.
func InOwnNetwork(t testing.TB, do func()) {
	t.Helper()
	if os.Getuid() != 0 {
		Skip(t, "making a network namespace for this test needs root")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = loopbackUp()
		}
		if err == nil {
			do()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("making a network namespace: %v", err)
	}
}

// outside are networks that a guest takes for the world: for documentation, private,
// shared and link-local ones.
var outside = []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"}

// InOutside is InOwnNetwork with all of an outside in it: what is sent there stays,
// and is answered.
func InOutside(t testing.TB, do func()) {
	t.Helper()
	InOwnNetwork(t, func() {
		for _, network := range outside {
			if err := standFor(network); err != nil {
				t.Errorf("standing for %s: %v", network, err)
			}
		}
		do()
	})
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_LOOPBACK)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// standFor makes this network namespace's loopback all of a network.
func standFor(network string) error {
	prefix, err := netip.ParsePrefix(network)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, newAddress(prefix), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("asking for %s: %w", network, err)
	}
	return nil
}

// newAddress is rtnetlink(7)'s message that gives lo the network's first address.
func newAddress(network netip.Prefix) []byte {
	native, address := binary.NativeEndian, network.Addr().Next().As4()
	m := native.AppendUint32(nil, 16+8+8+8)
	m = native.AppendUint16(m, unix.RTM_NEWADDR)
	m = native.AppendUint16(m, unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_ACK)
	m = append(m, make([]byte, 8)...)
	m = append(m, unix.AF_INET, byte(network.Bits()), 0, 0)
	m = native.AppendUint32(m, 1) // lo
	for _, kind := range []uint16{unix.IFA_LOCAL, unix.IFA_ADDRESS} {
		m = native.AppendUint16(m, 8)
		m = native.AppendUint16(m, kind)
		m = append(m, address[:]...)
	}
	return m
}
