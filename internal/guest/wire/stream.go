package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// Sender is the sending end of a stream. It is an io.WriteCloser.
type Sender struct {
	w       *Writer
	channel uint32

	mu     sync.Mutex
	change sync.Cond
	credit int64
	err    error // why nothing can be sent any more
	ended  bool
}

// NewSender gives the sending end of channel.
func NewSender(w *Writer, channel uint32) *Sender {
	s := &Sender{w: w, channel: channel, credit: Window}
	s.change.L = &s.mu
	return s
}

// Write sends p, waiting for credit.
func (s *Sender) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		part, err := s.take(len(p))
		if err != nil {
			return n, err
		}
		if err := s.w.Write(Frame{Data, s.channel, p[:part]}); err != nil {
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
	for s.credit == 0 && s.err == nil && !s.ended {
		s.change.Wait()
	}
	if s.err != nil {
		return 0, s.err
	}
	if s.ended {
		return 0, io.ErrClosedPipe
	}
	part := min(int64(want), s.credit, MaxPayload)
	s.credit -= part
	return int(part), nil
}

// Grant takes a Credit frame's payload.
func (s *Sender) Grant(payload []byte) error {
	if len(payload) != 4 {
		return fmt.Errorf("%w: a credit of %d bytes", ErrProtocol, len(payload))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credit += int64(binary.BigEndian.Uint32(payload))
	if s.credit > Window {
		return fmt.Errorf("%w: more credit than the window", ErrProtocol)
	}
	s.change.Broadcast()
	return nil
}

// Close ends the stream.
func (s *Sender) Close() error {
	s.mu.Lock()
	already := s.ended || s.err != nil
	s.ended = true
	s.change.Broadcast()
	s.mu.Unlock()
	if already {
		return nil
	}
	return s.w.Write(Frame{End, s.channel, nil})
}

// Break makes every Write fail with err.
func (s *Sender) Break(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.change.Broadcast()
}

// Receiver is the receiving end of a stream. It is an io.Reader.
type Receiver struct {
	w       *Writer
	channel uint32

	mu     sync.Mutex
	change sync.Cond
	buffer []byte
	owed   int // read, and not granted again yet
	err    error
}

// NewReceiver gives the receiving end of channel.
func NewReceiver(w *Writer, channel uint32) *Receiver {
	r := &Receiver{w: w, channel: channel}
	r.change.L = &r.mu
	return r
}

// Take takes a Data frame's payload. More than the window is the peer's fault.
func (r *Receiver) Take(p []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil // nobody reads; it gets no more credit either
	}
	if len(r.buffer)+r.owed+len(p) > Window {
		return fmt.Errorf("%w: more data than the window", ErrProtocol)
	}
	r.buffer = append(r.buffer, p...)
	r.change.Broadcast()
	return nil
}

// Break makes Read give err once what has come is read.
func (r *Receiver) Break(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	r.change.Broadcast()
}

// Read reads what has come, waiting for it, and grants credit for it.
func (r *Receiver) Read(p []byte) (int, error) {
	r.mu.Lock()
	for len(r.buffer) == 0 && r.err == nil {
		r.change.Wait()
	}
	if len(r.buffer) == 0 {
		defer r.mu.Unlock()
		return 0, r.err
	}
	n := copy(p, r.buffer)
	r.buffer = r.buffer[n:]
	r.owed += n
	grant := 0
	if r.owed >= Window/2 || len(r.buffer) == 0 {
		grant, r.owed = r.owed, 0
	}
	open := r.err == nil
	r.mu.Unlock()
	if grant > 0 && open {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(grant))
		if err := r.w.Write(Frame{Credit, r.channel, b[:]}); err != nil {
			return n, nil // the session's reader tells
		}
	}
	return n, nil
}
