package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/backends/backendtest"
	"github.com/bot-bottle/action/backends/docker/dockertest"
	"github.com/bot-bottle/action/internal/testenv"
)

// runsc is our own binary as a runtime for an engine.
func runsc(t testing.TB, args ...string) map[string]dockertest.Runtime {
	t.Helper()
	link := filepath.Join(testenv.ShortDir(t), "runsc")
	if err := os.Symlink(testenv.Binary(t, binary), link); err != nil {
		t.Fatal(err)
	}
	return map[string]dockertest.Runtime{"runsc": {Path: link, Args: args}}
}

// bottleArguments are what a bottle needs of runsc.
var bottleArguments = []string{"--host-uds=open", "--directfs=false", "--network=none"}

// with lets the world's user use the engine, as one of its group may.
func (w *world) with(e *dockertest.Engine) *world {
	w.t.Helper()
	if w.asUser {
		w.must(os.Chown(e.Socket, w.uid, 0))
	}
	w.env = append(w.env, "DOCKER_HOST=unix://"+e.Socket)
	return w
}

// container writes a bottle that is content with the host's kernel, and gives the
// flags.
func (w *world) container() []string {
	w.t.Helper()
	w.write("bottles/container.md", "---\nisolation: container\n---\n")
	return []string{"--bottles-dir", filepath.Join(w.dir, "bottles"), "--bottle", "container"}
}

func (w *world) dockerKit(t *testing.T, e *dockertest.Engine, o backendtest.Options) {
	o.Backend = "docker"
	o.Command = func(ctx context.Context, args ...string) *exec.Cmd { return w.command(ctx, args...) }
	o.NothingLeft = func(t testing.TB) {
		w.nothingLeft()
		if left := e.Containers(t); len(left) != 0 {
			t.Errorf("containers are left: %q", left)
		}
	}
	backendtest.Run(t, o)
}

func TestDockerWithRuncPassesTheBackendKit(t *testing.T) {
	engine := dockertest.Start(t, dockertest.Options{})
	eachCaller(t, func(t *testing.T, w *world) {
		w.with(engine).dockerKit(t, engine, backendtest.Options{Flags: w.container(), NoRoot: "the agent would be root on the host's own kernel"})
	})
}

func TestDockerWithGVisorPassesTheBackendKit(t *testing.T) {
	engine := dockertest.Start(t, dockertest.Options{Runtimes: runsc(t, bottleArguments...)})
	eachCaller(t, func(t *testing.T, w *world) { w.with(engine).dockerKit(t, engine, backendtest.Options{}) })
}

func TestRootOfAContainerWithMappedUsersIsNobodyOnTheHost(t *testing.T) {
	const from = 1_800_000_000
	engine := dockertest.Start(t, dockertest.Options{MappedFrom: from})
	eachCaller(t, func(t *testing.T, w *world) {
		args := append(append([]string{"run", "--quiet", "--backend", "docker", "--root"}, w.with(engine).container()...), "--", "sh", "-c", "id -u; read a b c < /proc/self/uid_map; echo $a $b; touch /run/x; ls /sys/fs/cgroup")
		want := fmt.Sprintf("0\n0 %d\n", from)
		if r := w.run(args...); r.code != 0 || r.stdout != want {
			t.Errorf("wanted %q, got %s", want, r)
		}
		w.nothingLeft()
	})
}

func TestDockerSaysWhatStandsInTheWay(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		want []string
	}{
		"no engine":       {[]string{"DOCKER_HOST=unix:///nowhere/docker.sock"}, []string{"there is no engine", "hint: install Docker Engine"}},
		"another machine": {[]string{"DOCKER_HOST=tcp://192.0.2.1:2375"}, []string{"is no socket of this host", "hint: unset DOCKER_HOST"}},
		"by ssh":          {[]string{"DOCKER_HOST=ssh://me@192.0.2.1"}, []string{"is no socket of this host", "hint: unset DOCKER_HOST"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, true)
			w.env = c.env
			refuses(t, w.run("run", "--backend", "docker", "--", "true"), 3, c.want...)
		})
	}
}

