package gitgate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxPacket is the longest pkt-line, with its length (gitprotocol-common(5)).
const maxPacket = 65520

// errPacket says that what came is no pkt-line.
var errPacket = errors.New("it is not of git's form")

// packet is one pkt-line. A special one (flush, delimiter, end of response) has no
// payload.
type packet struct {
	special bool
	payload []byte
}

// readPacket reads one pkt-line.
func readPacket(r *bufio.Reader) (packet, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return packet{}, fmt.Errorf("reading a packet: %w", err)
	}
	n, err := strconv.ParseUint(string(length[:]), 16, 16)
	switch {
	case err != nil || n == 3 || n > maxPacket:
		return packet{}, fmt.Errorf("reading a packet of length %q: %w", length, errPacket)
	case n < 4:
		return packet{special: true}, nil
	}
	payload := make([]byte, n-4)
	if _, err := io.ReadFull(r, payload); err != nil {
		return packet{}, fmt.Errorf("reading a packet: %w", err)
	}
	return packet{payload: payload}, nil
}

const flushPacket = "0000"

// appendPacket adds payload as one pkt-line; it has to fit.
func appendPacket(b []byte, payload string) []byte {
	return append(fmt.Appendf(b, "%04x", len(payload)+4), payload...)
}
