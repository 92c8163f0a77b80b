package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bot-bottle/action/internal/guest"
	"github.com/bot-bottle/action/internal/guest/wire"
	"github.com/bot-bottle/action/internal/testenv"
)

// hostile is a guest that the test speaks for, frame by frame.
type hostile struct {
	net.Conn
	frames chan wire.Frame // from the supervisor
}

// newHostile gives a connection and the guest at its end, which reads all frames.
func newHostile(t *testing.T) (*Conn, *hostile) {
	t.Helper()
	ours, theirs := net.Pipe()
	c, h := serve(ours), &hostile{Conn: theirs, frames: make(chan wire.Frame, 1000)}
	go func() {
		r := wire.NewReader(theirs)
		for {
			f, err := r.Read()
			if err != nil {
				close(h.frames)
				return
			}
			f.Payload = bytes.Clone(f.Payload)
			h.frames <- f
		}
	}()
	return c, h
}

// next gives the next frame of type want.
func (h *hostile) next(t *testing.T, want wire.Type) wire.Frame {
	t.Helper()
	for f := range h.frames {
		if f.Type == want {
			return f
		}
	}
	t.Fatalf("the supervisor has ended before a frame of type %d", want)
	return wire.Frame{}
}

func (h *hostile) send(kind wire.Type, channel uint32, payload string) {
	length := 5 + len(payload)
	b := []byte{byte(length >> 24), byte(length >> 16), byte(length >> 8), byte(length), byte(kind),
		byte(channel >> 24), byte(channel >> 16), byte(channel >> 8), byte(channel)}
	h.Write(append(b, payload...))
}

func (h *hostile) exit(base uint32, exit guest.Exit) {
	body, _ := json.Marshal(exit)
	h.send(wire.Exit, base, string(body))
}

// result is what Exec gave.
type result struct {
	exit guest.Exit
	err  error
}

// begin runs a command in the background, and gives its base channel.
func begin(ctx context.Context, t *testing.T, c *Conn, h *hostile, cmd Cmd) (uint32, <-chan result) {
	t.Helper()
	ended := make(chan result, 1)
	go func() {
		exit, err := c.Exec(ctx, cmd)
		ended <- result{exit, err}
	}()
	return h.next(t, wire.Exec).Channel, ended
}

var silent = Cmd{Stdout: io.Discard, Stderr: io.Discard}

func TestGuestThatBreaksARuleHasEndedTheConnection(t *testing.T) {
	for name, break_ := range map[string]func(h *hostile, base uint32){
		"an exit that is no JSON":    func(h *hostile, base uint32) { h.send(wire.Exit, base, "{") },
		"a code beyond 255":          func(h *hostile, base uint32) { h.exit(base, guest.Exit{Code: 256}) },
		"a negative code":            func(h *hostile, base uint32) { h.exit(base, guest.Exit{Code: -2}) },
		"a signal with a code":       func(h *hostile, base uint32) { h.exit(base, guest.Exit{Code: 0, Signal: 9}) },
		"no signal":                  func(h *hostile, base uint32) { h.exit(base, guest.Exit{Code: -1}) },
		"the exit of nothing":        func(h *hostile, base uint32) { h.exit(base+4, guest.Exit{}) },
		"an exit on a stream":        func(h *hostile, base uint32) { h.exit(base+guest.Stdout, guest.Exit{}) },
		"data on no stream":          func(h *hostile, base uint32) { h.send(wire.Data, base+40, "x") },
		"data on the input":          func(h *hostile, base uint32) { h.send(wire.Data, base+guest.Stdin, "x") },
		"credit on an output":        func(h *hostile, base uint32) { h.send(wire.Credit, base+guest.Stdout, "\x00\x00\x00\x01") },
		"an answer to no question":   func(h *hostile, base uint32) { h.send(wire.Ready, 0, "") },
		"a death that nobody wanted": func(h *hostile, base uint32) { h.send(wire.Killed, 0, "") },
		"an order":                   func(h *hostile, base uint32) { h.send(wire.Exec, base, "{}") },
	} {
		t.Run(name, func(t *testing.T) {
			c, h := newHostile(t)
			base, ended := begin(t.Context(), t, c, h, silent)
			break_(h, base)
			if r := <-ended; !errors.Is(r.err, wire.ErrProtocol) || !errors.Is(r.err, ErrEnded) {
				t.Errorf("got %+v", r)
			}
			<-c.Done()
		})
	}
}

