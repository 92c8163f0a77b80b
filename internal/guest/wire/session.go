package wire

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Session is one end of a control connection. Its methods may be called
// concurrently, but Serve only once.
type Session struct {
	conn    net.Conn
	timeout time.Duration

	writing chan struct{} // has an element while a frame is written; who waits longest is next
	buffer  []byte        // of the frame that is written
	failed  error         // why nothing can be sent any more

	mu        sync.Mutex
	senders   map[uint32]*Sender
	receivers map[uint32]*Receiver
	err       error // why it ended
	done      chan struct{}
}

// NewSession gives the session over conn, which it closes when it ends. A peer
// that doesn't take a frame within timeout has ended the session; 0 means that it
// may take forever.
func NewSession(conn net.Conn, timeout time.Duration) *Session {
	return &Session{
		conn: conn, timeout: timeout, done: make(chan struct{}), writing: make(chan struct{}, 1),
		senders: map[uint32]*Sender{}, receivers: map[uint32]*Receiver{},
	}
}

// Serve reads frames until the connection ends, the peer breaks a rule or handle
// gives an error, ends the session with that error and returns it (io.EOF where
// the peer just closed). Frames of streams that are open here are dealt with;
// handle is given all others, one after another. It must not wait for the peer,
// and must not keep the payload.
func (s *Session) Serve(handle func(Frame) error) error {
	r := NewReader(s.conn)
	for {
		f, err := r.Read()
		if err == nil {
			err = s.dispatch(f, handle)
		}
		if err != nil {
			s.end(err)
			return s.Err()
		}
	}
}

func (s *Session) dispatch(f Frame, handle func(Frame) error) error {
	s.mu.Lock()
	sender, receiver := s.senders[f.Channel], s.receivers[f.Channel]
	s.mu.Unlock()
	switch {
	case f.Type == Data && receiver != nil:
		return receiver.take(f.Payload)
	case f.Type == End && receiver != nil:
		return receiver.finish()
	case f.Type == Credit && sender != nil:
		return sender.grant(f.Payload)
	case f.Type == Stop && sender != nil:
		sender.Break(ErrStopped)
		return nil
	}
	return handle(f)
}

// Send sends one frame. It waits while the peer doesn't read, but no longer than
// the session's timeout. It panics where the payload is larger than MaxPayload,
// because that is our own mistake.
func (s *Session) Send(f Frame) error {
	if len(f.Payload) > MaxPayload {
		panic(fmt.Sprintf("wire: a payload of %d bytes", len(f.Payload)))
	}
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	if err := cmp.Or(s.failed, s.Err()); err != nil {
		return err
	}
	if s.timeout > 0 {
		s.conn.SetWriteDeadline(time.Now().Add(s.timeout)) // fails only once closed, as the write then does
	}
	s.buffer = f.append(s.buffer[:0])
	if _, err := s.conn.Write(s.buffer); err != nil {
		s.failed = fmt.Errorf("sending on control: %w", err)
		s.unsent(s.failed)
		return s.failed
	}
	return nil
}

// lastWords is how long a peer to which nothing can be sent any more is still
// read from: its last frames, and why it ended, may be under way.
const lastWords = time.Second

// unsent ends the session after a frame that could not be sent: at once where the
// peer takes none, else once Serve has read what the peer had to say.
func (s *Session) unsent(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.end(err)
		return
	}
	s.conn.SetReadDeadline(time.Now().Add(lastWords)) // fails only once closed, and Serve has ended then
}

// OpenSender opens channel for sending. It panics where it is open.
func (s *Session) OpenSender(channel uint32) *Sender {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.senders[channel] != nil {
		panic(fmt.Sprintf("wire: channel %d is open", channel))
	}
	sender := newSender(s, channel)
	s.senders[channel] = sender
	if s.err != nil {
		sender.Break(s.err)
	}
	return sender
}

// OpenReceiver opens channel for receiving. It panics where it is open.
func (s *Session) OpenReceiver(channel uint32) *Receiver {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receivers[channel] != nil {
		panic(fmt.Sprintf("wire: channel %d is open", channel))
	}
	receiver := newReceiver(s, channel)
	s.receivers[channel] = receiver
	if s.err != nil {
		receiver.end(s.err)
	}
	return receiver
}

// Forget closes a channel on this side, without a word to the peer: frames on it
// go to Serve's handle from now on. Its reader gets what has come, then err; its
// writer gets err at once.
func (s *Session) Forget(channel uint32, err error) {
	s.mu.Lock()
	sender, receiver := s.senders[channel], s.receivers[channel]
	delete(s.senders, channel)
	delete(s.receivers, channel)
	s.mu.Unlock()
	if sender != nil {
		sender.Break(err)
	}
	if receiver != nil {
		receiver.end(err)
	}
}

// end ends the session for everybody who waits; the first reason stays.
func (s *Session) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	s.conn.Close()
	for _, sender := range s.senders {
		sender.Break(err)
	}
	for _, receiver := range s.receivers {
		receiver.end(err)
	}
	close(s.done)
}

// Close ends the session.
func (s *Session) Close() { s.end(fmt.Errorf("using control: %w", net.ErrClosed)) }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err tells why the session ended; nil before.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
