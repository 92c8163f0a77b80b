package probe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// run is what the tries of a plan share.
type run struct {
	nonce string
	ports map[int]bool // that tries go to, and none may come from
}

func newRun(p Plan) run {
	r := run{p.Nonce, map[int]bool{}}
	for _, t := range p.Tries {
		if ap, err := netip.ParseAddrPort(t.Target); err == nil {
			r.ports[int(ap.Port())] = true
		}
	}
	return r
}

// begin begins a try. The error is as attempt.look gives it where the attempt is
// nil.
func (r run) begin(t Try) (*attempt, error) {
	switch t.Kind {
	case KindTCP:
		return r.toAddress(t.Target, []byte(r.nonce), r.connectStream)
	case KindUDPConnect:
		return r.toAddress(t.Target, []byte(r.nonce), r.connectDatagram)
	case KindUDPSendto:
		return r.toAddress(t.Target, []byte(r.nonce), r.sendto)
	case KindUDPSendmsg:
		return r.toAddress(t.Target, []byte(r.nonce), r.sendmsg)
	case KindDNS, KindDNSTCP, KindResolver:
		return r.ask(t)
	case KindPing, KindRaw:
		return echo(t, r.nonce)
	case KindPacket:
		return frames(r.nonce)
	case KindVsock:
		return connectVsock(t.Target, r.nonce)
	case KindFamily:
		return openFamily(t.Target)
	case KindUnix:
		return connectUnix(t.Target, r.nonce)
	case KindFile:
		return openFile(t.Target)
	}
	return finished(fmt.Errorf("unknown kind of try %q", t.Kind))
}

// address is a destination as the system calls want it.
type address struct {
	family int
	sa     unix.Sockaddr
}

func (r run) toAddress(target string, payload []byte, do func(address, []byte) (*attempt, error)) (*attempt, error) {
	ap, err := netip.ParseAddrPort(target)
	if err != nil {
		return finished(fmt.Errorf("reading the target %q: not an address", target))
	}
	to, err := addressOf(ap)
	if err != nil {
		return finished(err)
	}
	return do(to, payload)
}

func addressOf(ap netip.AddrPort) (address, error) {
	ip := ap.Addr()
	if ip.Is4() {
		return address{unix.AF_INET, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ip.As4()}}, nil
	}
	sa := &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		scope, err := net.InterfaceByName(zone)
		if err != nil {
			return address{}, unix.ENODEV // what the kernel says of an interface that isn't there
		}
		sa.ZoneId = uint32(scope.Index)
	}
	return address{unix.AF_INET6, sa}, nil
}

// socket opens one that never blocks and is not passed on.
func socket(family, kind, protocol int) (int, error) {
	return unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
}

// socketApart opens a socket of IP with a port that no try goes to. On a shared
// loopback a try could else reach itself, or another that waits.
func (r run) socketApart(family, kind int) (int, error) {
	var held []int // so that the next gets another port
	defer func() {
		for _, fd := range held {
			unix.Close(fd)
		}
	}()
	for {
		fd, err := socket(family, kind, 0)
		if err != nil {
			return -1, err
		}
		port, err := bind(fd, family)
		if err == nil && !r.ports[port] {
			return fd, nil
		}
		held = append(held, fd)
		if err != nil {
			return -1, err
		}
	}
}

// bind gives fd a port of the kernel's choice.
func bind(fd, family int) (int, error) {
	var any unix.Sockaddr = &unix.SockaddrInet4{}
	if family == unix.AF_INET6 {
		any = &unix.SockaddrInet6{}
	}
	if err := unix.Bind(fd, any); err != nil {
		return 0, err
	}
	return boundPort(fd)
}

func boundPort(fd int) (int, error) {
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	switch a := bound.(type) {
	case *unix.SockaddrInet4:
		return a.Port, nil
	case *unix.SockaddrInet6:
		return a.Port, nil
	}
	return 0, fmt.Errorf("reading the address of a socket: it is a %T", bound)
}

