package collector

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path"
	"path/filepath"

	"github.com/bot-bottle/action/internal/guest/probe"
)

// maxLAN is how many of the host's own addresses are tried for what listens on
// all of them. Hosts of containers have many bridges, all alike.
const maxLAN = 4

// place is an address to listen on, and those by which a guest would try it.
type place struct {
	name     string
	listen   netip.Addr // invalid: this host has none
	tried    []netip.Addr
	optional bool
}

// wanted gives all collectors.
func (s *Set) wanted(o Options) []want {
	places := places(o.Alias, hostAddresses())
	var list []want
	for _, p := range places {
		list = append(list, s.tcp(p))
	}
	for _, p := range places {
		list = append(list, s.udp(p))
	}
	list = append(list, s.dns(neighbour(o.Alias)), s.abstract())
	for _, f := range o.Folders {
		list = append(list, s.socket(f), s.file(f))
	}
	return list
}

func places(alias netip.Addr, host []netip.Addr) []place {
	lan4, lan6 := split(host)
	loopback4, other := netip.AddrFrom4([4]byte{127, 0, 0, 1}), neighbour(alias)
	only := func(a netip.Addr) []netip.Addr { return []netip.Addr{a} }
	return []place{
		{"loopback", loopback4, only(loopback4), false},
		{"all addresses", netip.IPv4Unspecified(), append([]netip.Addr{netip.IPv4Unspecified(), alias}, lan4...), false},
		{"another alias", other, only(other), true}, // only Linux has all of 127.0.0.0/8
		{"LAN", first(lan4), only(first(lan4)), true},
		{"IPv6 loopback", netip.IPv6Loopback(), only(netip.IPv6Loopback()), true},
		{"all IPv6 addresses", netip.IPv6Unspecified(), append([]netip.Addr{netip.IPv6Unspecified()}, lan6...), true},
		{"IPv6 LAN", first(lan6), only(first(lan6)), true},
	}
}

// neighbour is an alias that is not the bottle's: where another one's doors could
// be.
func neighbour(alias netip.Addr) netip.Addr {
	a := alias.As4()
	a[3] ^= 1
	return netip.AddrFrom4(a)
}

// hostAddresses gives the host's addresses that others could reach it by. None is
// no error: a host without a network is absent there.
func hostAddresses() []netip.Addr {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var found []netip.Addr
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			if ip := prefix.Addr().Unmap(); ip.IsGlobalUnicast() { // private ones are among these
				found = append(found, ip)
			}
		}
	}
	return found
}

func split(host []netip.Addr) (lan4, lan6 []netip.Addr) {
	for _, a := range host {
		switch {
		case a.Is4() && len(lan4) < maxLAN:
			lan4 = append(lan4, a)
		case a.Is6() && len(lan6) < maxLAN:
			lan6 = append(lan6, a)
		}
	}
	return lan4, lan6
}

func first(list []netip.Addr) netip.Addr {
	if len(list) == 0 {
		return netip.Addr{}
	}
	return list[0]
}

func (s *Set) tcp(p place) want {
	name := "tcp " + p.name
	return want{name, p.optional, func(ctx context.Context) (member, error) {
		if !p.listen.IsValid() {
			return nil, errAbsent
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp"+version(p.listen), netip.AddrPortFrom(p.listen, 0).String())
		if err != nil {
			return nil, err
		}
		port := l.Addr().(*net.TCPAddr).AddrPort().Port()
		var tries []probe.Try
		for _, a := range p.tried {
			tries = append(tries, probe.Try{Kind: probe.KindTCP, Target: netip.AddrPortFrom(a, port).String()})
		}
		return s.newStream(name, l, tries), nil
	}}
}

func (s *Set) udp(p place) want {
	name := "udp " + p.name
	return want{name, p.optional, func(ctx context.Context) (member, error) {
		if !p.listen.IsValid() {
			return nil, errAbsent
		}
		c, port, err := listenUDP(ctx, p.listen, 0)
		if err != nil {
			return nil, err
		}
		var tries []probe.Try
		for i, a := range p.tried {
			kinds := probe.UDPKinds()
			if i > 0 {
				kinds = kinds[:1] // the ways to send are no matter of the address
			}
			for _, k := range kinds {
				tries = append(tries, probe.Try{Kind: k, Target: netip.AddrPortFrom(a, port).String()})
			}
		}
		return s.newPacket(name, c, tries, plain), nil
	}}
}

// dns listens where a name server does, if this process may, or else anywhere.
func (s *Set) dns(at netip.Addr) want {
	const name = "dns another alias"
	return want{name, true, func(ctx context.Context) (member, error) {
		c, port, err := listenUDP(ctx, at, 53)
		if err != nil {
			c, port, err = listenUDP(ctx, at, 0)
		}
		if err != nil {
			return nil, err
		}
		tries := []probe.Try{{Kind: probe.KindDNS, Target: netip.AddrPortFrom(at, port).String()}}
		return s.newPacket(name, c, tries, nameServer), nil
	}}
}

func listenUDP(ctx context.Context, at netip.Addr, port uint16) (net.PacketConn, uint16, error) {
	c, err := new(net.ListenConfig).ListenPacket(ctx, "udp"+version(at), netip.AddrPortFrom(at, port).String())
	if err != nil {
		return nil, 0, err
	}
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort().Port(), nil
}

func version(a netip.Addr) string {
	if a.Is4() {
		return "4"
	}
	return "6"
}

// abstract listens on an abstract name (unix(7)), which lives in the network
// namespace.
func (s *Set) abstract() want {
	address := "@bot-bottle-" + s.mark
	return want{"abstract socket", true, func(ctx context.Context) (member, error) {
		l, err := listenAbstract(ctx, address)
		if err != nil {
			return nil, err
		}
		return s.newStream("abstract socket", l, []probe.Try{{Kind: probe.KindUnix, Target: address}}), nil
	}}
}

// socket plants a socket that everybody may connect to who finds it.
func (s *Set) socket(f Folder) want {
	name, file := fmt.Sprintf("socket in %q", f.Host), "canary-"+s.mark+".sock"
	return want{name, true, func(ctx context.Context) (member, error) {
		l, err := plantSocket(ctx, filepath.Join(f.Host, file))
		if err != nil {
			return nil, err
		}
		return s.newStream(name, l, f.tries(probe.KindUnix, file)), nil
	}}
}

// file plants a file that only this user may read.
func (s *Set) file(f Folder) want {
	name, file := fmt.Sprintf("file in %q", f.Host), "canary-"+s.mark
	return want{name, true, func(context.Context) (member, error) {
		return s.plantFile(name, filepath.Join(f.Host, file), f.tries(probe.KindFile, file))
	}}
}

func (f Folder) tries(kind probe.Kind, file string) []probe.Try {
	tries := []probe.Try{{Kind: kind, Target: filepath.Join(f.Host, file)}}
	for _, dir := range f.Guest {
		tries = append(tries, probe.Try{Kind: kind, Target: path.Join(dir, file)})
	}
	return tries
}
