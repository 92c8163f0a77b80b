package control_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/guest/control"
	"github.com/bot-bottle/action/internal/guest/wire"
)

func TestExitTellsHowTheCommandEnded(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		exit, err := w.exec(w.cmd(io.Discard, io.Discard, "sh", "-c", "exit 7"))
		if err != nil || exit.Code != 7 || exit.Signal != 0 || exit.Duration <= 0 {
			t.Errorf("got %+v, %v", exit, err)
		}
		exit, err = w.exec(w.cmd(io.Discard, io.Discard, "sh", "-c", "kill -9 $$"))
		if err != nil || exit.Code != -1 || exit.Signal != int(syscall.SIGKILL) {
			t.Errorf("got %+v, %v", exit, err)
		}
	})
}

func TestCommandThatCannotStartSaysWhy(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		for name, c := range map[string]control.Cmd{
			"no-such-program": w.cmd(io.Discard, io.Discard, "no-such-program"),
			"/dev/null":       w.cmd(io.Discard, io.Discard, "/dev/null"),
			"/no/such/folder": func() control.Cmd {
				c := w.cmd(io.Discard, io.Discard, "true")
				c.Dir = "/no/such/folder"
				return c
			}(),
		} {
			exit, err := w.exec(c)
			if err != nil || !strings.Contains(exit.Error, name) || exit.Code != 127 {
				t.Errorf("%s: %+v, %v", name, exit, err)
			}
		}
		w.sh("true")
	})
}

func TestEnvironmentIsOnlyWhatWasGiven(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		var out bytes.Buffer
		c := w.cmd(&out, io.Discard, "env")
		c.Env = []string{"PATH=/usr/bin:/bin", "ONE=1"}
		if exit, err := w.exec(c); err != nil || exit.Code != 0 || out.String() != "PATH=/usr/bin:/bin\nONE=1\n" {
			t.Errorf("%+v, %v: %q", exit, err, out.String())
		}
	})
}

func TestInputAndOutputArriveWhole(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		input := make([]byte, 3<<20+17)
		rand.Read(input)
		for _, script := range []string{"cat", "cat >&2"} {
			var out bytes.Buffer
			c := w.cmd(&out, &out, "sh", "-c", script)
			c.Stdin = bytes.NewReader(input)
			exit, err := w.exec(c)
			if err != nil || exit.Code != 0 || !bytes.Equal(out.Bytes(), input) {
				t.Errorf("%s: %+v, %v: %d of %d bytes", script, exit, err, out.Len(), len(input))
			}
		}
	})
}

func TestManyCommandsAtOnceKeepTheirStreamsApart(t *testing.T) {
	w := newWorldOf(t)
	const n = 20
	failed := make(chan error, n)
	for i := range n {
		go func() {
			input := bytes.Repeat([]byte{byte('a' + i)}, 100_000+i)
			var out bytes.Buffer
			c := w.cmd(&out, io.Discard, "cat")
			c.Stdin = bytes.NewReader(input)
			_, err := w.exec(c)
			if err == nil && !bytes.Equal(out.Bytes(), input) {
				err = errors.New("another command's output, or not all")
			}
			failed <- err
		}()
	}
	for range n {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

func TestInputThatNobodyReadsDoesNotHoldTheEndUp(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		c := w.cmd(io.Discard, io.Discard, "true")
		c.Stdin = endless{}
		if exit, err := w.exec(c); err != nil || exit.Code != 0 {
			t.Errorf("%+v, %v", exit, err)
		}
		// Here a process that stays behind still has the reading end.
		c = w.cmd(io.Discard, io.Discard, "sh", "-c", "exec 3<&0; sleep 1000 <&3 >/dev/null 2>&1 & exit 0")
		c.Stdin = endless{}
		if exit, err := w.exec(c); err != nil || exit.Code != 0 {
			t.Errorf("%+v, %v", exit, err)
		}
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestInputThatFailsIsNotAnEnd(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		reason := errors.New("the disk is gone")
		c := w.cmd(io.Discard, io.Discard, "sh", "-c", "cat; echo 'took it for an end' >&2")
		said := &bytes.Buffer{}
		c.Stderr = said
		c.Stdin = io.MultiReader(strings.NewReader("half"), failing{reason})
		exit, err := w.exec(c)
		if !errors.Is(err, reason) || exit.Code == 0 || said.Len() > 0 {
			t.Errorf("%+v, %v, %q", exit, err, said)
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestWhatWasWrittenBeforeTheEndArrivesThoughThePipeStaysOpen(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		const full = 1 << 20 // the most that an ordinary user may put into a pipe
		out := newGate()
		c := w.cmd(out, io.Discard, "sh", "-c", "exec $HELPER fill 1048576")
		ended := make(chan error, 1)
		go func() { _, err := w.exec(c); ended <- err }()
		w.within("output", out.reached)
		w.sh("sleep 0.5") // longer than process 1 drains: the pipe is still full
		close(out.opened)
		if err := <-ended; err != nil || out.Len() != full {
			t.Errorf("%d of %d bytes, %v", out.Len(), full, err)
		}
	})
}

func TestProcessThatHoldsOrFloodsThePipeDelaysTheExitBriefly(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		for _, left := range []string{"sleep 1000", "yes", "yes >&2", "trap '' PIPE; while :; do echo x; done"} {
			start := time.Now()
			exit, err := w.exec(w.cmd(io.Discard, io.Discard, "sh", "-c", "("+left+") & exit 3"))
			if took := time.Since(start); err != nil || exit.Code != 3 || took > 5*time.Second {
				t.Errorf("%s: %+v, %v after %v", left, exit, err, took)
			}
		}
	})
}

func TestClosedOutputsAreNoEnd(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		exit, err := w.exec(w.cmd(io.Discard, io.Discard, "sh", "-c", "exec >&- 2>&- <&-; sleep 0.1; exit 5"))
		if err != nil || exit.Code != 5 {
			t.Errorf("%+v, %v", exit, err)
		}
	})
}

