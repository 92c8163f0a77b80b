package doors_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/action/internal/doors"
	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/testenv"
)

const (
	nonce    = "6e6f6e63656e6f6e63656e6f6e63656e"
	patience = 20 * time.Second
)

var allDoors = []decision.Door{decision.Egress, decision.GitGate, decision.Supervise}

// world is a bottle's doors with the sidecar that serves them, a real process.
type world struct {
	t       *testing.T
	dir     string
	sidecar *doors.Sidecar
	stderr  *lines
}

// newWorld gives a world whose sidecar isn't started yet, and the options to do
// so as an ordinary user.
func newWorld(t *testing.T) (*world, doors.StartOptions) {
	t.Helper()
	w := &world{t: t, dir: testenv.ShortDir(t), stderr: newLines()}
	log, err := os.OpenFile(w.path("decisions.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	w.must(err)
	t.Cleanup(func() { log.Close() })
	o := doors.StartOptions{
		Executable: testenv.Binary(t, "./internal/helper"),
		Listeners:  map[decision.Door]*net.UnixListener{},
		Decisions:  log,
		UID:        testenv.UserID(),
		GID:        os.Getgid(),
		Stderr:     w.stderr,
	}
	if os.Getuid() == 0 {
		o.GID = testenv.UnprivilegedID
	}
	for _, door := range allDoors {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: w.path(string(door)), Net: "unix"})
		w.must(err)
		l.SetUnlinkOnClose(false)
		t.Cleanup(func() { l.Close() })
		o.Listeners[door] = l
	}
	return w, o
}

// start starts a sidecar as an ordinary user, and ends it after the test.
func start(t *testing.T) *world {
	t.Helper()
	w, o := newWorld(t)
	w.start(o)
	return w
}

func (w *world) start(o doors.StartOptions) {
	w.t.Helper()
	var err error
	w.sidecar, err = doors.Start(w.t.Context(), o)
	w.must(err)
	for _, l := range o.Listeners {
		l.Close() // as the supervisor does
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		w.sidecar.Stop(ctx)
		if w.t.Failed() {
			w.t.Logf("the sidecar printed:\n%s", w.stderr)
		}
	})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) context() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	w.t.Cleanup(cancel)
	return ctx
}

// config allows this process to connect, and no host to be reached.
func config(routes ...policy.Route) doors.Config {
	return doors.Config{
		Policy: policy.Policy{Epoch: 1, Bottle: "test", Egress: policy.Egress{Routes: routes}},
		Nonce:  nonce,
		Peers:  []int{os.Getuid()},
	}
}

func (w *world) configure(c doors.Config) doors.Ready {
	w.t.Helper()
	ready, err := w.sidecar.Configure(w.context(), c)
	w.must(err)
	return ready
}

// configured is a world with open doors.
func configured(t *testing.T, routes ...policy.Route) *world {
	t.Helper()
	w := start(t)
	w.configure(config(routes...))
	return w
}

// client speaks to a door as a guest does that knows nothing of proxies.
func (w *world) client(door decision.Door) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return w.dial(ctx, door) },
	}}
}

func (w *world) dial(ctx context.Context, door decision.Door) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", w.path(string(door)))
}

// get gives the status of a GET at a door.
func (w *world) get(door decision.Door, path string) int {
	w.t.Helper()
	answer, err := w.client(door).Get("http://127.0.0.16" + path)
	w.must(err)
	answer.Body.Close()
	return answer.StatusCode
}

// stop ends the sidecar, which has to go well.
func (w *world) stop() {
	w.t.Helper()
	if err := w.sidecar.Stop(w.context()); err != nil {
		w.t.Fatalf("stopping: %v", err)
	}
}

// decisions ends the sidecar and gives what it recorded.
func (w *world) decisions() []decision.Line {
	w.t.Helper()
	w.stop()
	f, err := os.Open(w.path("decisions.jsonl"))
	w.must(err)
	defer f.Close()
	return slices.Collect(decision.Read(f))
}

// attempts has the confined sidecar try what it must not be able to do.
func (w *world) attempts() (a attempts) {
	w.t.Helper()
	w.must(unix.Kill(w.sidecar.PID(), unix.SIGUSR1))
	line, err := w.stderr.next(w.context())
	w.must(err)
	w.must(json.Unmarshal([]byte(line), &a))
	return a
}

// attempts is what the helper prints: errno names by try.
type attempts struct{ Everyday, Grave, Necessary map[string]string }

// status reads the status files (proc(5)) of all threads of a process.
func status(t *testing.T, pid int) []map[string]string {
	t.Helper()
	names, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/status")
	if err != nil || len(names) == 0 {
		t.Fatalf("process %d has no threads (%v)", pid, err)
	}
	var all []map[string]string
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		fields := map[string]string{}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(line, ":")
			fields[key] = strings.Join(strings.Fields(value), " ")
		}
		all = append(all, fields)
	}
	return all
}

// ended waits until a process that isn't a child of ours has ended.
func ended(t *testing.T, pid int, kill func()) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("opening process %d: %v", pid, err)
	}
	defer unix.Close(fd)
	kill()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
		if n > 0 {
			return
		}
		if err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
	}
	t.Fatalf("process %d is still there", pid)
}

// lines is a writer whose lines can be waited for.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	left bytes.Buffer
	new  chan struct{}
}

func newLines() *lines { return &lines{new: make(chan struct{}, 1)} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	l.left.Write(p)
	select {
	case l.new <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (l *lines) next(ctx context.Context) (string, error) {
	for {
		l.mu.Lock()
		if bytes.IndexByte(l.left.Bytes(), '\n') >= 0 {
			line, err := bufio.NewReaderSize(&l.left, 1).ReadString('\n')
			l.mu.Unlock()
			return line, err
		}
		l.mu.Unlock()
		select {
		case <-l.new:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
