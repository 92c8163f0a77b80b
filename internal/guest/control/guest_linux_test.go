package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/guest"
	"github.com/bot-bottle/action/internal/guest/control"
	"github.com/bot-bottle/action/internal/testenv"
)

var setupWithoutLimits = guest.Setup{}

// status gives the fields of /proc/self/status of a command.
func (w *world) status(uid uint32) map[string]string {
	w.t.Helper()
	var out bytes.Buffer
	c := w.cmd(&out, io.Discard, "cat", "/proc/self/status")
	c.UID, c.GID = uid, uid
	if exit, err := w.exec(c); err != nil || exit.Code != 0 {
		w.t.Fatalf("%+v, %v", exit, err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(out.String()) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.Join(strings.Fields(value), " ")
	}
	return fields
}

func TestCommandCannotGainPrivileges(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		if got := w.status(w.uid)["NoNewPrivs"]; got != "1" {
			t.Errorf("NoNewPrivs is %s", got)
		}
	})
}

func TestCommandOfAUserHasNoCapabilities(t *testing.T) {
	if os.Getuid() != 0 {
		return // then process 1 has none to give, or no second user
	}
	w := newWorld(t, kind{namespaces: true, root: true}, setupWithoutLimits)
	for range 2 { // the first leaves process 1 with what it needs for the second
		s := w.status(agentID)
		id := fmt.Sprint(agentID)
		if four := strings.Join([]string{id, id, id, id}, " "); s["Uid"] != four || s["Gid"] != four || s["Groups"] != "" {
			t.Errorf("it runs as %s, %s, groups %q", s["Uid"], s["Gid"], s["Groups"])
		}
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
			if s[set] != "0000000000000000" {
				t.Errorf("%s is %s", set, s[set])
			}
		}
	}
	// Of CAP_KILL, CAP_SETGID, CAP_SETUID and CAP_SETPCAP root has the first: it
	// stays one user, whom the limit on tasks holds.
	const kill = "0000000000000020"
	if s := w.status(0); s["CapEff"] != kill || s["CapBnd"] != kill || s["Uid"] != "0 0 0 0" {
		t.Errorf("root has %s of %s", s["CapEff"], s["CapBnd"])
	}
}

func TestCommandLeadsASessionOfItsOwn(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		fields := strings.Fields(w.sh("exec cat /proc/self/stat"))
		if pid := fields[0]; fields[4] != pid || fields[5] != pid || fields[6] != "0" {
			t.Errorf("process %s is of group %s, session %s, terminal %s", pid, fields[4], fields[5], fields[6])
		}
	})
}

func TestCommandHasNoOtherDescriptors(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		if got := w.sh("ls /proc/self/fd | grep -v '^[0123]$' | wc -l"); strings.TrimSpace(got) != "0" { // 3 is the folder that ls lists
			t.Errorf("%s more are open", got)
		}
	})
}

func TestCommandHasNoSignalsIgnored(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		const threads = 1<<(32-1) | 1<<(33-1) // the C library's own (signal(7)), which a cgo build passes on
		got := w.status(w.uid)
		for _, set := range []string{"SigIgn", "SigBlk"} {
			mask, err := strconv.ParseUint(got[set], 16, 64)
			if err != nil || mask&^threads != 0 {
				t.Errorf("%s is %s", set, got[set])
			}
		}
	})
}

func TestOrphansAreReaped(t *testing.T) {
	eachProcess1(t, func(t *testing.T, w *world) {
		w.sh("for i in 1 2 3 4 5 6 7 8 9; do (sh -c 'exit 0' & ) ; done; (sleep 0.1 &)")
		deadline := time.Now().Add(patience)
		for {
			left := w.sh(`grep -l -s '^State:.Z' /proc/[0-9]*/status; true`)
			if left == "" {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("left: %s", left)
			}
		}
	})
}

func TestKillAllEndsWhatLeftItsSession(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		fifo, gone := w.fifo()
		w.sh("$HELPER daemons 5 " + fifo)
		w.must(w.KillAll(t.Context()))
		gone("the daemons")
		w.sh("true")
		w.must(w.KillAll(t.Context()))
	})
}

func TestKillAllEndsCommandsUnderWay(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		out := waitFor("up")
		exits := make(chan guest.Exit, 1)
		go func() {
			exit, _ := w.exec(w.cmd(out, io.Discard, "sh", "-c", "trap '' TERM; echo up; sleep 1000"))
			exits <- exit
		}()
		w.within("the command", out.seen)
		w.must(w.KillAll(t.Context()))
		if exit := <-exits; exit.Signal != int(syscall.SIGKILL) {
			t.Errorf("got %+v", exit)
		}
	})
}

func TestForkBombIsBoundedAndEnds(t *testing.T) {
	if os.Getuid() != 0 {
		return // the limit counts the tasks of a user, and the guest's is shared with the tests then
	}
	const limit = 100
	w := newWorld(t, kind{namespaces: true, root: true}, guest.Setup{Tasks: limit})
	bomb := waitFor("lit")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := w.Exec(ctx, w.cmd(bomb, io.Discard, "sh", "-c", "$HELPER bomb & echo lit; wait"))
		ended <- err
	}()
	w.within("the bomb", bomb.seen)
	asRoot := w.cmd(nil, io.Discard, "sh", "-c", "cat /proc/[0-9]*/status 2>/dev/null | grep -c '^Uid:.*"+fmt.Sprint(agentID)+"'")
	asRoot.UID, asRoot.GID = 0, 0
	for n, deadline := 0, time.Now().Add(patience); n < 4; { // each a Go program of several tasks
		var out bytes.Buffer
		asRoot.Stdout = &out
		if _, err := w.exec(asRoot); err != nil {
			t.Fatalf("beside the bomb: %v", err)
		}
		if fmt.Sscan(out.String(), &n); n > limit || time.Now().After(deadline) {
			t.Fatalf("%d processes", n)
		}
	}
	cancel()
	<-ended
	w.must(w.KillAll(t.Context()))
	w.sh("true")
}

