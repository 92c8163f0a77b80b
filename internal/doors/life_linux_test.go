package doors_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/action/internal/doors"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/testenv"
)

// supervised is what the helper prints when its sidecar's doors are open.
type supervised struct {
	PID   int
	Ready doors.Ready
}

// supervise runs a supervisor in a process of its own, as an ordinary user or as
// whoever runs the tests. It is killed at the end.
func supervise(t *testing.T, asUser bool) (supervised, *exec.Cmd) {
	t.Helper()
	dir := testenv.ShortDir(t)
	cmd := exec.Command(testenv.Binary(t, "./internal/helper"), "supervise", dir)
	if asUser {
		if os.Getuid() == 0 {
			if err := os.Chown(dir, testenv.UnprivilegedID, testenv.UnprivilegedID); err != nil {
				t.Fatal(err)
			}
		}
		testenv.AsUser(cmd)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sync.OnceFunc(func() { cmd.Process.Kill(); cmd.Wait() }))
	var s supervised
	if err := json.NewDecoder(out).Decode(&s); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		t.Fatalf("the supervisor: %v\n%s", err, &stderr)
	}
	return s, cmd
}

func TestKillingTheSupervisorEndsTheSidecar(t *testing.T) {
	for name, asUser := range map[string]bool{"user": true, "whoever runs the tests": false} {
		t.Run(name, func(t *testing.T) {
			s, cmd := supervise(t, asUser)
			ended(t, s.PID, func() { cmd.Process.Kill() })
		})
	}
}

func TestKillingTheSupervisorEndsASidecarThatHearsNothing(t *testing.T) {
	s, cmd := supervise(t, false)
	if err := unix.Kill(s.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ended(t, s.PID, func() { cmd.Process.Kill() })
}

func TestTheSidecarEndsByItselfWhenItsSocketCloses(t *testing.T) {
	w := configured(t)
	begun := time.Now()
	w.stop() // an error if it had to be killed
	if took := time.Since(begun); took > time.Second {
		t.Errorf("it took %v", took)
	}
	if err := w.sidecar.Err(); err != nil {
		t.Errorf("the reason is %v", err)
	}
	select {
	case <-w.sidecar.Done():
	default:
		t.Error("Done is open")
	}
	if err := w.sidecar.Stop(w.context()); err != nil {
		t.Errorf("stopping again: %v", err)
	}
}

func TestASidecarThatWasNotConfiguredEndsByItself(t *testing.T) {
	start(t).stop()
}

// awaitStopped returns when every thread has stopped: until then one may still see the
// socket close, and end the process by itself.
func (w *world) awaitStopped() {
	w.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", w.sidecar.PID()))
		w.must(err)
		running := slices.ContainsFunc(tasks, func(path string) bool {
			stat, err := os.ReadFile(path)
			_, state, _ := strings.Cut(string(stat), ") ")
			return err == nil && !strings.HasPrefix(state, "T")
		})
		if len(tasks) > 0 && !running {
			return
		}
	}
	w.t.Fatal("it did not stop")
}

func TestASidecarThatDoesNotEndIsKilled(t *testing.T) {
	w := configured(t)
	w.must(unix.Kill(w.sidecar.PID(), unix.SIGSTOP))
	w.awaitStopped()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.sidecar.Stop(ctx); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the reason is %v", err)
	}
}

func TestTheSidecarOutlivesTheThreadsOfItsSupervisor(t *testing.T) {
	w := configured(t)
	var ending sync.WaitGroup
	for range 200 {
		ending.Go(func() { runtime.LockOSThread() }) // ends its thread
	}
	ending.Wait()
	if code := w.get("egress", doors.ProofPath+nonce); code != 204 {
		t.Errorf("the door answers %d", code)
	}
	select {
	case <-w.sidecar.Done():
		t.Errorf("the sidecar has ended: %v", w.sidecar.Err())
	default:
	}
}

func TestTheEndOfTheSidecarIsNoticed(t *testing.T) {
	w := configured(t)
	ctx := w.context()
	waiting := make(chan error, 1)
	go func() { _, err := w.sidecar.WaitProof(ctx); waiting <- err }()
	w.must(unix.Kill(w.sidecar.PID(), unix.SIGKILL))
	select {
	case <-w.sidecar.Done():
	case <-ctx.Done():
		t.Fatal("it is not noticed")
	}
	err := w.sidecar.Err()
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the reason is %v", err)
	}
	if got := <-waiting; !errors.Is(got, err) {
		t.Errorf("who waited for the proof is told %v", got)
	}
	if _, got := w.sidecar.Configure(ctx, config()); !errors.Is(got, err) {
		t.Errorf("who comes later is told %v", got)
	}
}

func TestASidecarThatIsStartedByHandSaysWhoStartsIt(t *testing.T) {
	out, err := exec.Command(testenv.Binary(t, "./internal/helper"), doors.Verb).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "hint: bot-bottle run starts the sidecar by itself") {
		t.Errorf("%v\n%s", err, out)
	}
	err = doors.Main(t.Context(), []string{"--help"})
	if term.StageOf(err, "") != term.StageUsage {
		t.Errorf("with arguments: %v", err)
	}
}

func TestALogThatCouldBeWrittenOverIsRefused(t *testing.T) {
	w, o := newWorld(t)
	f, err := os.OpenFile(w.path("decisions.jsonl"), os.O_WRONLY, 0)
	w.must(err)
	defer f.Close()
	o.Decisions = f
	w.start(o)
	if _, err := w.sidecar.Configure(w.context(), config()); err == nil {
		t.Error("it was taken")
	}
	if said := w.stderr.String(); !strings.Contains(said, "not open for appending") {
		t.Errorf("it said %q", said)
	}
}

func TestWhatCanNotBeStartedIsAnErrorOfStart(t *testing.T) {
	for name, change := range map[string]func(*doors.StartOptions){
		"no executable": func(o *doors.StartOptions) { o.Executable += "-missing" },
		"no listener":   func(o *doors.StartOptions) { delete(o.Listeners, "supervise") },
		"closed log":    func(o *doors.StartOptions) { o.Decisions.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			w, o := newWorld(t)
			change(&o)
			s, err := doors.Start(w.context(), o)
			if err == nil {
				s.Stop(w.context())
				t.Error("it was started")
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, o := newWorld(t)
	if _, err := doors.Start(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of ctx: %v", err)
	}
}
