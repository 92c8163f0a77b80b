package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unread starts a job whose stdout and stderr are one pipe, waits until the job is
// up, and from then on reads nothing.
func (w *world) unread(args ...string) (*exec.Cmd, *os.File) {
	w.t.Helper()
	r, out, err := os.Pipe()
	w.must(err)
	w.t.Cleanup(func() { r.Close() })
	cmd := w.command(w.t.Context(), append([]string{"run", "--quiet"}, args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	w.must(cmd.Start())
	out.Close()
	up := make([]byte, 3)
	if _, err := r.Read(up); err != nil || string(up) != "up\n" {
		w.t.Fatalf("the agent did not come up: %q %v", up, err)
	}
	return cmd, r
}

// endsWith waits for cmd, within, and checks its exit code.
func (w *world) endsWith(cmd *exec.Cmd, within time.Duration, code int) {
	w.t.Helper()
	late := time.AfterFunc(within, func() { cmd.Process.Kill() })
	defer late.Stop()
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != code {
		w.t.Errorf("exit code %d, wanted %d; -1: still running after %v", got, code, within)
	}
}

// flood fills any pipe.
const flood = "echo up; yes"

func TestReaderThatStopsReadingDoesNotOutliveTheTimeLimit(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		cmd, _ := w.unread("--timeout", "2s", "--", "sh", "-c", flood)
		w.endsWith(cmd, 30*time.Second, 124)
		w.nothingLeft()
	})
}

func TestReaderThatStopsReadingDoesNotHoldUpASignal(t *testing.T) {
	w := newWorld(t, true)
	cmd, _ := w.unread("--", "sh", "-c", flood)
	time.Sleep(500 * time.Millisecond) // the pipe fills
	cmd.Process.Signal(syscall.SIGTERM)
	w.endsWith(cmd, 30*time.Second, 143)
	w.nothingLeft()
}

func TestReaderThatLeavesEndsNoJob(t *testing.T) {
	w := newWorld(t, true)
	cmd, r := w.unread("--report-dir", w.dir+"/report", "--", "sh", "-c", "echo up; sleep 1; seq 100000; echo the end; exit 3")
	r.Close()
	w.endsWith(cmd, patience, 1)
	if log, err := os.ReadFile(w.dir + "/report/agent.log"); err != nil || !bytes.HasSuffix(log, []byte("the end\n")) {
		t.Errorf("the log ends with %q (%v)", log[max(0, len(log)-40):], err)
	}
	w.nothingLeft()
}

func TestReportOfAHostileNameHoldsNoCommandOnStdout(t *testing.T) {
	w := newWorld(t, true)
	r := w.checkout(map[string]string{"a.txt": "one\n"}).work("hostile", "touch '##[error]x'", "--json")
	if r.code != 0 || strings.Contains(r.stdout, "##[") || !strings.Contains(r.stdout, `#\u0023[error]x`) {
		t.Error(r)
	}
}

func TestForkBombLeftBehindDoesNotCostTheChanges(t *testing.T) {
	w := newWorld(t, true)
	start := time.Now()
	r := w.checkout(map[string]string{"a.txt": "one\n"}).work("bomb", `echo two >> a.txt
		cat > /tmp/bomb <<'END'
while :; do sh /tmp/bomb & sh /tmp/bomb & wait; done 2>/dev/null
END
		setsid sh /tmp/bomb >/dev/null 2>&1 &
		sleep 1`)
	if r.code != 0 {
		t.Error(r)
	}
	t.Logf("it took %v", time.Since(start))
	if patch, err := os.ReadFile(w.report() + "/changes.patch"); err != nil || !strings.Contains(string(patch), "+two") {
		t.Errorf("the changes: %q, %v", patch, err)
	}
	w.nothingLeft()
}

func TestAnswerThatCannotBeWrittenIsNoSuccess(t *testing.T) {
	w := newWorld(t, true)
	w.write("bottles/b.md", "---\nlimits: {cpus: 1}\n---\n")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	w.must(err)
	defer full.Close()
	for _, args := range [][]string{{"version"}, {"version", "--json"}, {"ls"}, {"ls", "--json"}, {"validate", "bottles"}, {"run", "--dry-run", "--", "true"}} {
		var stderr bytes.Buffer
		cmd := w.command(t.Context(), args...)
		cmd.Stdout, cmd.Stderr = full, &stderr
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 6 || !strings.Contains(stderr.String(), "stdout: writing the answer: ") {
			t.Errorf("%v: exit code %d\n%s", args, code, &stderr)
		}
	}
}