func TestNoProcessOutlivesControl(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		fifo, gone := w.fifo()
		w.sh("$HELPER daemons 3 " + fifo)
		w.Close()
		gone("the guest")
		if err := <-w.exit; err != nil {
			t.Errorf("process 1: %v: %s", err, w.said)
		}
		w.exit <- nil
	})
}

func TestShutdownEndsTheGuest(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		fifo, gone := w.fifo()
		w.sh("$HELPER daemons 1 " + fifo)
		w.must(w.Shutdown(t.Context()))
		gone("the guest")
		if err := <-w.exit; err != nil {
			t.Errorf("process 1: %v: %s", err, w.said)
		}
		w.exit <- nil
	})
}

func TestGuestWhoseProcess1DiesBreaksTheConnection(t *testing.T) {
	eachProcess1(t, func(t *testing.T, w *world) {
		fifo, gone := w.fifo()
		out := waitFor("up")
		ended := make(chan error, 1)
		go func() {
			_, err := w.exec(w.cmd(out, io.Discard, "sh", "-c", "exec 9>"+fifo+"; echo up; sleep 1000"))
			ended <- err
		}()
		w.within("the command", out.seen)
		w.must(w.init.Process.Kill())
		if err := <-ended; !errors.Is(err, control.ErrEnded) {
			t.Errorf("got %v", err)
		}
		w.within("the end", w.Done())
		if !errors.Is(w.Err(), control.ErrEnded) {
			t.Errorf("got %v", w.Err())
		}
		if _, err := w.exec(w.cmd(io.Discard, io.Discard, "true")); !errors.Is(err, control.ErrEnded) {
			t.Errorf("a command after the end: %v", err)
		}
		gone("the guest")
	})
}

func TestSignalsDoNotEndProcess1(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGABRT, syscall.SIGTSTP, syscall.SIGUSR1} {
			w.must(w.init.Process.Signal(s))
		}
		w.sh("true")
	})
}

func TestSetupThatCannotBeHadSaysWhy(t *testing.T) {
	for _, k := range kinds() {
		w := newWorld(t, k, setupWithoutLimits)
		if err := w.Setup(t.Context(), setupWithoutLimits); !errors.Is(err, control.ErrEnded) {
			t.Errorf("%s: a second setup: %v", k.name, err)
		}
	}
	for want, setup := range map[string]guest.Setup{
		"no such file":  {Alias: "127.0.0.1", Owned: []guest.Owned{{Path: "/no/such/folder"}}},
		"loopback":      {Alias: "0.0.0.0"},
		"loopback addr": {Alias: "::1"},
	} {
		conn := bare(t)
		if err := conn.Setup(t.Context(), setup); !errors.Is(err, control.ErrGuest) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// bare gives the connection to a guest, of the weakest kind, that has not been set
// up.
func bare(t *testing.T) *control.Conn {
	t.Helper()
	w := &world{t: t, kind: kinds()[0], dir: testenv.ShortDir(t), said: &bytes.Buffer{}, exit: make(chan error, 1)}
	path := filepath.Join(w.dir, "control.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	w.must(err)
	w.must(os.Chmod(path, 0o777))
	w.start(path)
	conn, err := w.accept(t.Context(), l)
	w.must(err)
	t.Cleanup(func() { conn.Close(); <-w.exit })
	return conn
}

func TestForwardersLeadToTheDoors(t *testing.T) {
	for _, k := range kinds()[1:] { // a network of its own has the ports free
		t.Run(k.name, func(t *testing.T) {
			dir := testenv.ShortDir(t)
			var forwards []guest.Forward
			for port, name := range map[uint16]string{9099: "egress", 9420: "git-gate"} {
				path := filepath.Join(dir, name+".sock")
				echo(t, path, name)
				forwards = append(forwards, guest.Forward{Port: port, Socket: path})
			}
			forwards = append(forwards, guest.Forward{Port: 9100, Socket: filepath.Join(dir, "gone.sock")})
			w := newWorld(t, k, guest.Setup{Forwards: forwards})
			// The answer comes after the end of the question: half-closing works.
			if got := w.sh("echo hello | $HELPER dial 127.0.0.77:9099"); got != "egress: hello\n" {
				t.Errorf("got %q", got)
			}
			if got := w.sh("head -c 1000000 /dev/zero | $HELPER dial 127.0.0.77:9420 | wc -c"); strings.TrimSpace(got) != "1000010" {
				t.Errorf("got %s bytes", got)
			}
			if got := w.sh("$HELPER dial 127.0.0.77:9100 </dev/null"); got != "" {
				t.Errorf("a door that is gone says %q", got)
			}
		})
	}
}

// echo serves a door that reads to the end and answers with its name and what it
// got.
func echo(t *testing.T, path, name string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				got, _ := io.ReadAll(c)
				fmt.Fprintf(c, "%s: %s", name, got)
			}()
		}
	}()
}
