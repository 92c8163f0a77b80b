package confine_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/internal/testenv"
)

const confinedID = 1_999_000_002

// world runs the helper as whoever the test says.
type world struct {
	helper string
	asUser bool
}

// eachCaller runs the test as an ordinary user and, where the tests are run by
// root, as root.
func eachCaller(t *testing.T, run func(*testing.T, world)) {
	helper := testenv.Binary(t, "./internal/helper")
	t.Run("user", func(t *testing.T) { run(t, world{helper, true}) })
	if os.Getuid() == 0 {
		t.Run("root", func(t *testing.T) { run(t, world{helper, false}) })
	}
}

func (w world) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.helper, args...)
	cmd.Env = []string{"HOME=/", "PASSED_ON=no"}
	if w.asUser {
		testenv.AsUser(cmd)
	}
	return cmd
}

func (w world) spec(verb string, entries ...confine.Entry) confine.Spec {
	return confine.Spec{
		Exe: "/bin/helper", Argv: []string{"helper", verb}, Env: []string{"GIVEN=yes"}, UserID: confinedID,
		Root: append([]confine.Entry{
			{Kind: confine.KindProc, Target: "/proc"},
			{Kind: confine.KindBind, Source: w.helper, Target: "/bin/helper"},
			{Kind: confine.KindBind, Source: "/dev/null", Target: "/dev/null", Device: true, Writable: true},
		}, entries...),
	}
}

// start runs the caller with spec and gives the record it printed, and what
// follows on its output.
func (w world) start(t *testing.T, spec confine.Spec) (*exec.Cmd, confine.Record, *bufio.Reader) {
	t.Helper()
	body, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	cmd := w.command(t.Context(), "start")
	cmd.Stdin = bytes.NewReader(body)
	cmd.Stderr = &bytes.Buffer{}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	r := bufio.NewReader(out)
	line, err := r.ReadBytes('\n')
	if err != nil {
		t.Fatalf("the helper did not start: %v: %s", err, cmd.Stderr)
	}
	var record confine.Record
	if err := json.Unmarshal(line, &record); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return cmd, record, r
}

type sight struct {
	UID                                     int
	Files, Descriptors, Interfaces, Environ []string
	CPUs, Secret, Wrote                     string
}

func (w world) look(t *testing.T, spec confine.Spec) sight {
	t.Helper()
	cmd, _, out := w.start(t, spec)
	var s sight
	if err := json.NewDecoder(out).Decode(&s); err != nil {
		t.Fatalf("looking around: %v: %s", err, cmd.Stderr)
	}
	return s
}

func TestConfinedProcessSeesOnlyWhatIsListed(t *testing.T) {
	eachCaller(t, func(t *testing.T, w world) {
		s := w.look(t, w.spec("look", confine.Entry{Kind: confine.KindFile, Target: "/etc/hosts"}))
		if got := strings.Join(s.Files, " "); got != "bin dev etc proc" {
			t.Errorf("root holds %q", got)
		}
		if got := strings.Join(s.Interfaces, " "); got != "lo" {
			t.Errorf("interfaces are %q", got)
		}
		if got := strings.Join(s.Environ, " "); got != "GIVEN=yes" {
			t.Errorf("environment is %q", got)
		}
		for _, fd := range s.Descriptors {
			if number, _, _ := strings.Cut(fd, " "); number != "0" && number != "1" && number != "2" && !strings.Contains(fd, "/proc/") && !strings.Contains(fd, "anon_inode") {
				t.Errorf("inherited %q", fd)
			}
		}
		if s.UID != 0 {
			t.Errorf("user inside is %d", s.UID)
		}
	})
}

func TestConfinedProcessHasNoRightsOnTheHost(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Skip(t, "only root has rights to lose; the test of root runs it")
	}
	w := world{helper: testenv.Binary(t, "./internal/helper")}
	dir := testenv.ShortDir(t)
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("of root"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, record, out := w.start(t, w.spec("sleep"))
	if _, err := out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	status := statusOfChild(t, record.Inner.PID)
	if !strings.Contains(status, "Uid:\t1999000002\t1999000002\t1999000002\t1999000002") {
		t.Errorf("the helper's user is not its own:\n%s", status)
	}
	s := w.look(t, w.spec("look", confine.Entry{Kind: confine.KindBind, Source: secret, Target: "/secret"}))
	if !strings.Contains(s.Secret, "permission denied") {
		t.Errorf("reading root's 0600 file gave %q", s.Secret)
	}
}

