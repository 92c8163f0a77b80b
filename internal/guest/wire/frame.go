package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Bounds of the protocol, in bytes.
const (
	MaxFrame = 64 << 10 // of type, channel and payload together

	// MaxPayload is what fits into one frame.
	MaxPayload = MaxFrame - headerSize

	lengthSize = 4
	headerSize = 5 // type and channel
)

// Type says what a frame is.
type Type uint8

// The types of frames, and who sends them. JSON payloads are defined by package
// guest.
const (
	Setup    Type = 1 + iota // supervisor: what the guest is to bring up (JSON)
	Ready                    // guest: it is up; or, with a payload, why not
	Exec                     // supervisor: run something (JSON)
	Exit                     // guest: it ended (JSON)
	Signal                   // supervisor: one byte, the signal's number
	KillAll                  // supervisor: end every process but process 1
	Killed                   // guest: that is done; or, with a payload, why not
	Shutdown                 // supervisor: end the guest
	Data                     // sender: a part of a stream, never empty
	End                      // sender: the stream is over
	Stop                     // receiver: the rest of the stream is not wanted
	Credit                   // receiver: 4 bytes, so many more may be sent, never 0
	last
)

// ErrProtocol is wrapped by every error that the peer caused by breaking a rule.
var ErrProtocol = errors.New("the peer broke the control protocol")

// Frame is one frame.
type Frame struct {
	Type    Type
	Channel uint32
	Payload []byte
}

// append adds the encoded frame to b.
func (f Frame) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(headerSize+len(f.Payload)))
	b = append(b, byte(f.Type))
	b = binary.BigEndian.AppendUint32(b, f.Channel)
	return append(b, f.Payload...)
}

// Reader reads frames.
type Reader struct {
	r       *bufio.Reader
	payload []byte
}

// NewReader gives a Reader of r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, MaxFrame+lengthSize), payload: make([]byte, MaxPayload)}
}

// Read reads one frame; its payload is valid until the next call. The error is
// io.EOF where the peer ended between frames, and wraps ErrProtocol where it sent
// what is no frame.
func (r *Reader) Read() (Frame, error) {
	var head [lengthSize + headerSize]byte
	if _, err := io.ReadFull(r.r, head[:lengthSize]); err != nil {
		return Frame{}, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length < headerSize || length > MaxFrame {
		return Frame{}, fmt.Errorf("%w: a frame of %d bytes", ErrProtocol, length)
	}
	if _, err := io.ReadFull(r.r, head[lengthSize:]); err != nil {
		return Frame{}, unexpected(err)
	}
	f := Frame{
		Type:    Type(head[lengthSize]),
		Channel: binary.BigEndian.Uint32(head[lengthSize+1:]),
		Payload: r.payload[:length-headerSize],
	}
	if f.Type == 0 || f.Type >= last {
		return Frame{}, fmt.Errorf("%w: a frame of type %d", ErrProtocol, f.Type)
	}
	if _, err := io.ReadFull(r.r, f.Payload); err != nil {
		return Frame{}, unexpected(err)
	}
	return f, nil
}

// unexpected is for a frame that has begun: its end is not the end of the
// session.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
