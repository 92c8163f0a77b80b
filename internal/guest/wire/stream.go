package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Window is how many bytes of one stream may be under way. Over a Unix socket
// with its round trips of tens of microseconds it doesn't slow a stream down.
const Window = 256 << 10

// ErrStopped is what a Sender's Write gives when the receiver doesn't want the
// rest.
var ErrStopped = errors.New("the receiver has stopped the stream")

// Sender is the sending end of a stream.
type Sender struct {
	session *Session
	channel uint32

	mu     sync.Mutex
	change sync.Cond
	credit int64 // never more than Window
	err    error // why nothing can be sent any more
}

func newSender(s *Session, channel uint32) *Sender {
	sender := &Sender{session: s, channel: channel, credit: Window}
	sender.change.L = &sender.mu
	return sender
}

// Write sends p, waiting for credit. The error is ErrStopped where the receiver
// has had enough, and the session's where that has ended.
func (s *Sender) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		part, err := s.take(len(p))
		if err != nil {
			return n, err
		}
		if err := s.session.Send(Frame{Data, s.channel, p[:part]}); err != nil {
			return n, err
		}
		n, p = n+part, p[part:]
	}
	return n, nil
}

// take waits for credit and takes up to want of it.
func (s *Sender) take(want int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.credit == 0 && s.err == nil {
		s.change.Wait()
	}
	if s.err != nil {
		return 0, s.err
	}
	part := min(int64(want), s.credit, MaxPayload)
	s.credit -= part
	return int(part), nil
}

// grant takes a Credit frame's payload.
func (s *Sender) grant(payload []byte) error {
	if len(payload) != 4 {
		return fmt.Errorf("%w: a credit of %d bytes", ErrProtocol, len(payload))
	}
	more := int64(binary.BigEndian.Uint32(payload))
	s.mu.Lock()
	defer s.mu.Unlock()
	if more == 0 || s.credit+more > Window {
		return fmt.Errorf("%w: a credit of %d for %d sent", ErrProtocol, more, Window-s.credit)
	}
	s.credit += more
	s.change.Broadcast()
	return nil
}

// Close ends the stream, if it isn't stopped or broken.
func (s *Sender) Close() error {
	s.mu.Lock()
	over := s.err != nil
	s.mu.Unlock()
	s.Break(io.ErrClosedPipe)
	if over {
		return nil
	}
	return s.session.Send(Frame{Type: End, Channel: s.channel})
}

// Break makes every Write fail with err, also one that waits; the first err
// stays.
func (s *Sender) Break(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.change.Broadcast()
}

// Receiver is the receiving end of a stream.
type Receiver struct {
	session *Session
	channel uint32

	mu      sync.Mutex
	change  sync.Cond
	buffer  bytes.Buffer
	allowed int   // bytes that the peer may still send; with buffer and owed it makes Window
	owed    int   // read, and not granted again yet
	ended   bool  // the peer has ended the stream
	told    bool  // the peer was told to stop
	err     error // what Read gives once the buffer is empty
}

func newReceiver(s *Session, channel uint32) *Receiver {
	r := &Receiver{session: s, channel: channel, allowed: Window}
	r.change.L = &r.mu
	return r
}

// take takes a Data frame's payload.
func (r *Receiver) take(p []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended:
		return fmt.Errorf("%w: data after the end", ErrProtocol)
	case len(p) == 0:
		return fmt.Errorf("%w: data of 0 bytes", ErrProtocol)
	case len(p) > r.allowed:
		return fmt.Errorf("%w: %d bytes of data where %d are granted", ErrProtocol, len(p), r.allowed)
	}
	r.allowed -= len(p)
	if r.err == nil { // else nobody reads, and no credit is given for it
		r.buffer.Write(p)
		r.change.Broadcast()
	}
	return nil
}

// finish takes an End frame.
func (r *Receiver) finish() error {
	r.mu.Lock()
	already := r.ended
	r.ended = true
	r.mu.Unlock()
	if already {
		return fmt.Errorf("%w: two ends of one stream", ErrProtocol)
	}
	r.end(io.EOF)
	return nil
}

// end makes Read give err once what has come is read; the first err stays.
func (r *Receiver) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	r.change.Broadcast()
}

// Read reads what has come, waiting for it, and grants credit for it. The error
// is io.EOF at the end of the stream, and the session's where that has ended.
func (r *Receiver) Read(p []byte) (int, error) {
	n, grant, err := r.read(p)
	if grant > 0 {
		payload := binary.BigEndian.AppendUint32(nil, uint32(grant))
		r.session.Send(Frame{Credit, r.channel, payload}) // where it fails the next Read tells
	}
	return n, err
}

// read is Read without the granting. Credit is given by half windows: the sender
// still has the other half meanwhile.
func (r *Receiver) read(p []byte) (n, grant int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.buffer.Len() == 0 && r.err == nil {
		r.change.Wait()
	}
	if r.buffer.Len() == 0 {
		return 0, 0, r.err
	}
	n, _ = r.buffer.Read(p)
	r.owed += n
	if r.owed >= Window/2 && r.err == nil {
		grant, r.owed = r.owed, 0
		r.allowed += grant
	}
	return n, grant, nil
}

// Drop throws away what has come and what comes; Read gives ErrStopped from now
// on, unless the stream had ended before. The peer isn't told.
func (r *Receiver) Drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = ErrStopped
	}
	r.buffer = bytes.Buffer{}
	r.change.Broadcast()
}

// Stop drops the stream and tells the peer, once, that the rest isn't wanted.
func (r *Receiver) Stop() error {
	r.Drop()
	r.mu.Lock()
	tell := !r.ended && !r.told && errors.Is(r.err, ErrStopped)
	r.told = r.told || tell
	r.mu.Unlock()
	if !tell {
		return nil
	}
	return r.session.Send(Frame{Type: Stop, Channel: r.channel})
}
