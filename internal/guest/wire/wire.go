// Package wire is the protocol of the control connection between the supervisor
// and a guest's process 1: frames, and streams with credit.
//
// A frame is the length of what follows it (4 bytes, big endian, at most
// MaxFrame), a type (1 byte), a channel (4 bytes, big endian) and the payload. A
// stream is one channel in one direction; its sender may have Window bytes under
// way and goes on when the receiver has granted more, so that one slow reader
// stops its own stream only.
//
// The peer is never trusted: memory is bounded by Window for each stream that is
// open here, and whatever breaks a rule ends the session.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Bounds of the protocol.
const (
	MaxFrame = 64 << 10 // of type, channel and payload together
	Window   = 256 << 10
	header   = 5 // type and channel
	// MaxPayload is what fits into one frame.
	MaxPayload = MaxFrame - header
)

// Type says what a frame is.
type Type uint8

// The types of frames.
const (
	Setup    Type = 1 + iota // supervisor: what the guest is to bring up (JSON)
	Ready                    // guest: it is up; or, with a payload, why not
	Exec                     // supervisor: run something (JSON)
	Started                  // guest: it runs
	Signal                   // supervisor: payload is one byte, the signal
	Exit                     // guest: it ended (JSON)
	Data                     // a part of a stream
	End                      // the stream is over
	Credit                   // payload is 4 bytes: so much more may be sent
	Shutdown                 // supervisor: power off
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

// Read reads one frame. The error is io.EOF where the peer ended between frames.
func Read(r io.Reader) (Frame, error) {
	var head [4 + header]byte
	if _, err := io.ReadFull(r, head[:4]); err != nil {
		return Frame{}, err
	}
	length := binary.BigEndian.Uint32(head[:4])
	if length < header || length > MaxFrame {
		return Frame{}, fmt.Errorf("%w: a frame of %d bytes", ErrProtocol, length)
	}
	if _, err := io.ReadFull(r, head[4:]); err != nil {
		return Frame{}, unexpected(err)
	}
	f := Frame{Type: Type(head[4]), Channel: binary.BigEndian.Uint32(head[5:])}
	if f.Type == 0 || f.Type >= last {
		return Frame{}, fmt.Errorf("%w: a frame of type %d", ErrProtocol, f.Type)
	}
	f.Payload = make([]byte, length-header)
	_, err := io.ReadFull(r, f.Payload)
	return f, unexpected(err)
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Writer writes frames; it is safe for concurrent use.
type Writer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriter gives a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write writes f in one call of the writer below. It panics where the payload is
// larger than MaxPayload: that is our own mistake.
func (w *Writer) Write(f Frame) error {
	if len(f.Payload) > MaxPayload {
		panic(fmt.Sprintf("wire: a payload of %d bytes", len(f.Payload)))
	}
	b := make([]byte, 4+header, 4+header+len(f.Payload))
	binary.BigEndian.PutUint32(b, uint32(header+len(f.Payload)))
	b[4] = byte(f.Type)
	binary.BigEndian.PutUint32(b[5:], f.Channel)
	b = append(b, f.Payload...)
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.w.Write(b)
	return err
}
