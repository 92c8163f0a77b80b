package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/guest"
	"github.com/bot-bottle/action/internal/guest/control"
	"github.com/bot-bottle/action/internal/testenv"
)

// patience is how long a test waits for what has to happen.
const patience = 20 * time.Second

// agentID is the user of commands where process 1 is root. It is nobody else's,
// because tasks are counted by user.
const agentID = 1_999_000_003

// kind is a way to run process 1.
type kind struct {
	name       string
	namespaces bool // as process 1 of namespaces of its own, else as a mere child
	root       bool // as root with few capabilities, else as an ordinary user
}

// kinds are those that the caller of the tests can have.
func kinds() []kind {
	all := []kind{{name: "child"}, {name: "user namespace", namespaces: true}}
	if os.Getuid() == 0 {
		all = append(all, kind{name: "root", namespaces: true, root: true})
	}
	return all
}

// world is a guest that has called.
type world struct {
	*control.Conn
	t    *testing.T
	kind kind
	dir  string // the guest can pass through it
	init *exec.Cmd
	said *bytes.Buffer // by process 1, after its end
	exit chan error    // of process 1
	uid  uint32        // whom commands run as
}

// eachKind runs the test in each kind of guest.
func eachKind(t *testing.T, run func(*testing.T, *world)) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) { run(t, newWorld(t, k, guest.Setup{})) })
	}
}

// eachProcess1 leaves out the kind that is not process 1.
func eachProcess1(t *testing.T, run func(*testing.T, *world)) {
	for _, k := range kinds()[1:] {
		t.Run(k.name, func(t *testing.T) { run(t, newWorld(t, k, guest.Setup{})) })
	}
}

func newWorld(t *testing.T, k kind, setup guest.Setup) *world {
	t.Helper()
	w := &world{t: t, kind: k, dir: testenv.ShortDir(t), said: &bytes.Buffer{}, exit: make(chan error, 1)}
	path := filepath.Join(w.dir, "control.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	w.must(err)
	w.must(os.Chmod(path, 0o777))
	w.start(path)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w.Conn, err = w.accept(ctx, l)
	w.must(err)
	t.Cleanup(func() {
		w.Close()
		select {
		case <-w.exit: // by itself, with everything that it started
		case <-time.After(patience):
			w.init.Process.Kill()
			<-w.exit
		}
	})
	setup.Alias = "127.0.0.77"
	w.must(w.Setup(ctx, setup))
	return w
}

// start starts process 1.
func (w *world) start(path string) {
	w.t.Helper()
	verb := "init"
	if w.kind.namespaces {
		verb = "boot"
	}
	w.init = exec.Command(testenv.Binary(w.t, "../internal/helper"), verb, path)
	w.init.Env, w.init.Dir = []string{}, w.dir
	w.init.Stdout, w.init.Stderr = w.said, w.said
	w.uid = uint32(testenv.UserID())
	switch {
	case w.kind.root:
		w.uid = agentID
		w.init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: newNamespaces}
	case w.kind.namespaces:
		one := []syscall.SysProcIDMap{{ContainerID: 0, HostID: testenv.UserID(), Size: 1}}
		w.uid = 0
		w.init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: newNamespaces | syscall.CLONE_NEWUSER, UidMappings: one, GidMappings: one,
			Credential: &syscall.Credential{NoSetGroups: true}}
	default:
		testenv.AsUser(w.init)
	}
	w.must(w.init.Start())
	go func() { w.exit <- w.init.Wait() }()
}

// accept takes the guest's call, or fails where process 1 ends before.
func (w *world) accept(ctx context.Context, l *net.UnixListener) (*control.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-ctx.Done():
		case err := <-w.exit:
			cancel(fmt.Errorf("process 1 has ended: %w: %s", err, w.said))
			w.exit <- err
		}
	}()
	return control.Accept(ctx, l, func(int, int) error { return nil })
}

const newNamespaces = syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// cmd is a command with the output given.
func (w *world) cmd(stdout, stderr io.Writer, argv ...string) control.Cmd {
	return control.Cmd{
		Command: guest.Command{
			Argv: argv, Env: []string{"PATH=/usr/bin:/bin", "HELPER=" + testenv.Binary(w.t, "../internal/helper")},
			Dir: "/", UID: w.uid, GID: w.uid, Grace: 100 * time.Millisecond,
		},
		Stdout: stdout, Stderr: stderr,
	}
}

// sh runs a script to its end and gives its output; the script's exit code has to
// be 0.
func (w *world) sh(script string) string {
	w.t.Helper()
	var out, said bytes.Buffer
	exit, err := w.exec(w.cmd(&out, &said, "sh", "-c", script))
	if err != nil || exit.Code != 0 {
		w.t.Fatalf("%s: code %d, %v\n%s", script, exit.Code, err, said.Bytes())
	}
	return out.String()
}

// exec runs c, which has to come to its end before the test's patience does.
func (w *world) exec(c control.Cmd) (guest.Exit, error) {
	ctx, cancel := context.WithTimeoutCause(w.t.Context(), patience, errors.New("the test's patience is over"))
	defer cancel()
	return w.Exec(ctx, c)
}

// fifo makes a named pipe that processes in the guest can hold open: it ends when
// all of them are gone.
func (w *world) fifo() (path string, gone func(what string)) {
	w.t.Helper()
	path = filepath.Join(w.dir, "fifo")
	w.must(syscall.Mkfifo(path, 0o666))
	w.must(os.Chmod(path, 0o666))
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	w.must(err)
	w.t.Cleanup(func() { r.Close() })
	return path, func(what string) {
		w.t.Helper()
		r.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, r); err != nil {
			w.t.Errorf("%s: its processes live on: %v", what, err)
		}
	}
}

// gate is a writer that blocks until it is opened, and tells when it is first
// written to.
type gate struct {
	reached chan struct{}
	opened  chan struct{}
	once    sync.Once
	mu      sync.Mutex
	buffer  bytes.Buffer
}

func newGate() *gate { return &gate{reached: make(chan struct{}), opened: make(chan struct{})} }

func (g *gate) Write(p []byte) (int, error) {
	g.once.Do(func() { close(g.reached) })
	<-g.opened
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.buffer.Write(p)
}

func (g *gate) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.buffer.Len()
}

// signalled is a writer that tells when a word was written.
type signalled struct {
	word string
	seen chan struct{}
	all  strings.Builder
	done bool
}

func waitFor(word string) *signalled { return &signalled{word: word, seen: make(chan struct{})} }

func (s *signalled) Write(p []byte) (int, error) {
	s.all.Write(p)
	if !s.done && strings.Contains(s.all.String(), s.word) {
		s.done = true
		close(s.seen)
	}
	return len(p), nil
}

// within fails the test where c isn't closed in time.
func (w *world) within(what string, c <-chan struct{}) {
	w.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		w.t.Fatalf("waited %v for %s", patience, what)
	}
}