func TestDockerOfOthersIsRefusedWithTheRemedy(t *testing.T) {
	engine := dockertest.Start(t, dockertest.Options{})
	w := newWorld(t, true)
	w.env = []string{"DOCKER_HOST=unix://" + engine.Socket} // which stays root's
	refuses(t, w.run("run", "--backend", "docker", "--", "true"), 3, "this user may not use", "hint: add this user to the group of the socket")
}

func TestDockerWithoutGVisorIsNoGVisor(t *testing.T) {
	engine := dockertest.Start(t, dockertest.Options{Runtimes: runsc(t)})
	w := newWorld(t, false).with(engine)
	refuses(t, w.run("run", "--backend", "docker", "--", "true"), 3, "without --directfs=false --host-uds=open", "runsc-bottle", "/etc/docker/daemon.json")
	w.neverBegan()
}

// holds starts a job that says "up" and stays; the function given ends it.
func (w *world) holds(script string, flags ...string) (end func()) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	cmd := w.command(ctx, append(append([]string{"run", "--quiet"}, flags...), "--", "bash", "-c", script+"; echo up; sleep 1000")...)
	out, err := cmd.StdoutPipe()
	w.must(err)
	w.must(cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "up\n" {
		cancel()
		cmd.Wait()
		w.t.Fatalf("the job says %q, %v", line, err)
	}
	return func() {
		defer cancel()
		cmd.Process.Signal(syscall.SIGINT)
		if cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
			w.t.Errorf("the job ended with %v", cmd.ProcessState)
		}
	}
}

// counts what a guest sees of egress doors on the aliases that are leased first, and
// of files that another guest made.
const looksAround = `n=0; for i in $(seq 16 24); do (exec 3<>/dev/tcp/127.0.0.$i/9099) 2>/dev/null && n=$((n+1)); done
	echo doors $n; find /workspace /tmp /var/tmp /home /run -name 'theirs-*' 2>/dev/null; ls /run/bot-bottle 2>/dev/null; true`

func TestBottlesOfTwoBackendsDontMeet(t *testing.T) {
	engine := dockertest.Start(t, dockertest.Options{})
	eachCaller(t, func(t *testing.T, w *world) {
		w.with(engine)
		ways := map[string][]string{"gvisor": {"--backend", "gvisor"}, "docker": append([]string{"--backend", "docker"}, w.container()...)}
		for holder, other := range map[string]string{"gvisor": "docker", "docker": "gvisor"} {
			end := w.holds("touch /workspace/theirs-a /tmp/theirs-b ~/theirs-c", ways[holder]...)
			r := w.run(append(append([]string{"run", "--quiet"}, ways[other]...), "--", "bash", "-c", looksAround)...)
			if r.code != 0 || r.stdout != "doors 1\n" {
				t.Errorf("%s beside %s: %s", other, holder, r)
			}
			end()
		}
		w.nothingLeft()
	})
}

// callsRefused makes system calls that have no business in a bottle, and prints the
// error of each. Numbers are those of x86-64.
const callsRefused = `
import ctypes, socket
libc = ctypes.CDLL(None, use_errno=True)
for name, number, args in [("io_uring_setup", 425, (1, 0)), ("userfaultfd", 323, (0,)), ("keyctl", 250, (0, -3, 0)), ("add_key", 248, (0, 0, 0, 0, -3)),
        ("request_key", 249, (0, 0, 0, 0)), ("bpf", 321, (0, 0, 0)), ("perf_event_open", 298, (0, 0, -1, -1, 0)), ("kcmp", 312, (1, 1, 0, 0, 0)),
        ("unshare", 272, (0x10000000,)), ("mount", 165, (0, 0, 0, 0, 0)), ("setns", 308, (0, 0)), ("open_by_handle_at", 304, (0, 0, 0)), ("modify_ldt", 154, (0, 0, 0))]:
    result = libc.syscall(number, *args)
    print(name, result, ctypes.get_errno())
for name, family, kind, protocol in [("vsock", 40, 1, 0), ("alg", 38, 5, 0), ("packet", 17, 3, 0), ("netfilter", 16, 3, 12), ("bluetooth", 31, 3, 1), ("xdp", 44, 3, 0)]:
    try:
        socket.socket(family, kind, protocol)
        print(name, "made")
    except OSError as e:
        print(name, -1, e.errno)
`