func statusOfChild(t *testing.T, parent int) string {
	t.Helper()
	children, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(parent), "task", strconv.Itoa(parent), "children"))
	if err != nil || len(children) == 0 {
		// The children file needs CONFIG_PROC_CHILDREN, and lists by thread.
		return statusByParent(t, parent)
	}
	b, err := os.ReadFile(filepath.Join("/proc", strings.Fields(string(children))[0], "status"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func statusByParent(t *testing.T, parent int) string {
	t.Helper()
	paths, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, p := range paths {
		if b, err := os.ReadFile(p); err == nil && strings.Contains(string(b), "PPid:\t"+strconv.Itoa(parent)+"\n") {
			return string(b)
		}
	}
	t.Fatalf("process %d has no child", parent)
	return ""
}

func TestBindIsReadOnlyUnlessWritable(t *testing.T) {
	eachCaller(t, func(t *testing.T, w world) {
		dir := testenv.ShortDir(t)
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		entry := confine.Entry{Kind: confine.KindBind, Source: dir, Target: "/bound"}
		if s := w.look(t, w.spec("look", entry)); !strings.Contains(s.Wrote, "read-only file system") {
			t.Errorf("writing gave %q", s.Wrote)
		}
		entry.Writable = true
		if s := w.look(t, w.spec("look", entry)); s.Wrote != "" {
			t.Errorf("writing to a writable bind gave %q", s.Wrote)
		}
	})
}

func TestProcessorsArePinned(t *testing.T) {
	eachCaller(t, func(t *testing.T, w world) {
		spec := w.spec("look")
		spec.CPUs = []int{0}
		if s := w.look(t, spec); s.CPUs != "0" {
			t.Errorf("allowed processors are %q", s.CPUs)
		}
	})
}

func TestMemoryBeyondTheLimitEndsTheHelper(t *testing.T) {
	eachCaller(t, func(t *testing.T, w world) {
		spec := w.spec("hog")
		spec.MemoryBytes = 200 << 20
		cmd, _, _ := w.start(t, spec)
		if err := cmd.Wait(); err == nil || !strings.Contains(cmd.Stderr.(*bytes.Buffer).String(), confine.ErrMemory.Error()) {
			t.Errorf("ended with %v: %s", err, cmd.Stderr)
		}
	})
}

func TestNothingOutlivesTheCaller(t *testing.T) {
	eachCaller(t, func(t *testing.T, w world) {
		for _, victim := range []string{"caller", "outer", "inner"} {
			t.Run(victim, func(t *testing.T) {
				cmd, record, out := w.start(t, w.spec("sleep"))
				if _, err := out.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
				pid := map[string]int{"caller": cmd.Process.Pid, "outer": record.Outer.PID, "inner": record.Inner.PID}[victim]
				syscall.Kill(pid, syscall.SIGKILL)
				cmd.Process.Wait()
				eventually(t, func() bool { return !record.Outer.Alive() && !record.Inner.Alive() })
			})
		}
	})
}

func TestEndMakesProcessesAbsent(t *testing.T) {
	eachCaller(t, func(t *testing.T, w world) {
		_, record, out := w.start(t, w.spec("sleep"))
		if _, err := out.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		other := record
		other.Outer.Start++
		other.Inner.Start++
		if err := confine.End(t.Context(), other); err != nil || !record.Inner.Alive() {
			t.Fatalf("a record of other processes: %v, alive %v", err, record.Inner.Alive())
		}
		other = record
		other.BootID = "another boot"
		if err := confine.End(t.Context(), other); err != nil || !record.Inner.Alive() {
			t.Fatalf("a record of another boot: %v, alive %v", err, record.Inner.Alive())
		}
		for range 2 { // the second time there is nothing to do
			if err := confine.End(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			if record.Inner.Alive() {
				t.Fatal("the inner process is alive")
			}
		}
	})
}

func TestMissingSourceIsNamed(t *testing.T) {
	eachCaller(t, func(t *testing.T, w world) {
		body, err := json.Marshal(w.spec("look", confine.Entry{Kind: confine.KindBind, Source: "/does/not/exist", Target: "/x"}))
		if err != nil {
			t.Fatal(err)
		}
		cmd := w.command(t.Context(), "start")
		cmd.Stdin = bytes.NewReader(body)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), `binding "/does/not/exist": no such file or directory`) {
			t.Errorf("gave %v: %s", err, out)
		}
	})
}

func TestTryIsFineWhereConfiningWorks(t *testing.T) {
	eachCaller(t, func(t *testing.T, w world) {
		if out, err := w.command(t.Context(), "try", w.helper).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Error("did not come true within 5 s")
}
