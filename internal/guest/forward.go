package guest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

const (
	// maxConnections bounds what one forwarder has open; more wait to be
	// accepted.
	maxConnections = 512

	// linger is how long a client may go on sending, or keep the connection,
	// after the door has said its last. Idle times before that are the
	// door's business.
	linger = 30 * time.Second

	// acceptPause is taken where nothing can be accepted, for want of
	// descriptors: others get the time to close theirs.
	acceptPause = 10 * time.Millisecond
)

// forwarders are the listeners on the alias.
type forwarders struct{ listeners []net.Listener }

// open listens on the alias and pipes each connection to the door's socket.
func (s *forwarders) open(alias netip.Addr, f Forward) error {
	address := netip.AddrPortFrom(alias, f.Port)
	l, err := net.Listen("tcp4", address.String())
	if err != nil {
		return fmt.Errorf("listening on %s: %w", address, err)
	}
	s.listeners = append(s.listeners, l)
	go serveForward(l, f.Socket)
	return nil
}

func (s *forwarders) close() {
	for _, l := range s.listeners {
		l.Close()
	}
}

// serveForward serves until l is closed.
func serveForward(l net.Listener, socket string) {
	slots := make(chan struct{}, maxConnections)
	for {
		slots <- struct{}{}
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			<-slots
			time.Sleep(acceptPause)
			continue
		}
		go func() {
			defer func() { <-slots }()
			connect(c.(*net.TCPConn), socket)
		}()
	}
}

// connect pipes both ways. The end of one direction is passed on by itself; an
// error in one, a client that resets for instance, ends both.
func connect(in *net.TCPConn, socket string) {
	defer in.Close()
	c, err := net.Dial("unix", socket)
	if err != nil {
		return // the door is gone, and the job with it
	}
	out := c.(*net.UnixConn)
	defer out.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := io.Copy(out, in); err != nil || out.CloseWrite() != nil {
			out.Close()
		}
	}()
	if _, err := io.Copy(in, out); err != nil || in.CloseWrite() != nil {
		in.Close()
	}
	in.SetReadDeadline(time.Now().Add(linger))
	<-done
}
