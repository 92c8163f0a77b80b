package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bot-bottle/action/internal/guest/wire"
)

// pair gives two sessions that are connected, and serve. Frames that are not of
// open streams go to handle, on both sides.
func pair(t testing.TB, handle func(wire.Frame) error) (a, b *wire.Session) {
	t.Helper()
	left, right := net.Pipe()
	a, b = wire.NewSession(left, 0), wire.NewSession(right, 0)
	t.Cleanup(a.Close)
	t.Cleanup(b.Close)
	go a.Serve(handle)
	go b.Serve(handle)
	return a, b
}

func unexpected(t testing.TB) func(wire.Frame) error {
	return func(f wire.Frame) error {
		t.Errorf("got a frame of type %d on channel %d", f.Type, f.Channel)
		return nil
	}
}

func TestStreamArrivesWhole(t *testing.T) {
	a, b := pair(t, unexpected(t))
	sender, receiver := a.OpenSender(7), b.OpenReceiver(7)
	want := bytes.Repeat([]byte("0123456789abcde"), 5*wire.Window/15)
	go func() {
		sender.Write(want)
		sender.Close()
	}()
	got, err := io.ReadAll(receiver)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d of %d bytes: %v", len(got), len(want), err)
	}
}

func TestSlowReaderStopsOnlyItsOwnStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, unexpected(t))
		slow, fast := a.OpenSender(1), a.OpenSender(2)
		b.OpenReceiver(1)
		reader := b.OpenReceiver(2)
		written := 0
		go func() {
			for {
				n, err := slow.Write(make([]byte, 1000))
				if written += n; err != nil {
					return
				}
			}
		}()
		go fast.Write(make([]byte, 2*wire.Window))
		if _, err := io.ReadFull(reader, make([]byte, 2*wire.Window)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if written > wire.Window || written < wire.Window-1000 {
			t.Errorf("%d bytes are under way to a reader that doesn't read", written)
		}
		a.Close()
		b.Close()
	})
}

func TestStoppedStreamEndsItsWriterAndNoOther(t *testing.T) {
	a, b := pair(t, unexpected(t))
	sender, receiver := a.OpenSender(1), b.OpenReceiver(1)
	other, reader := a.OpenSender(2), b.OpenReceiver(2)
	failed := make(chan error)
	go func() {
		_, err := sender.Write(make([]byte, 3*wire.Window))
		sender.Close()
		failed <- err
	}()
	if _, err := io.ReadFull(receiver, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	receiver.Stop()
	receiver.Stop()
	if err := <-failed; !errors.Is(err, wire.ErrStopped) {
		t.Errorf("writing gave %v", err)
	}
	if _, err := receiver.Read(make([]byte, 1)); !errors.Is(err, wire.ErrStopped) {
		t.Errorf("reading gave %v", err)
	}
	go other.Write([]byte("hello"))
	if _, err := io.ReadFull(reader, make([]byte, 5)); err != nil {
		t.Errorf("the other stream: %v", err)
	}
}

func TestEndOfTheSessionEndsEverybody(t *testing.T) {
	a, b := pair(t, unexpected(t))
	sender, receiver := a.OpenSender(1), a.OpenReceiver(2)
	errs := make(chan error)
	go func() { _, err := sender.Write(make([]byte, 2*wire.Window)); errs <- err }()
	go func() { _, err := receiver.Read(make([]byte, 1)); errs <- err }()
	b.Close()
	for range 2 {
		if err := <-errs; err == nil {
			t.Error("one went on")
		}
	}
	<-a.Done()
	if a.Err() == nil || a.Send(wire.Frame{Type: wire.KillAll}) == nil {
		t.Error("the session doesn't say that it has ended")
	}
	if _, err := a.OpenReceiver(3).Read(make([]byte, 1)); err == nil {
		t.Error("a stream opened after the end can be read")
	}
	if _, err := a.OpenSender(3).Write([]byte("x")); err == nil {
		t.Error("a stream opened after the end can be written")
	}
}

func TestForgottenChannelGivesWhatCameAndThenTheError(t *testing.T) {
	others := make(chan wire.Frame, 1)
	a, b := pair(t, func(f wire.Frame) error { others <- wire.Frame{Type: f.Type, Channel: f.Channel}; return nil })
	sender, receiver := a.OpenSender(5), b.OpenReceiver(5)
	if _, err := sender.Write([]byte("before")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(receiver, make([]byte, 1)); err != nil { // so that it has come
		t.Fatal(err)
	}
	reason := errors.New("over")
	b.Forget(5, reason)
	got := make([]byte, 100)
	if n, err := receiver.Read(got); string(got[:n]) != "efore" || err != nil {
		t.Errorf("got %q, %v", got[:n], err)
	}
	if _, err := receiver.Read(got); err != reason {
		t.Errorf("got %v", err)
	}
	sender.Write([]byte("after"))
	if f := <-others; f.Type != wire.Data || f.Channel != 5 {
		t.Errorf("handle was given %+v", f)
	}
}

func TestPeerThatTakesNothingHasEndedTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left, right := net.Pipe() // nobody reads right
		defer right.Close()
		s := wire.NewSession(left, time.Minute)
		err := s.Send(wire.Frame{Type: wire.KillAll})
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(s.Err(), os.ErrDeadlineExceeded) {
			t.Errorf("got %v and %v", err, s.Err())
		}
		<-s.Done()
	})
}

