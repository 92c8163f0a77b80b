package collector

import (
	"context"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/bot-bottle/action/internal/guest/probe"
)

// Bounds of what is read of a connection: a try sends the nonce at once.
const (
	maxContent  = 512
	readTimeout = 4 * time.Second // also where sixteen guests boot on two processors
	maxReading  = 64              // connections at once; what is more is a hit unread
)

// stream collects connections.
type stream struct {
	set      *Set
	name     string
	listener net.Listener
	tries    []probe.Try
	reading  chan struct{}
	running  sync.WaitGroup
}

func (s *Set) newStream(name string, l net.Listener, tries []probe.Try) *stream {
	c := &stream{set: s, name: name, listener: l, tries: tries, reading: make(chan struct{}, maxReading)}
	c.running.Go(c.accept)
	return c
}

func (c *stream) describe() probe.Collector {
	return probe.Collector{Name: c.name, Address: c.listener.Addr().String(), Tries: c.tries}
}

// accept notes connections in the order in which they came; what they carry is
// read side by side.
func (c *stream) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return // closed; anything else shows as a touch that doesn't come
		}
		select {
		case c.reading <- struct{}{}:
			c.set.begins(c.name)
			c.running.Go(func() { c.read(conn) })
		default:
			c.set.arrived(c.name, conn.RemoteAddr().String(), nil)
			conn.Close()
		}
	}
}

func (c *stream) read(conn net.Conn) {
	defer func() { <-c.reading }()
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(readTimeout))
	content := make([]byte, maxContent)
	n, _ := conn.Read(content)
	c.set.ends(c.name, conn.RemoteAddr().String(), content[:n])
}

// touch connects as the host can: to what listens on all addresses, by the
// loopback.
func (c *stream) touch(ctx context.Context, _ int) error {
	address := c.listener.Addr()
	conn, err := new(net.Dialer).DialContext(ctx, address.Network(), dialled(address))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(c.set.token))
	return err
}

func (c *stream) close() {
	c.listener.Close()
	c.running.Wait()
}

// dialled gives the address as it can be connected to everywhere; an unspecified
// one is the loopback's.
func dialled(a net.Addr) string {
	switch a := a.(type) {
	case *net.TCPAddr:
		if a.IP.IsUnspecified() {
			return (&net.TCPAddr{IP: loopbackOf(a.IP), Port: a.Port}).String()
		}
	case *net.UDPAddr:
		if a.IP.IsUnspecified() {
			return (&net.UDPAddr{IP: loopbackOf(a.IP), Port: a.Port}).String()
		}
	}
	return a.String()
}

func loopbackOf(unspecified net.IP) net.IP {
	if unspecified.To4() != nil {
		return net.IPv4(127, 0, 0, 1)
	}
	return net.IPv6loopback
}

func listenAbstract(ctx context.Context, address string) (net.Listener, error) {
	if runtime.GOOS != "linux" {
		return nil, errAbsent
	}
	return new(net.ListenConfig).Listen(ctx, "unix", address)
}

// plantSocket binds a socket that goes when it is closed.
func plantSocket(ctx context.Context, path string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
