package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/bot-bottle/action/internal/smolvmtest"
	"golang.org/x/sys/unix"
)

// Addresses that a guest without a network can't reach, and that the proof tries
// (probe.Outside): a resolver, and smolvm's gateway.
const (
	resolver = "198.51.100.53"
	gateway  = "100.96.0.1"
)

// host is the mask of one address.
const host = "255.255.255.255"

// outside are networks that a guest takes for the world.
var outside = []struct{ address, mask string }{
	{gateway, "255.192.0.0"}, {"192.0.2.1", "255.255.255.0"}, {"198.51.100.1", "255.255.255.0"}, {"203.0.113.1", "255.255.255.0"},
	{"10.0.0.1", "255.0.0.0"}, {"172.16.0.1", "255.240.0.0"}, {"192.168.0.1", "255.255.0.0"}, {"169.254.0.1", "255.255.0.0"},
}

// openNetwork makes what the VMM has of a network answer: the jail's loopback gets
// strangers' addresses, and somebody listens at the gateway's.
func (w *world) openNetwork() error {
	if err := up("lo"); err != nil {
		return fmt.Errorf("opening the network: %w", err)
	}
	if w.config.Does(smolvmtest.AnswersDNS) {
		return errors.Join(address("lo:1", resolver, host), answer())
	}
	for i, network := range outside {
		if err := address(fmt.Sprintf("lo:%d", i+1), network.address, network.mask); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", gateway+":443")
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return nil
}

// answer answers every question with itself, as a resolver that knows nothing.
func answer() error {
	conn, err := net.ListenPacket("udp", resolver+":53")
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if n > 3 {
				buf[2] |= 0x80 // QR: an answer (RFC 1035, 4.1.1)
				buf[3] = 0x83  // RA, NXDOMAIN
				conn.WriteTo(buf[:n], from)
			}
		}
	}()
	return nil
}

// up and address are what ifconfig does (netdevice(7)).
func up(name string) error {
	return withInterface(name, func(fd int, ifr *unix.Ifreq) error {
		ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
	})
}

func address(name, ip, mask string) error {
	for _, set := range []struct {
		request uint
		ip      string
	}{{unix.SIOCSIFADDR, ip}, {unix.SIOCSIFNETMASK, mask}} {
		err := withInterface(name, func(fd int, ifr *unix.Ifreq) error {
			if err := ifr.SetInet4Addr(net.ParseIP(set.ip).To4()); err != nil {
				return err
			}
			return unix.IoctlIfreq(fd, set.request, ifr)
		})
		if err != nil {
			return fmt.Errorf("giving %s the address %s: %w", name, set.ip, err)
		}
	}
	return nil
}

func withInterface(name string, do func(int, *unix.Ifreq) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	return do(fd, ifr)
}
