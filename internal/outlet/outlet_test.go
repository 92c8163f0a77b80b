package outlet

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// full is a real pipe whose buffer is full: the next write of a byte is stuck.
func full(t *testing.T) (w, r *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	w.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	for err == nil {
		_, err = w.Write(make([]byte, pieceBytes))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("filling a pipe: %v", err)
	}
	w.SetWriteDeadline(time.Time{})
	return w, r
}

func writing(o *Outlet, p []byte) <-chan error {
	done := make(chan error, 1)
	go func() { _, err := o.Write(p); done <- err }()
	return done
}

func ends(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("the write has not ended")
		return nil
	}
}

func TestAReaderThatTakesNothingIsGivenUpOnlyOnceTheJobIsToEnd(t *testing.T) {
	w, _ := full(t)
	o := New(w)
	o.patience = 50 * time.Millisecond
	done := writing(o, []byte("x"))
	select {
	case err := <-done:
		t.Fatalf("a write to a full pipe ended before the job: %v", err)
	case <-time.After(4 * o.patience):
	}
	o.Hurry()
	if err := ends(t, done); !errors.Is(err, ErrGivenUp) {
		t.Errorf("the stuck write: %v", err)
	}
	if err := ends(t, writing(o, []byte("y"))); !errors.Is(err, ErrGivenUp) {
		t.Errorf("a write after that: %v", err)
	}
}

func TestASlowReaderGetsEverythingAlsoInAHurry(t *testing.T) {
	w, r := full(t)
	o := New(w)
	o.Hurry()
	text := make([]byte, 3*pieceBytes+1)
	done := writing(o, text)
	go io.Copy(io.Discard, r)
	if err := ends(t, done); err != nil {
		t.Errorf("writing while somebody reads: %v", err)
	}
}

func TestAbandoningFreesAStuckWriteAtOnce(t *testing.T) {
	w, _ := full(t)
	o := New(w)
	done := writing(o, []byte("x"))
	o.Abandon()
	if err := ends(t, done); !errors.Is(err, ErrGivenUp) {
		t.Errorf("the stuck write: %v", err)
	}
}

func TestErrorsOfTheFileAreTold(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	if err := ends(t, writing(New(w), []byte("x"))); err == nil {
		t.Error("writing to a closed pipe gave no error")
	}
}
