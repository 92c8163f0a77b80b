package guest

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// maxConnections bounds what one forwarder has open; more wait to be accepted.
const maxConnections = 512

// forward listens on the alias and pipes each connection to the door's socket.
func forward(alias string, f Forward) error {
	address := net.JoinHostPort(alias, strconv.Itoa(int(f.Port)))
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", address, err)
	}
	go serveForward(l, f.Socket)
	return nil
}

func serveForward(l net.Listener, socket string) {
	slots := make(chan struct{}, maxConnections)
	for {
		slots <- struct{}{}
		c, err := l.Accept()
		if err != nil {
			<-slots
			time.Sleep(10 * time.Millisecond) // out of files: give others time to close theirs
			continue
		}
		go func() {
			defer func() { <-slots }()
			connect(c.(*net.TCPConn), socket)
		}()
	}
}

// connect pipes both ways and passes on the end of each direction by itself.
func connect(in *net.TCPConn, socket string) {
	defer in.Close()
	c, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	out := c.(*net.UnixConn)
	defer out.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(out, in)
		out.CloseWrite()
	}()
	io.Copy(in, out)
	in.CloseWrite()
	<-done
}