// connectStream connects and sends the payload: a collector has to see which
// boot it was.
func (r run) connectStream(to address, payload []byte) (*attempt, error) {
	fd, err := r.socketApart(to.family, unix.SOCK_STREAM)
	if err != nil {
		return finished(err)
	}
	err = unix.Connect(fd, to.sa)
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return finished(err)
	}
	return &attempt{fd: fd, events: unix.POLLOUT, look: func() error { return sendConnected(fd, payload) }}, nil
}

// sendConnected sends the payload if the connection has come about.
func sendConnected(fd int, payload []byte) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if code != 0 {
		return unix.Errno(code)
	}
	unix.Write(fd, payload) // being connected is what counts
	return nil
}

// connectDatagram sends on a connected socket, which is told of refusals, and
// sends again while nothing comes.
func (r run) connectDatagram(to address, payload []byte) (*attempt, error) {
	a, err := r.datagram(to, func(fd int) error {
		if err := unix.Connect(fd, to.sa); err != nil {
			return err
		}
		_, err := unix.Write(fd, payload)
		return err
	})
	if a != nil {
		a.again = func() error { return writeAgain(a.fd, payload) }
	}
	return a, err
}

// writeAgain is told, as an error of its own, what became of what was sent before.
func writeAgain(fd int, payload []byte) error {
	if _, err := unix.Write(fd, payload); err != nil && !errors.Is(err, unix.EAGAIN) {
		return err
	}
	return errPending
}

func (r run) sendto(to address, payload []byte) (*attempt, error) {
	return r.unconnected(to, func(fd int) error { return unix.Sendto(fd, payload, 0, to.sa) })
}

func (r run) sendmsg(to address, payload []byte) (*attempt, error) {
	return r.unconnected(to, func(fd int) error { return unix.Sendmsg(fd, payload, nil, to.sa, 0) })
}

// unconnected sends by a socket that asks to be told of refusals all the same
// (RECVERR, ip(7)). Where that is not to be had, silence says so.
func (r run) unconnected(to address, send func(fd int) error) (*attempt, error) {
	return r.datagram(to, func(fd int) error {
		if to.family == unix.AF_INET6 {
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
		} else {
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
		}
		return send(fd)
	})
}

// datagram opens a socket, sends, and waits for an error or an answer.
func (r run) datagram(to address, send func(fd int) error) (*attempt, error) {
	fd, err := r.socketApart(to.family, unix.SOCK_DGRAM)
	if err != nil {
		return finished(err)
	}
	if err := send(fd); err != nil {
		unix.Close(fd)
		return finished(err)
	}
	return &attempt{fd: fd, events: unix.POLLIN, look: func() error { return receive(fd, nil) }}, nil
}

// receive reads one datagram. Only one that wanted accepts is an answer; nil
// accepts all.
func receive(fd int, wanted func([]byte) bool) error {
	buf := make([]byte, 2048)
	n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return errPending
	case err != nil:
		return err
	case wanted != nil && !wanted(buf[:n]):
		return errPending
	}
	return nil
}

// connectUnix connects to a stream socket. A target that begins with @ is an
// abstract name (unix(7)).
func connectUnix(target, nonce string) (*attempt, error) {
	fd, err := socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return finished(err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: target}); err != nil {
		return finished(err)
	}
	unix.Write(fd, []byte(nonce))
	return finished(nil)
}

// openFile opens for reading, and reads: the collector sees both.
func openFile(path string) (*attempt, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return finished(err)
	}
	defer unix.Close(fd)
	unix.Read(fd, make([]byte, 64))
	return finished(nil)
}

// splitNumbers parses "A:B".
func splitNumbers(target string) (a, b uint32, err error) {
	first, second, ok := net.SplitHostPort(target)
	if ok != nil {
		return 0, 0, fmt.Errorf("reading the target %q: not CID:PORT", target)
	}
	x, err1 := strconv.ParseUint(first, 10, 32)
	y, err2 := strconv.ParseUint(second, 10, 32)
	if err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("reading the target %q: not CID:PORT", target)
	}
	return uint32(x), uint32(y), nil
}