func TestContainerMakesNoSystemCallThatLeadsOut(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		testenv.Skip(t, "the numbers of the calls are those of x86-64")
	}
	engine := dockertest.Start(t, dockertest.Options{})
	w := newWorld(t, false).with(engine)
	r := w.run(append(append([]string{"run", "--quiet", "--backend", "docker"}, w.container()...), "--", "python3", "-c", callsRefused)...)
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if r.code != 0 || len(lines) != 19 {
		t.Fatal(r)
	}
	for _, line := range lines {
		if !strings.HasSuffix(line, " -1 1") { // EPERM
			t.Errorf("%s: wanted EPERM", line)
		}
	}
}

// forksUntilRefused says "held" if that comes at about 32 tasks and those of process 1.
const forksUntilRefused = `import os, signal
children = []
while len(children) < 200:
    try: child = os.fork()
    except OSError: break
    if not child: signal.pause()
    children.append(child)
print("held" if 8 < len(children) < 97 else len(children))
for child in children: os.kill(child, 9)`

func TestContainerIsHeldToItsLimits(t *testing.T) {
	engine := dockertest.Start(t, dockertest.Options{})
	w := newWorld(t, false).with(engine)
	limited := func(limits, script string) result {
		return w.run(append(append(w.bottle("isolation: container\nlimits: {"+limits+"}\n", "bash", "-c", script), "--backend", "docker"), "--quiet")...)
	}
	for name, c := range map[string]struct{ limits, script, want string }{
		"disk below memory": {"memory: 512MiB, disk: 64MiB", "head -c 40M /dev/zero > a; echo $?; head -c 20M /dev/zero > ~/b; echo $?; rm ~/b; head -c 10M /dev/zero > ~/c; echo $?", "1\n1\n0\n"},
		"tasks":             {"pids: 32, memory: 512MiB", "python3 -c '" + forksUntilRefused + "'", "held\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if r := limited(c.limits, c.script); r.stdout != c.want {
				t.Errorf("wanted %q, got %s", c.want, r)
			}
		})
	}
	t.Run("memory", func(t *testing.T) {
		// The kernel picks whom it ends. Whether that is process 1 or the hog, the
		// hog does not get more.
		if r := limited("memory: 192MiB", "head -c 400M /dev/zero | tail -c 400M | wc -c"); strings.Contains(r.stdout, "419430400") {
			t.Error(r)
		}
	})
	t.Run("files are memory", func(t *testing.T) {
		r := limited("memory: 192MiB, disk: 1GiB", "head -c 400M /dev/zero > a; echo $?")
		if r.code != 8 && r.stdout != "137\n" || r.code == 8 && !strings.Contains(r.stderr, "memory limit exceeded") {
			t.Error(r)
		}
	})
	w.nothingLeft()
}

func TestContainerOfADeadSupervisorEndsAndIsReaped(t *testing.T) {
	engine := dockertest.Start(t, dockertest.Options{})
	w := newWorld(t, false).with(engine)
	cmd := w.command(t.Context(), append(append([]string{"run", "--quiet", "--backend", "docker"}, w.container()...), "--", "sh", "-c", "echo up; sleep 1000")...)
	out, err := cmd.StdoutPipe()
	w.must(err)
	w.must(cmd.Start())
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Error(err)
	}
	w.must(cmd.Process.Kill())
	cmd.Wait()
	running := func() (n int) {
		var list []struct{ ID string }
		engine.Call(t, "GET", "/containers/json", nil, &list)
		return len(list)
	}
	eventually(t, time.Minute, "the container's end", func() bool { return running() == 0 })
	if r := w.run("reap"); r.code != 0 {
		t.Error(r)
	}
	w.nothingLeft()
	if left := engine.Containers(t); len(left) != 0 {
		t.Errorf("containers are left: %q", left)
	}
}