// raw gives a session with receiver channel 1 and sender channel 2 whose peer
// sends the given bytes and then closes, and what Serve gave.
func raw(t testing.TB, handle func(wire.Frame) error, sent []byte) (*wire.Session, error) {
	t.Helper()
	left, right := net.Pipe()
	s := wire.NewSession(left, 0)
	receiver, sender := s.OpenReceiver(1), s.OpenSender(2)
	go io.Copy(io.Discard, right)
	go func() {
		right.Write(sent)
		right.Close()
	}()
	go io.Copy(sender, bytes.NewReader(make([]byte, 100)))
	go io.Copy(io.Discard, receiver)
	return s, s.Serve(handle)
}

func frame(kind wire.Type, channel uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(5+len(payload)))
	b = append(b, byte(kind))
	b = binary.BigEndian.AppendUint32(b, channel)
	return append(b, payload...)
}

func TestFrameIsAsDocumented(t *testing.T) {
	want := []byte{0, 0, 0, 7, byte(wire.Data), 0, 0, 1, 2, 'h', 'i'}
	left, right := net.Pipe()
	defer right.Close()
	go wire.NewSession(left, 0).Send(wire.Frame{Type: wire.Data, Channel: 258, Payload: []byte("hi")})
	got := make([]byte, len(want))
	if _, err := io.ReadFull(right, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %x, %v", got, err)
	}
}