func TestBlockedWriterBlocksNothingElse(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		blocked, other := newGate(), waitFor("later")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := w.Exec(ctx, w.cmd(blocked, other, "sh", "-c", "(sleep 0.1; echo later >&2) & exec yes"))
			ended <- err
		}()
		w.within("the flood", blocked.reached)
		w.within("the other stream of the command", other.seen)
		if got := w.sh("echo unharmed"); got != "unharmed\n" {
			t.Errorf("got %q", got)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		close(blocked.opened)
		if blocked.Len() > 2*wire.Window {
			t.Errorf("%d bytes were held", blocked.Len())
		}
	})
}

func TestWriterThatFailsDoesNotHoldTheCommandUp(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		exit, err := w.exec(w.cmd(brokenWriter{}, io.Discard, "sh", "-c", "head -c 5000000 /dev/zero; exit 4"))
		if !errors.Is(err, io.ErrClosedPipe) || exit.Code != 4 {
			t.Errorf("%+v, %v", exit, err)
		}
	})
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestCancelledCommandMayEndByItself(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		out := waitFor("up")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { <-out.seen; cancel(errTold) }()
		c := w.cmd(out, io.Discard, "sh", "-c", "trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.01; done")
		c.Grace = patience
		exit, err := w.Exec(ctx, c)
		if !errors.Is(err, errTold) || exit.Code != 9 || out.all.String() != "up\nbye\n" {
			t.Errorf("%+v, %v: %q", exit, err, out.all.String())
		}
	})
}

var errTold = errors.New("told to end")

func TestCancelledSessionIsKilledAfterTheGrace(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		fifo, gone := w.fifo()
		// set -m gives the background job a process group of its own.
		script := `exec 9>` + fifo + `; trap '' TERM INT HUP; set -m
			sh -c "trap '' TERM; while :; do sleep 1000; done" &
			echo up; while :; do sleep 1000; done`
		out := waitFor("up")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { <-out.seen; cancel(errTold) }()
		exit, err := w.Exec(ctx, w.cmd(out, io.Discard, "sh", "-c", script))
		if !errors.Is(err, errTold) || exit.Signal != int(syscall.SIGKILL) {
			t.Errorf("%+v, %v", exit, err)
		}
		gone("the session")
		w.sh("true")
	})
}

func TestSessionLeftByACancelledCommandIsKilled(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		fifo, gone := w.fifo()
		script := `exec 9>` + fifo + `; sh -c "trap '' TERM; echo up; while :; do sleep 1000; done" & exec 9>&-; wait`
		out := waitFor("up")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { <-out.seen; cancel(errTold) }()
		c := w.cmd(out, io.Discard, "sh", "-c", script)
		c.Grace = patience
		exit, err := w.Exec(ctx, c)
		if !errors.Is(err, errTold) || exit.Signal != int(syscall.SIGTERM) {
			t.Errorf("%+v, %v", exit, err)
		}
		gone("the session")
	})
}

func TestCommandCancelledBeforeItBeganEnds(t *testing.T) {
	w := newWorldOf(t)
	for range 20 {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errTold)
		start := time.Now()
		_, err := w.Exec(ctx, w.cmd(io.Discard, io.Discard, "sleep", "1000"))
		if took := time.Since(start); !errors.Is(err, errTold) || took > patience/2 {
			t.Fatalf("%v after %v", err, took)
		}
	}
	if n := strings.TrimSpace(w.sh("grep -l -s -z -x '[s]leep' /proc/[0-9]*/cmdline | wc -l")); n != "0" && w.kind.namespaces {
		t.Errorf("%s commands live on", n)
	}
}

// newWorldOf gives one world, of the strongest kind that there is.
func newWorldOf(t *testing.T) *world {
	t.Helper()
	all := kinds()
	w := newWorld(t, all[len(all)-1], setupWithoutLimits)
	return w
}
