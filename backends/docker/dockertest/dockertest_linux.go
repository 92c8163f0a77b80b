package dockertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/testenv"
	"golang.org/x/sys/unix"
)

// patience bounds an engine's start, its end, and an answer, on a machine that does
// much else.
const patience = time.Minute

// Runtime is an OCI runtime as the engine's settings have it.
type Runtime struct {
	Path string   `json:"path"`
	Args []string `json:"runtimeArgs,omitempty"`
}

// Options say how the engine differs from one that was just installed.
type Options struct {
	Runtimes map[string]Runtime // besides runc
	// MappedFrom is the host's user id that a container's root has (userns-remap);
	// 0 means that the users are the host's.
	MappedFrom int
}

// Engine is a running one.
type Engine struct {
	Socket string
	dir    string
	http   http.Client
	log    *bytes.Buffer
	argv   []string
	cmd    *exec.Cmd
	ended  chan error
}

// Start starts an engine that ends with the test. It needs root and Docker.
func Start(t testing.TB, o Options) *Engine {
	t.Helper()
	if os.Getuid() != 0 {
		testenv.Skip(t, "starting a Docker Engine takes root")
	}
	program, err := exec.LookPath("dockerd")
	if err != nil {
		testenv.Skip(t, "there is no dockerd; `make setup` installs one on Debian")
	}
	e := &Engine{dir: testenv.ShortDir(t), log: &bytes.Buffer{}}
	e.Socket = filepath.Join(e.dir, "docker.sock")
	e.http.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", e.Socket)
	}}
	e.http.Timeout = patience
	e.argv = append([]string{program}, e.flags(t, o)...)
	if o.MappedFrom != 0 {
		e.argv = e.mapped(t, o.MappedFrom)
	}
	t.Cleanup(func() { e.stop(t) })
	e.Restart(t)
	return e
}

// Restart starts the engine again, after Kill.
func (e *Engine) Restart(t testing.TB) {
	t.Helper()
	if err := e.endContainerd(); err != nil {
		t.Fatalf("ending the engine's containerd: %v", err)
	}
	e.cmd = exec.Command(e.argv[0], e.argv[1:]...)
	e.cmd.Stdout, e.cmd.Stderr = e.log, e.log
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	e.start(t)
	e.await(t)
}

// Kill ends the engine's own process without giving it a chance to do anything. Its
// containers stay.
func (e *Engine) Kill(t testing.TB) {
	t.Helper()
	if err := e.Signal(syscall.SIGKILL); err != nil {
		t.Fatalf("killing the engine: %v", err)
	}
	e.ended <- <-e.ended // it has ended; stop waits too
}

// flags keep everything of the engine in its own folder, and its hands off the
// host's network.
func (e *Engine) flags(t testing.TB, o Options) []string {
	t.Helper()
	if o.Runtimes == nil {
		o.Runtimes = map[string]Runtime{}
	}
	settings, err := json.Marshal(map[string]any{"runtimes": o.Runtimes})
	if err == nil {
		err = os.WriteFile(filepath.Join(e.dir, "daemon.json"), settings, 0o600)
	}
	if err != nil {
		t.Fatalf("writing the engine's settings: %v", err)
	}
	return []string{
		"--config-file", filepath.Join(e.dir, "daemon.json"), "--host", "unix://" + e.Socket,
		"--data-root", filepath.Join(e.dir, "data"), "--exec-root", filepath.Join(e.dir, "exec"), "--pidfile", filepath.Join(e.dir, "pid"),
		"--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false",
	}
}

// mapped gives the command for an engine that maps users: in a mount namespace of its
// own, where nobody has ids from the given one on (subuid(5)).
func (e *Engine) mapped(t testing.TB, from int) []string {
	t.Helper()
	file := filepath.Join(e.dir, "subids")
	if err := os.WriteFile(file, fmt.Appendf(nil, "nobody:%d:65536\n", from), 0o644); err != nil {
		t.Fatalf("writing subordinate ids: %v", err)
	}
	script := `mount --bind "$0" /etc/subuid && mount --bind "$0" /etc/subgid && exec "$@"`
	return append(append([]string{"unshare", "--mount", "sh", "-c", script, file}, e.argv...), "--userns-remap=nobody:nogroup")
}

