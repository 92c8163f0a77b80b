package guest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/testenv"
)

// limit is how long a test waits for what has to happen.
const limit = 20 * time.Second

// forwarder gives the address of one that leads to door.
func forwarder(t *testing.T, door string) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go serveForward(l, door)
	return l.Addr().String()
}

// door listens where a forwarder leads to.
func door(t *testing.T) (path string, accept func() *net.UnixConn) {
	t.Helper()
	path = filepath.Join(testenv.ShortDir(t), "door.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return path, func() *net.UnixConn {
		t.Helper()
		l.SetDeadline(time.Now().Add(limit))
		c, err := l.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(limit))
		t.Cleanup(func() { c.Close() })
		return c
	}
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(limit))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func TestEachDirectionOfAForwardEndsByItself(t *testing.T) {
	path, accept := door(t)
	client := dial(t, forwarder(t, path))
	served := accept()
	client.Write([]byte("question"))
	client.CloseWrite()
	if got, err := io.ReadAll(served); string(got) != "question" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	answer := bytes.Repeat([]byte("answer"), 100_000)
	go func() {
		served.Write(answer)
		served.CloseWrite()
	}()
	if got, err := io.ReadAll(client); !bytes.Equal(got, answer) || err != nil {
		t.Errorf("got %d of %d bytes, %v", len(got), len(answer), err)
	}
}

func TestDoorMayEndBeforeTheClient(t *testing.T) {
	path, accept := door(t)
	client := dial(t, forwarder(t, path))
	served := accept()
	served.CloseWrite()
	if got, err := io.ReadAll(client); len(got) != 0 || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	client.Write([]byte("late"))
	client.CloseWrite()
	if got, err := io.ReadAll(served); string(got) != "late" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestClientThatResetsEndsItsRequestAtTheDoor(t *testing.T) {
	path, accept := door(t)
	client := dial(t, forwarder(t, path))
	served := accept()
	client.SetLinger(0)
	client.Close()
	buffer := make([]byte, 1)
	if _, err := served.Read(buffer); err == nil {
		t.Error("the door still reads")
	}
	for { // until what was sent is known to reach nobody
		if _, err := served.Write(make([]byte, 1<<16)); err != nil {
			if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("writing gave %v", err)
			}
			return
		}
	}
}

func TestConnectionToADoorThatIsGoneIsClosed(t *testing.T) {
	client := dial(t, forwarder(t, filepath.Join(t.TempDir(), "gone.sock")))
	if _, err := client.Read(make([]byte, 1)); err == nil || errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("got %v", err)
	}
}

func TestConnectionsAreBoundedAndOthersWait(t *testing.T) {
	path, accept := door(t)
	address := forwarder(t, path)
	var served []*net.UnixConn
	for range maxConnections {
		client := dial(t, address)
		served = append(served, accept())
		client.Write([]byte("x"))
	}
	late := dial(t, address)
	late.Write([]byte("late"))
	served[0].Close()
	for got := make([]byte, 4); string(got) != "late"; {
		if _, err := io.ReadFull(accept(), got); err != nil {
			t.Fatal(err)
		}
	}
}
