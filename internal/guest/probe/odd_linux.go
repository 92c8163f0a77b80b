package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// echo sends an ICMP echo request with the nonce, by a ping socket or a raw one.
func echo(t Try, nonce string) (*attempt, error) {
	ip, err := netip.ParseAddr(t.Target)
	if err != nil {
		return finished(fmt.Errorf("reading the target %q: not an address", t.Target))
	}
	to, err := addressOf(netip.AddrPortFrom(ip, 0))
	if err != nil {
		return finished(err)
	}
	kind, protocol := unix.SOCK_DGRAM, unix.IPPROTO_ICMP
	if t.Kind == KindRaw {
		kind = unix.SOCK_RAW
	}
	if to.family == unix.AF_INET6 {
		protocol = unix.IPPROTO_ICMPV6
	}
	fd, err := socket(to.family, kind, protocol)
	if err != nil {
		return finished(err)
	}
	if err := unix.Sendto(fd, echoRequest(to.family, nonce), 0, to.sa); err != nil {
		unix.Close(fd)
		return finished(err)
	}
	// A raw socket is given all ICMP of the guest's, such as what tells other
	// tries of a refusal; only what quotes the nonce is an answer.
	quotes := func(b []byte) bool { return bytes.Contains(b, []byte(nonce)) }
	return &attempt{fd: fd, events: unix.POLLIN, look: func() error { return receive(fd, quotes) }}, nil
}

// ICMP echo requests (RFC 792, RFC 4443).
const (
	echoRequest4 = 8
	echoRequest6 = 128
)

// echoRequest gives one with the nonce as its data. The kernel fills in the
// checksum of ICMPv6.
func echoRequest(family int, nonce string) []byte {
	message := append(make([]byte, 8), nonce...)
	message[0] = echoRequest6
	if family == unix.AF_INET {
		message[0] = echoRequest4
		binary.BigEndian.PutUint16(message[2:], checksum(message))
	}
	return message
}

// checksum is the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		word := uint32(b[i]) << 8
		if i+1 < len(b) {
			word |= uint32(b[i+1])
		}
		sum += word
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// experimental is the EtherType that IEEE 802 leaves to local experiments.
const experimental = 0x88b5

// frames sends a broadcast frame on every interface but the loopback. Where
// there is none, one to no interface, so that the error is the kernel's.
func frames(nonce string) (*attempt, error) {
	protocol := int(binary.BigEndian.Uint16([]byte{experimental & 0xff, experimental >> 8}))
	fd, err := socket(unix.AF_PACKET, unix.SOCK_DGRAM, protocol)
	if err != nil {
		return finished(err)
	}
	defer unix.Close(fd)
	indices, err := otherInterfaces()
	if err != nil {
		return finished(fmt.Errorf("listing interfaces: %v", err))
	}
	var refusal error
	for _, index := range indices {
		to := &unix.SockaddrLinklayer{Protocol: uint16(protocol), Ifindex: index, Halen: 6, Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
		if refusal = unix.Sendto(fd, []byte(nonce), 0, to); refusal == nil {
			break
		}
	}
	return finished(refusal)
}

// otherInterfaces gives the indices of those that are not the loopback, or 0,
// which is no interface's.
func otherInterfaces() ([]int, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var indices []int
	for _, i := range list {
		if i.Flags&net.FlagLoopback == 0 {
			indices = append(indices, i.Index)
		}
	}
	if len(indices) == 0 {
		return []int{0}, nil
	}
	return indices, nil
}

// connectVsock connects to a CID and port (vsock(7)).
func connectVsock(target, nonce string) (*attempt, error) {
	cid, port, err := splitNumbers(target)
	if err != nil {
		return finished(err)
	}
	fd, err := socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)
	if err != nil {
		return finished(err)
	}
	err = unix.Connect(fd, &unix.SockaddrVM{CID: cid, Port: port})
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return finished(err)
	}
	return &attempt{fd: fd, events: unix.POLLOUT, look: func() error { return sendConnected(fd, []byte(nonce)) }}, nil
}

// families are what outsideFamilies names: family, type and protocol (socket(2)).
var families = map[string][3]int{
	"bluetooth": {unix.AF_BLUETOOTH, unix.SOCK_RAW, unix.BTPROTO_HCI},
	"can":       {unix.AF_CAN, unix.SOCK_RAW, unix.CAN_RAW},
	"nfc":       {unix.AF_NFC, unix.SOCK_SEQPACKET, 0},
	"qipcrtr":   {unix.AF_QIPCRTR, unix.SOCK_DGRAM, 0},
	"rds":       {unix.AF_RDS, unix.SOCK_SEQPACKET, 0},
	"sctp":      {unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP},
	"smc":       {unix.AF_SMC, unix.SOCK_STREAM, 0}, // falls back to TCP
	"tipc":      {unix.AF_TIPC, unix.SOCK_RDM, 0},
	"xdp":       {unix.AF_XDP, unix.SOCK_RAW, 0},
}

func openFamily(name string) (*attempt, error) {
	f, ok := families[name]
	if !ok {
		return finished(fmt.Errorf("unknown family %q", name))
	}
	fd, err := socket(f[0], f[1], f[2])
	if err != nil {
		return finished(err)
	}
	unix.Close(fd)
	return finished(nil)
}
