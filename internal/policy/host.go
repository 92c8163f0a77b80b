package policy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// maxHostBytes bounds what is parsed at all. A name has at most 253 bytes in
// its ASCII form (RFC 1035 §2.3.4), and Unicode spells a character in at most
// four.
const maxHostBytes = 1024

// Host is one host in the only spelling that this program compares: lower-case
// ASCII without a trailing dot, or an IP address. It is made by CanonicalHost,
// compares with ==, and its zero value is no host.
type Host struct {
	name string
	addr netip.Addr
}

// String gives the canonical spelling; an IPv6 address has no brackets.
func (h Host) String() string {
	if h.addr.IsValid() {
		return h.addr.String()
	}
	return h.name
}

// Addr gives the address if the host is one rather than a name.
func (h Host) Addr() (addr netip.Addr, ok bool) { return h.addr, h.addr.IsValid() }

// IsZero tells whether h is no host at all.
func (h Host) IsZero() bool { return h == Host{} }

// Authority gives "host:port", with brackets around an IPv6 address.
func (h Host) Authority(port uint16) string {
	return net.JoinHostPort(h.String(), strconv.Itoa(int(port)))
}

// CanonicalHost gives the one spelling of a host without port. It folds case,
// IDNA (UTS #46), one trailing dot and brackets, and reads every spelling of an
// IPv4 address that inet_aton(3) takes (decimal, octal, hexadecimal, short), as
// well as IPv4-mapped IPv6. It refuses user info, zones, percent signs, control
// bytes, spaces and everything else that is no host.
func CanonicalHost(raw string) (Host, error) {
	h, err := canonicalHost(raw)
	if err != nil {
		return Host{}, fmt.Errorf("reading host %.80q: %w", raw, err)
	}
	return h, nil
}

func canonicalHost(raw string) (Host, error) {
	switch {
	case raw == "":
		return Host{}, errors.New("it is empty")
	case len(raw) > maxHostBytes:
		return Host{}, errors.New("it is too long")
	case strings.HasPrefix(raw, "["):
		inner, closed := strings.CutSuffix(raw[1:], "]")
		if !closed || !strings.Contains(inner, ":") {
			return Host{}, errors.New("brackets are for an IPv6 address")
		}
		return ipv6(inner)
	case strings.Contains(raw, ":"):
		return ipv6(raw)
	}
	ascii, err := asciiName(raw)
	if err != nil {
		return Host{}, err
	}
	name := strings.TrimSuffix(strings.ToLower(ascii), ".")
	if endsInNumber(name) {
		addr, err := parseIPv4(name)
		return Host{addr: addr}, err
	}
	return Host{name: name}, checkName(name)
}

func ipv6(s string) (Host, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return Host{}, errors.New("it is not an IPv6 address")
	}
	if addr.Zone() != "" {
		return Host{}, errors.New("it has a zone")
	}
	return Host{addr: addr.Unmap()}, nil
}

// checkName checks the result of the mapping (RFC 1123 §2.1, and underscores).
func checkName(name string) error {
	if len(name) > 253 {
		return errors.New("it has more than 253 bytes")
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return errors.New("it has a label of no or more than 63 bytes")
		}
		if label[0] == '-' || label[len(label)-1] == '-' {
			return errors.New("it has a label with a hyphen at an end")
		}
		if i := strings.IndexFunc(label, notInName); i >= 0 {
			return fmt.Errorf("%q can't be in a host", label[i])
		}
	}
	return nil
}

func notInName(r rune) bool {
	return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_')
}

// ParseAuthority splits "host" or "host:port" as it stands in a request target
// or a Host field, and canonicalises it. Without a port it gives defaultPort; if
// that is 0 a port is required. A port is written in plain decimal, from 1 to
// 65535. User info is refused.
func ParseAuthority(raw string, defaultPort uint16) (Host, uint16, error) {
	host, digits, hasPort := cutPort(raw)
	if !hasPort && defaultPort == 0 {
		return Host{}, 0, fmt.Errorf("reading authority %.80q: it has no port", raw)
	}
	port := defaultPort
	if hasPort {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || n == 0 || digits[0] == '0' || digits[0] == '+' {
			return Host{}, 0, fmt.Errorf("reading authority %.80q: its port is not a number from 1 to 65535", raw)
		}
		port = uint16(n)
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return Host{}, 0, fmt.Errorf("reading authority %.80q: an IPv6 address needs brackets", raw)
	}
	h, err := CanonicalHost(host)
	return h, port, err
}

func cutPort(raw string) (host, digits string, hasPort bool) {
	i := strings.LastIndexByte(raw, ':')
	if i < 0 || strings.HasSuffix(raw, "]") {
		return raw, "", false
	}
	return raw[:i], raw[i+1:], true
}