func TestSecondExitHasEndedTheConnection(t *testing.T) {
	c, h := newHostile(t)
	base, ended := begin(t.Context(), t, c, h, silent)
	h.exit(base, guest.Exit{Code: 3})
	if r := <-ended; r.err != nil || r.exit.Code != 3 {
		t.Fatalf("got %+v", r)
	}
	h.exit(base, guest.Exit{})
	<-c.Done()
	if err := c.Err(); !errors.Is(err, wire.ErrProtocol) {
		t.Errorf("got %v", err)
	}
}

func TestExitWithoutTheEndOfTheStreamsIsAnEnd(t *testing.T) {
	c, h := newHostile(t)
	defer c.Close()
	var out bytes.Buffer
	base, ended := begin(t.Context(), t, c, h, Cmd{Stdout: &out, Stderr: io.Discard, Stdin: endless{}})
	h.send(wire.Data, base+guest.Stdout, "hello")
	h.exit(base, guest.Exit{})
	if r := <-ended; r.err != nil || out.String() != "hello" {
		t.Errorf("got %+v, %q", r, out.String())
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestGuestsWordsAreBounded(t *testing.T) {
	c, h := newHostile(t)
	defer c.Close()
	go func() {
		h.next(t, wire.Setup)
		h.send(wire.Ready, 0, "\x1b]0;"+strings.Repeat("x", 50_000))
	}()
	err := c.Setup(t.Context(), guest.Setup{})
	if !errors.Is(err, ErrGuest) || len(err.Error()) > 2*maxSaid || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("got %v", err)
	}
	base, ended := begin(t.Context(), t, c, h, silent)
	h.exit(base, guest.Exit{Code: 127, Error: strings.Repeat("x", 50_000)})
	if r := <-ended; r.err != nil || len(r.exit.Error) > maxSaid {
		t.Errorf("%v, %d bytes", r.err, len(r.exit.Error))
	}
}

func TestGuestThatNeverTellsTheExitIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h := newHostile(t)
		reason := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cmd := silent
		cmd.Grace = 3 * time.Second
		start := time.Now()
		base, ended := begin(ctx, t, c, h, cmd)
		cancel(reason)
		h.next(t, wire.Signal)
		h.next(t, wire.Stop)
		if r := <-ended; !errors.Is(r.err, reason) {
			t.Errorf("got %+v", r)
		}
		if took := time.Since(start); took > cmd.Grace+killGrace+writerGrace {
			t.Errorf("it took %v", took)
		}
		h.exit(base, guest.Exit{}) // late, but no fault
		_, ended = begin(t.Context(), t, c, h, silent)
		c.Close()
		<-ended
		h.Close()
	})
}

func TestWriterThatIsBlockedDoesNotHoldACancelledExecUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h := newHostile(t)
		opened := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		base, ended := begin(ctx, t, c, h, Cmd{Stdout: blocked(opened), Stderr: io.Discard})
		h.send(wire.Data, base+guest.Stdout, "x")
		h.exit(base, guest.Exit{})
		synctest.Wait()
		start := time.Now()
		cancel()
		if r := <-ended; !errors.Is(r.err, context.Canceled) || time.Since(start) > writerGrace {
			t.Errorf("got %+v after %v", r, time.Since(start))
		}
		close(opened)
		c.Close()
		h.Close()
	})
}

type blocked chan struct{}

func (b blocked) Write(p []byte) (int, error) { <-b; return len(p), nil }

func TestGuestThatTakesNothingHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe() // nobody reads theirs
		defer theirs.Close()
		c := serve(ours)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for what, err := range map[string]error{
			"setup":    c.Setup(ctx, guest.Setup{}),
			"kill all": c.KillAll(ctx),
			"shutdown": c.Shutdown(ctx),
			"command":  func() error { _, err := c.Exec(ctx, silent); return err }(),
		} {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", what, err)
			}
		}
		start := time.Now()
		<-c.Done()
		if err := c.Err(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) > SendTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestGuestThatFloodsAndTakesNothingHoldsNoCancelledExecUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := serve(ours)
		reason := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, reason)
		defer cancel()
		go func() {
			wire.NewReader(theirs).Read() // the command, and nothing after it
			tiny := wire.Frame{Type: wire.Data, Channel: guest.ChannelsPerCommand + guest.Stdout, Payload: []byte("x")}
			for wire.NewSession(theirs, 0).Send(tiny) == nil {
			}
		}()
		start := time.Now()
		if _, err := c.Exec(ctx, silent); err == nil {
			t.Error("a command ended well in a guest that never said so")
		}
		if took := time.Since(start); took > time.Second+silent.Grace+killGrace+writerGrace {
			t.Errorf("it took %v", took)
		}
		c.Close()
		theirs.Close()
	})
}

func TestQuestionIsNotAskedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h := newHostile(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.KillAll(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := c.KillAll(t.Context()); err == nil {
			t.Error("it was asked twice")
		}
		h.send(wire.Killed, 0, "")
		synctest.Wait()
		go func() { h.next(t, wire.KillAll); h.next(t, wire.KillAll); h.send(wire.Killed, 0, "some are left") }()
		if err := c.KillAll(t.Context()); !errors.Is(err, ErrGuest) {
			t.Errorf("got %v", err)
		}
		c.Close()
		h.Close()
	})
}

func TestCommandThatFitsNoFrameIsRefused(t *testing.T) {
	c, _ := newHostile(t)
	defer c.Close()
	cmd := silent
	cmd.Argv = []string{strings.Repeat("x", wire.MaxPayload)}
	if _, err := c.Exec(t.Context(), cmd); err == nil || c.Err() != nil {
		t.Errorf("got %v, %v", err, c.Err())
	}
}

func TestNothingIsLeftOfAConnection(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		c, h := newHostile(t)
		_, ended := begin(t.Context(), t, c, h, Cmd{Stdin: endless{}, Stdout: io.Discard, Stderr: io.Discard})
		h.Close()
		<-ended
		c.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			buffer := make([]byte, 1<<20)
			t.Fatalf("%d goroutines are left:\n%s", runtime.NumGoroutine()-before, buffer[:runtime.Stack(buffer, true)])
		}
	}
}

func listen(t *testing.T) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(testenv.ShortDir(t), "control.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestControlTakesExactlyOneCall(t *testing.T) {
	l := listen(t)
	path := l.Addr().String()
	var calls []net.Conn
	for range 3 {
		call, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer call.Close()
		calls = append(calls, call)
	}
	var pids []int
	c, err := Accept(t.Context(), l, func(pid, uid int) error {
		pids = append(pids, pid)
		if uid != os.Getuid() {
			t.Errorf("user %d called", uid)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if len(pids) != 1 || pids[0] != os.Getpid() {
		t.Errorf("processes %v called", pids)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if _, err := net.Dial("unix", path); err == nil {
		t.Error("another call went through")
	}
	for _, call := range calls[1:] {
		call.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := call.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a call that waited is not over: %v", err)
		}
	}
}

func TestCallerThatMayNotIsTheEnd(t *testing.T) {
	l := listen(t)
	call, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	reason := errors.New("not you")
	if _, err := Accept(t.Context(), l, func(int, int) error { return reason }); !errors.Is(err, reason) {
		t.Errorf("got %v", err)
	}
	if _, err := call.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the call is not over: %v", err)
	}
	if _, err := net.Dial("unix", l.Addr().String()); err == nil {
		t.Error("another call went through")
	}
}

func TestAcceptEndsWithItsContext(t *testing.T) {
	reason := errors.New("the guest has died")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	l := listen(t)
	if _, err := Accept(ctx, l, func(int, int) error { return nil }); !errors.Is(err, reason) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(l.Addr().String()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}
