package policy

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// endsInNumber tells whether some parser would take name for an IPv4 address:
// its last label is a number. No public name ends so (WHATWG URL §3.5).
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if rest, hex := strings.CutPrefix(last, "0x"); hex {
		return strings.Trim(rest, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// parseIPv4 reads s, in lower case, as inet_aton(3) does: one to four parts in
// decimal, octal or hexadecimal, the last of which fills what the others leave.
func parseIPv4(s string) (netip.Addr, error) {
	bad := errors.New("it looks like an IPv4 address but isn't one")
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, bad
	}
	var value uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (4 - i)
		}
		n, ok := parsePart(part)
		if !ok || n >= 1<<bits {
			return netip.Addr{}, bad
		}
		value = value<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), nil
}

func parsePart(s string) (n uint64, ok bool) {
	base, digits := 10, s
	if rest, hex := strings.CutPrefix(s, "0x"); hex {
		base, digits = 16, rest
	} else if len(s) > 1 && s[0] == '0' {
		base, digits = 8, s[1:]
	}
	if strings.Trim(digits, "0123456789abcdef") != "" {
		return 0, false // ParseUint would take a sign or an underscore
	}
	n, err := strconv.ParseUint(digits, base, 32)
	return n, err == nil
}
