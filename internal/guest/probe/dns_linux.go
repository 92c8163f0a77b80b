package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ask puts a question for the nonce's name.
func (r run) ask(t Try) (*attempt, error) {
	question, err := Question(r.nonce)
	if err != nil {
		return finished(err)
	}
	switch t.Kind {
	case KindDNSTCP: // a length goes first (RFC 1035, 4.2.2)
		return r.toAddress(t.Target, append(binary.BigEndian.AppendUint16(nil, uint16(len(question))), question...), r.connectStream)
	case KindResolver:
		return r.askResolvers(t.Target, question)
	}
	return r.toAddress(t.Target, question, r.connectDatagram)
}

// maxServers is how many name servers a libc takes from a resolv.conf (MAXNS).
const maxServers = 3

// askResolvers asks all name servers that the file at path lists. The first that
// answers decides; else silence; else the error of the last.
func (r run) askResolvers(path string, question []byte) (*attempt, error) {
	servers, err := resolvers(path)
	if err != nil {
		return finished(err)
	}
	var open []*attempt
	refusal := error(unix.ECONNREFUSED)
	for _, server := range servers {
		to, err := addressOf(netip.AddrPortFrom(server, 53))
		if err != nil {
			refusal = err
			continue
		}
		a, err := r.connectDatagram(to, question)
		if a == nil {
			refusal = err
			continue
		}
		open = append(open, a)
	}
	if len(open) == 0 {
		return finished(refusal)
	}
	return together(open, refusal)
}

// together makes one attempt of several, by an epoll set that is ready when one
// of them is.
func together(open []*attempt, refusal error) (*attempt, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		closeAll(open)
		return finished(fmt.Errorf("making an epoll set: %v", err))
	}
	for _, a := range open {
		unix.EpollCtl(set, unix.EPOLL_CTL_ADD, a.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(a.fd)})
	}
	waiting := open
	each := func(do func(*attempt) error) error {
		var rest []*attempt
		for _, a := range waiting {
			err := do(a)
			if err == nil {
				return nil
			}
			if errors.Is(err, errPending) {
				rest = append(rest, a)
				continue
			}
			refusal = err
		}
		if waiting = rest; len(waiting) > 0 {
			return errPending
		}
		return refusal
	}
	return &attempt{
		fd: set, events: unix.POLLIN,
		look:  func() error { return each(func(a *attempt) error { return a.look() }) },
		again: func() error { return each(func(a *attempt) error { return a.again() }) },
		also:  func() { closeAll(open) },
	}, nil
}

func closeAll(open []*attempt) {
	for _, a := range open {
		unix.Close(a.fd)
	}
}

// resolvers gives the name servers of a resolv.conf(5); without the file, or
// without any in it, those on this machine, as libc and Go do.
func resolvers(path string) ([]netip.Addr, error) {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading %q: %v", path, err)
	}
	var servers []netip.Addr
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" || len(servers) == maxServers {
			continue
		}
		if server, err := netip.ParseAddr(fields[1]); err == nil {
			servers = append(servers, server)
		}
	}
	if len(servers) == 0 {
		servers = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	return servers, nil
}
