package escape

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// resolver is a stand-in for the host's own: the egress door asks it for names. It
// keeps every question.
type resolver struct {
	conn  net.PacketConn
	names map[string][]netip.Addr
	keep  func(name string, b []byte)
}

// startResolver starts one on this host's loopback.
func startResolver(ctx context.Context, names map[string][]netip.Addr, keep func(string, []byte)) (*resolver, error) {
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting a stand-in: %w", err)
	}
	r := &resolver{conn, names, keep}
	go r.serve()
	return r, nil
}

func (r *resolver) address() netip.AddrPort { return r.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// maxQuestion is how long a datagram of DNS without extensions may be (RFC 1035).
const maxQuestion = 512

// serve answers until the socket is closed.
func (r *resolver) serve() {
	b := make([]byte, maxQuestion)
	for {
		n, from, err := r.conn.ReadFrom(b)
		if err != nil {
			return
		}
		if answer, err := r.answer(b[:n]); err == nil {
			r.conn.WriteTo(answer, from)
		}
	}
}

func (r *resolver) answer(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) != 1 {
		return nil, fmt.Errorf("reading a question: %w", err)
	}
	q := m.Questions[0]
	name := strings.TrimSuffix(strings.ToLower(q.Name.String()), ".")
	r.keep("the resolver, asked for "+name, []byte(name))
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	addresses, known := r.names[name]
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range addresses {
		h := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, Type: q.Type}
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		case q.Type == dnsmessage.TypeAAAA && a.Is6():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return m.Pack()
}
