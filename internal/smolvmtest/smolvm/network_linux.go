package main

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"net"

	"github.com/bot-bottle/action/internal/smolvmtest"
	"golang.org/x/sys/unix"
)

func keys(m map[string]string) iter.Seq[string] { return maps.Keys(m) }

// stranger is an address that a guest without a network can't reach: the proof asks
// it for a name (probe.Outside).
const stranger = "192.0.2.53"

// openNetwork makes what the VMM has of a network answer: the jail's loopback gets
// the stranger's address, and somebody listens there.
func (w *world) openNetwork() error {
	if err := errors.Join(up("lo"), address("lo", "127.0.0.1"), address("lo:1", stranger)); err != nil {
		return fmt.Errorf("opening the network: %w", err)
	}
	if w.config.Does(smolvmtest.AnswersDNS) {
		return answer()
	}
	l, err := net.Listen("tcp", "192.0.2.53:853")
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
	conn, err := net.ListenPacket("udp", stranger+":53")
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

func address(name, ip string) error {
	return withInterface(name, func(fd int, ifr *unix.Ifreq) error {
		if err := ifr.SetInet4Addr(net.ParseIP(ip).To4()); err != nil {
			return err
		}
		return unix.IoctlIfreq(fd, unix.SIOCSIFADDR, ifr)
	})
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
