package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// addressClass is a range of addresses that is not the public internet.
type addressClass struct {
	prefix netip.Prefix
	name   string
}

// never lists what no policy can allow: nothing there is a server that a job has
// business with, and some of it hands out the credentials of the machine.
var never = classes(
	"0.0.0.0/8", "unspecified (RFC 1122)",
	"169.254.0.0/16", "link-local, where clouds serve credentials (RFC 3927)",
	"224.0.0.0/4", "multicast (RFC 5771)",
	"255.255.255.255/32", "broadcast (RFC 919)",
	"100.100.100.200/32", "the metadata service of Alibaba Cloud",
	"168.63.129.16/32", "the host agent of Azure",
	"192.0.0.192/32", "the metadata service of Oracle Cloud",
	"::/128", "unspecified (RFC 4291)",
	"fe80::/10", "link-local (RFC 4291)",
	"ff00::/8", "multicast (RFC 4291)",
	"fd00:ec2::254/128", "the metadata service of AWS",
	"fd20:ce::254/128", "the metadata service of Google Cloud",
)

// nonPublic lists what a route has to name in its addresses: the special-purpose
// registries of IANA (RFC 6890). IPv6 outside 2000::/3 is handled by classify.
var nonPublic = classes(
	"10.0.0.0/8", "private (RFC 1918)",
	"100.64.0.0/10", "shared by carriers (RFC 6598)",
	"127.0.0.0/8", "loopback (RFC 1122)",
	"172.16.0.0/12", "private (RFC 1918)",
	"192.0.0.0/24", "for protocols (RFC 6890)",
	"192.0.2.0/24", "documentation (RFC 5737)",
	"192.88.99.0/24", "6to4 relay (RFC 7526)",
	"192.168.0.0/16", "private (RFC 1918)",
	"198.18.0.0/15", "for benchmarks (RFC 2544)",
	"198.51.100.0/24", "documentation (RFC 5737)",
	"203.0.113.0/24", "documentation (RFC 5737)",
	"240.0.0.0/4", "reserved (RFC 1112)",
	"::1/128", "loopback (RFC 4291)",
	"64:ff9b:1::/48", "local NAT64 (RFC 8215)",
	"fc00::/7", "unique local (RFC 4193)",
	"2001::/32", "Teredo (RFC 4380)",
	"2001:db8::/32", "documentation (RFC 3849)",
	"2001::/23", "for protocols (RFC 2928)",
	"2002::/16", "6to4 (RFC 3056)",
	"3fff::/20", "documentation (RFC 9637)",
)

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")       // all that IANA hands out (RFC 4291 §2.4)
	nat64         = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052 §2.1
	localNAT64    = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	teredo        = netip.MustParsePrefix("2001::/32")      // RFC 4380 §4
	sixToFour     = netip.MustParsePrefix("2002::/16")      // RFC 3056 §2
	v4Compatible  = netip.MustParsePrefix("::/96")          // RFC 4291 §2.5.5.1
)

func classes(pairs ...string) []addressClass {
	list := make([]addressClass, 0, len(pairs)/2)
	for pair := range slices.Chunk(pairs, 2) {
		list = append(list, addressClass{netip.MustParsePrefix(pair[0]), pair[1]})
	}
	return list
}

// ErrNever marks an address that no policy can allow.
var ErrNever = errors.New("no policy can allow it")

// AddressAllowed tells, by nil, whether a connection for route may go to addr.
// Public unicast may. Unspecified, link-local, multicast and broadcast addresses
// and the metadata services of clouds never may, nor IPv6 addresses that embed
// one of them (mapped, compatible, NAT64, 6to4, Teredo). Any other non-public
// address, or one that embeds one, may if route.Addresses holds it. The error
// wraps ErrNever where that would not help.
func AddressAllowed(route *Route, addr netip.Addr) error {
	if !addr.IsValid() || addr.Zone() != "" {
		return fmt.Errorf("connecting to %q: it is no address, or has a zone", addr)
	}
	addr = addr.Unmap()
	if name := neverClass(addr); name != "" {
		return fmt.Errorf("connecting to %q: %w, it is %s", addr, ErrNever, name)
	}
	name := nonPublicClass(addr)
	if name == "" || slices.ContainsFunc(route.Addresses, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return nil
	}
	return fmt.Errorf("connecting to %q: it is %s and the route's addresses don't hold it", addr, name)
}

func neverClass(addr netip.Addr) string {
	for _, a := range append(embedded(addr), addr) {
		if name := find(never, a); name != "" {
			return name
		}
	}
	return ""
}

// nonPublicClass gives "" for public unicast. An address of the well-known NAT64
// prefix is what it embeds, because that is how a host with IPv6 only reaches
// the rest of the internet.
func nonPublicClass(addr netip.Addr) string {
	if nat64.Contains(addr) {
		return find(nonPublic, embedded(addr)[0])
	}
	if name := find(nonPublic, addr); name != "" {
		return name
	}
	if addr.Is6() && !globalUnicast.Contains(addr) {
		return "outside of global unicast (RFC 4291)"
	}
	return ""
}

func find(list []addressClass, addr netip.Addr) string {
	for _, c := range list {
		if c.prefix.Contains(addr) {
			return c.name
		}
	}
	return ""
}

// embedded gives the IPv4 addresses to which packets for addr may be translated.
func embedded(addr netip.Addr) []netip.Addr {
	b := addr.As16()
	v4 := func(i, j, k, l int) netip.Addr { return netip.AddrFrom4([4]byte{b[i], b[j], b[k], b[l]}) }
	switch {
	case addr.Is4():
		return nil
	case nat64.Contains(addr), v4Compatible.Contains(addr) && addr != netip.IPv6Loopback():
		return []netip.Addr{v4(12, 13, 14, 15)}
	case localNAT64.Contains(addr):
		// Prefixes of 48, 56, 64 and 96 bits (RFC 6052 §2.2); which one a network
		// uses can't be seen. Read by another layout than its own, an address
		// mostly begins with a zero, which says nothing.
		all := []netip.Addr{v4(6, 7, 9, 10), v4(7, 9, 10, 11), v4(9, 10, 11, 12), v4(12, 13, 14, 15)}
		return slices.DeleteFunc(all, func(a netip.Addr) bool { return a.As4()[0] == 0 })
	case sixToFour.Contains(addr):
		return []netip.Addr{v4(2, 3, 4, 5)}
	case teredo.Contains(addr): // the server, and the client with all bits inverted
		client := netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})
		return []netip.Addr{v4(4, 5, 6, 7), client}
	}
	return nil
}