// start starts the program in a thread that stays until it has ended: the signal at
// its parent's death is one at that thread's (prctl(2)).
func (e *Engine) start(t testing.TB) {
	t.Helper()
	started, ended, cmd := make(chan error), make(chan error, 1), e.cmd
	e.ended = ended
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("starting the engine: %v", err)
	}
}

// await waits until the engine answers. It has no way to say when that will be.
func (e *Engine) await(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-e.ended:
			e.ended <- err
			t.Fatalf("the engine has ended: %v\n%s", err, e.log)
		default:
		}
		if answer, err := e.http.Get("http://docker/_ping"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
	}
	t.Fatalf("the engine does not answer within %v", patience)
}

// Signal sends s to the engine's own process.
func (e *Engine) Signal(s os.Signal) error { return e.cmd.Process.Signal(s) }

// stop ends the engine and what it would leave: its containerd, and mounts.
func (e *Engine) stop(t testing.TB) {
	if e.cmd.Process == nil {
		return // it never started
	}
	e.Signal(syscall.SIGCONT) // where a test has stopped it
	e.Signal(syscall.SIGTERM)
	select {
	case <-e.ended:
	case <-time.After(patience):
		t.Errorf("the engine does not end within %v", patience)
		e.Signal(syscall.SIGKILL)
		<-e.ended
	}
	if err := e.endContainerd(); err != nil {
		t.Errorf("ending the engine's containerd: %v", err)
	}
	e.unmount(t)
}

// endContainerd ends the engine's child where it has survived, and forgets its
// number: an engine would wait for one that has ended and that nobody has reaped.
func (e *Engine) endContainerd() error {
	file := filepath.Join(e.dir, "exec/containerd/containerd.pid")
	b, err := os.ReadFile(file)
	if err != nil {
		return nil // it went with the engine
	}
	defer os.Remove(file)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if !bytes.Contains(cmdline, []byte(e.dir)) {
		return nil // another process has its number
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return err
	}
	_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience/time.Millisecond))
	return err
}

// unmount takes away the mounts below the engine's folder, the innermost first.
func (e *Engine) unmount(t testing.TB) {
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Errorf("listing mounts: %v", err)
	}
	lines := strings.Split(string(table), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if f := strings.Fields(lines[i]); len(f) > 1 && strings.HasPrefix(f[1], e.dir+"/") {
			unix.Unmount(f[1], unix.MNT_DETACH)
		}
	}
}

// Call asks the engine for path of its API ("/containers/json?all=1") with body, if
// it isn't nil, and decodes the answer into into, if it isn't nil.
func (e *Engine) Call(t testing.TB, method, path string, body, into any) {
	t.Helper()
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			t.Fatal(err)
		}
	}
	request, err := http.NewRequest(method, "http://docker"+path, &content)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := e.http.Do(request)
	if err != nil {
		t.Fatalf("asking the engine: %v", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		var said bytes.Buffer
		said.ReadFrom(answer.Body)
		t.Fatalf("asking the engine for %s: %s %s", path, answer.Status, &said)
	}
	if into != nil {
		if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
			t.Fatalf("asking the engine for %s: %v", path, err)
		}
	}
}

// Containers gives the names of all containers, running or not.
func (e *Engine) Containers(t testing.TB) []string {
	t.Helper()
	var list []struct{ Names []string }
	e.Call(t, http.MethodGet, "/containers/json?all=1", nil, &list)
	var names []string
	for _, c := range list {
		names = append(names, strings.TrimPrefix(strings.Join(c.Names, ","), "/"))
	}
	return names
}
