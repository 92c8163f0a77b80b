package escape

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/guest/probe"
)

// more are tries of the suite's that the proof doesn't make: the proof has one of
// each class, the suite some of what people try.
var more = map[string][]probe.Try{
	"N03": tcp("192.0.2.1:443", "198.51.100.7:443", "[2001:db8::1]:443", "203.0.113.9:8443"),
	"N04": tcp("192.0.2.1:22", "192.0.2.1:25", "192.0.2.1:53", "192.0.2.1:5432", "192.0.2.1:6379", "192.0.2.1:8080"),
	"N09": tcp("[2001:db8::1]:443", "[fd00::1]:443", "[fd00:ec2::254]:80", "[2001:db8::1]:53"),
	"N12": tcp("10.0.0.1:443", "10.0.2.2:80", "172.16.0.1:443", "172.17.0.1:2375", "192.168.0.1:80", "192.168.1.1:53", "100.64.0.1:443"),
	"N13": tcp("100.96.0.1:443", "100.96.0.1:22", "10.0.2.2:22", "192.168.65.2:443", "172.17.0.1:22", "169.254.169.254:80"),
	"D04": {{Kind: probe.KindDNSTCP, Target: "192.0.2.53:53"}, {Kind: probe.KindDNSTCP, Target: "198.51.100.53:53"}},
	"D07": tcp("192.0.2.53:853"),
}

func tcp(targets ...string) []probe.Try {
	var tries []probe.Try
	for _, t := range targets {
		tries = append(tries, probe.Try{Kind: probe.KindTCP, Target: t})
	}
	return tries
}

// paths gives the tries of a case: the suite's own, and those of the proof, the
// collectors' among them, that belong to it.
func paths(id string, collected []probe.Try) []probe.Try {
	tries := slices.Clone(more[id])
	for _, t := range append(slices.Clone(collected), probe.Outside()...) {
		if caseOf(t) == id && !slices.Contains(tries, t) {
			tries = append(tries, t)
		}
	}
	return tries
}

// caseOf says to which case a try of the proof belongs; "" to none of the suite's.
func caseOf(t probe.Try) string {
	switch t.Kind {
	case probe.KindTCP:
		if hosts(t) {
			return "N14"
		}
	case probe.KindUDPConnect, probe.KindUDPSendto, probe.KindUDPSendmsg:
		if named := namesPort(t); named != "" {
			return named
		}
		return "N07"
	case probe.KindPing, probe.KindRaw:
		return "N08"
	case probe.KindPacket, probe.KindVsock, probe.KindFamily:
		return "N17"
	case probe.KindDNS, probe.KindResolver:
		return "D03"
	case probe.KindUnix:
		if strings.Contains(t.Target, "canary-") {
			return "F14"
		}
		return "F03"
	case probe.KindFile:
		return "F14"
	}
	return ""
}

// hosts tells whether a TCP try goes to an address that could be the host's: one
// for documentation is nobody's.
func hosts(t probe.Try) bool {
	at, err := netip.ParseAddrPort(t.Target)
	if err != nil {
		return false
	}
	for _, p := range []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"} {
		if netip.MustParsePrefix(p).Contains(at.Addr()) {
			return false
		}
	}
	return true
}

// namesPort tells a datagram to a port of names from others.
func namesPort(t probe.Try) string {
	at, err := netip.ParseAddrPort(t.Target)
	if err == nil && slices.Contains([]uint16{5353, 5355, 137}, at.Port()) {
		return "D07"
	}
	return ""
}