func TestPeerThatBreaksARuleHasEndedTheSession(t *testing.T) {
	full := bytes.Repeat(frame(wire.Data, 1, make([]byte, wire.MaxPayload)), 5)
	for name, sent := range map[string][]byte{
		"a frame shorter than its header": {0, 0, 0, 4, 1, 0, 0, 0},
		"a frame longer than the maximum": {0, 1, 0, 1, 1, 0, 0, 0, 0},
		"a frame of 4 GiB":                {0xff, 0xff, 0xff, 0xff, 1},
		"a type of 0":                     frame(0, 1, nil),
		"a type that doesn't exist":       frame(99, 1, nil),
		"empty data":                      frame(wire.Data, 1, nil),
		"data after the end":              append(frame(wire.End, 1, nil), frame(wire.Data, 1, []byte("x"))...),
		"two ends":                        append(frame(wire.End, 1, nil), frame(wire.End, 1, nil)...),
		"credit of 0":                     frame(wire.Credit, 2, []byte{0, 0, 0, 0}),
		"credit for what was not sent":    frame(wire.Credit, 2, []byte{0, 0, 1, 0}),
		"credit near 2^32":                frame(wire.Credit, 2, []byte{0xff, 0xff, 0xff, 0xff}),
		"credit of three bytes":           frame(wire.Credit, 2, []byte{0, 0, 1}),
	} {
		if _, err := raw(t, unexpected(t), sent); !errors.Is(err, wire.ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	left, right := net.Pipe()
	s := wire.NewSession(left, 0)
	s.OpenReceiver(1) // nobody reads it
	go right.Write(full)
	if err := s.Serve(unexpected(t)); !errors.Is(err, wire.ErrProtocol) {
		t.Errorf("more data than the window: %v", err)
	}
}

func TestDroppedStreamStillHasItsWindow(t *testing.T) {
	left, right := net.Pipe()
	s := wire.NewSession(left, 0)
	s.OpenReceiver(1).Drop()
	go func() {
		for range 2 * wire.Window / wire.MaxPayload {
			right.Write(frame(wire.Data, 1, make([]byte, wire.MaxPayload)))
		}
		right.Close()
	}()
	if err := s.Serve(unexpected(t)); !errors.Is(err, wire.ErrProtocol) {
		t.Errorf("a flood of what nobody wants: %v", err)
	}
}

func TestConnectionThatBreaksInAFrameIsNoEnd(t *testing.T) {
	whole := frame(wire.Ready, 0, []byte("payload"))
	for cut := range whole {
		_, err := raw(t, unexpected(t), whole[:cut])
		if want := io.ErrUnexpectedEOF; cut == 0 && err != io.EOF || cut > 0 && !errors.Is(err, want) {
			t.Errorf("cut after %d bytes: %v", cut, err)
		}
	}
}

func TestHandleEndsTheSession(t *testing.T) {
	reason := errors.New("enough")
	s, err := raw(t, func(wire.Frame) error { return reason }, frame(wire.Ready, 0, nil))
	if err != reason || s.Err() != reason {
		t.Errorf("got %v and %v", err, s.Err())
	}
}

func FuzzServe(f *testing.F) {
	f.Add(frame(wire.Data, 1, []byte("x")))
	f.Add(append(frame(wire.Credit, 2, []byte{0, 0, 0, 1}), frame(wire.End, 1, nil)...))
	f.Add(append(frame(wire.Stop, 2, nil), 0, 0, 0, 9))
	f.Fuzz(func(t *testing.T, sent []byte) {
		s, err := raw(t, func(wire.Frame) error { return nil }, sent)
		if err == nil || s.Err() == nil {
			t.Error("the session has no end")
		}
	})
}

func FuzzReadGivesWhatWasSent(f *testing.F) {
	f.Add(byte(wire.Data), uint32(4), []byte("payload"))
	f.Fuzz(func(t *testing.T, kind byte, channel uint32, payload []byte) {
		if len(payload) > wire.MaxPayload || kind == 0 || kind > byte(wire.Credit) {
			return // no frame that we would send
		}
		got, err := wire.NewReader(bytes.NewReader(frame(wire.Type(kind), channel, payload))).Read()
		if err != nil || got.Type != wire.Type(kind) || got.Channel != channel || !bytes.Equal(got.Payload, payload) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func BenchmarkStream(b *testing.B) {
	dir := b.TempDir()
	l, err := net.Listen("unix", dir+"/s")
	if err != nil {
		b.Fatal(err)
	}
	left, err := net.Dial("unix", dir+"/s")
	if err != nil {
		b.Fatal(err)
	}
	right, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	from, to := wire.NewSession(left, time.Minute), wire.NewSession(right, time.Minute)
	go from.Serve(unexpected(b))
	go to.Serve(unexpected(b))
	defer from.Close()
	sender, receiver := from.OpenSender(1), to.OpenReceiver(1)
	buffer := make([]byte, 32<<10)
	b.SetBytes(int64(len(buffer)))
	go func() {
		for range b.N {
			sender.Write(buffer)
		}
		sender.Close()
	}()
	io.CopyBuffer(struct{ io.Writer }{io.Discard}, receiver, buffer)
}
