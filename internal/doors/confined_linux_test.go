package doors_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/doors"
	"github.com/bot-bottle/action/internal/testenv"
)

func TestTheSidecarHasNoRights(t *testing.T) {
	w := start(t)
	ready := w.configure(config())
	w.get("egress", "/") // so that it has threads for everything
	requireNoRights(t, w.sidecar.PID(), testenv.UserID(), os.Getuid() == 0)
	requireHeld(t, ready.Hardening)
}

// requireNoRights looks at every thread of the sidecar from the outside.
func requireNoRights(t *testing.T, pid, uid int, boundingEmpty bool) {
	t.Helper()
	ids := strings.TrimSpace(strings.Repeat(fmt.Sprint(uid)+" ", 4))
	threads := status(t, pid)
	for _, s := range threads {
		want := map[string]string{
			"Uid": ids, "NoNewPrivs": "1", "Seccomp": "2",
			"CapInh": none, "CapPrm": none, "CapEff": none, "CapAmb": none,
		}
		if boundingEmpty {
			want["CapBnd"], want["Groups"], want["Gid"] = none, "", ids
		}
		for field, value := range want {
			if s[field] != value {
				t.Errorf("thread %s: %s is %q, want %q", s["Pid"], field, s[field], value)
			}
		}
	}
	if len(threads) < 2 {
		t.Errorf("only %d threads were looked at", len(threads))
	}
}

const none = "0000000000000000"

func requireHeld(t *testing.T, measures []doors.Measure) {
	t.Helper()
	var names []string
	for _, m := range measures {
		names = append(names, m.Name)
		if !m.Held {
			t.Errorf("%s is not held: %s", m.Name, m.Detail)
		}
	}
	slices.Sort(names)
	if want := []string{"capabilities", "landlock", "no-dump", "no-new-privs", "seccomp", "user"}; !slices.Equal(names, want) {
		t.Errorf("measures %v, want %v", names, want)
	}
}

func TestAnOrdinaryUsersSidecarHasNoRightsEither(t *testing.T) {
	s, _ := supervise(t, true)
	requireNoRights(t, s.PID, testenv.UserID(), false)
	requireHeld(t, s.Ready.Hardening)
}

func TestTheSidecarInheritsItsFilesAndNothingElse(t *testing.T) {
	t.Setenv("SECRET_OF_THE_SUPERVISOR", "yes")
	w := configured(t)
	proc := fmt.Sprintf("/proc/%d/", w.sidecar.PID())
	cmdline, err := os.ReadFile(proc + "cmdline")
	w.must(err)
	if string(cmdline) != "bot-bottle\x00sidecar\x00egress\x00git-gate\x00supervise\x00" {
		t.Errorf("its command line is %q", cmdline)
	}
	environ, err := os.ReadFile(proc + "environ")
	if os.Getuid() != 0 {
		if !os.IsPermission(err) {
			t.Errorf("reading its environment: %q, %v, though it is not dumpable", environ, err)
		}
		return
	}
	if err != nil || len(environ) != 0 {
		t.Errorf("its environment is %q (%v)", environ, err)
	}
	requireFiles(t, proc+"fd/", w.path("decisions.jsonl"))
}

// requireFiles looks at the open files of a sidecar, which only root can.
func requireFiles(t *testing.T, dir, log string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, err := os.Readlink(dir + e.Name())
		if err != nil {
			continue // closed since
		}
		kind, _, _ := strings.Cut(target, ":")
		switch {
		case target == log, target == "/dev/null", kind == "socket", kind == "pipe", kind == "anon_inode":
		case strings.HasPrefix(target, "/sys/fs/cgroup/"): // the runtime reads how many processors it may use
		default:
			t.Errorf("file %s is %s", e.Name(), target)
		}
	}
}

func TestTheConfinedSidecarCanDoNothingButItsWork(t *testing.T) {
	w := configured(t)
	got := w.attempts()
	// Reading is for Landlock to refuse, everything else for the list of system
	// calls.
	reading := []string{"read", "read-self", "list"}
	for name, errno := range got.Everyday {
		want := "EPERM"
		if slices.Contains(reading, name) {
			want = "EACCES"
		}
		if errno != want {
			t.Errorf("%s gives %q, want %s", name, errno, want)
		}
	}
	for name, errno := range got.Grave {
		if errno != "EPERM" {
			t.Errorf("%s gives %q, want EPERM", name, errno)
		}
	}
	for name, errno := range got.Necessary {
		if errno != "" {
			t.Errorf("%s, which the doors need, gives %s", name, errno)
		}
	}
	if len(got.Everyday) < 15 || len(got.Grave) < 15 || len(got.Necessary) < 4 {
		t.Errorf("only %d tries were made", len(got.Everyday)+len(got.Grave)+len(got.Necessary))
	}
	if w.get("egress", doors.ProofPath+nonce) != 204 {
		t.Error("the sidecar doesn't serve any more")
	}
}

// Without it the test above could pass because this host allows nothing anyway.
func TestAProcessThatIsNotConfinedCanDoAllOfIt(t *testing.T) {
	cmd := testenv.AsUser(exec.Command(testenv.Binary(t, "./internal/helper"), "attempt"))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got attempts
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	tries := maps.Clone(got.Everyday)
	maps.Copy(tries, got.Necessary)
	for name, errno := range tries {
		if errno != "" {
			t.Errorf("%s gives %s", name, errno)
		}
	}
	if len(tries) < 20 {
		t.Errorf("only %d tries were made", len(tries))
	}
}

// bornWith is what the tests had before anything was started.
var bornWith, errBornWith = rightsOfAChild()

func TestStartingASidecarTakesNoRightsFromTheSupervisor(t *testing.T) {
	if errBornWith != nil {
		t.Fatal(errBornWith)
	}
	for range 3 {
		start(t).stop()
	}
	for range 20 { // started from whatever threads there are now
		if after, err := rightsOfAChild(); err != nil || after != bornWith {
			t.Fatalf("what we start has (%v)\n%s\nand would have had before\n%s", err, after, bornWith)
		}
	}
	if !strings.Contains(bornWith, "NoNewPrivs:\t0") {
		return // nobody here can gain rights anyway, so that threads don't differ
	}
	for deadline := time.Now().Add(patience); weakThreads(t) != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d threads that started a sidecar are left for others", weakThreads(t))
		}
	}
}

// weakThreads counts our threads that can't gain rights. The first is left out: Go
// never ends it, but uses it no more.
func weakThreads(t *testing.T) (count int) {
	t.Helper()
	for _, s := range status(t, os.Getpid()) {
		if s["NoNewPrivs"] == "1" && s["Pid"] != strconv.Itoa(os.Getpid()) {
			count++
		}
	}
	return count
}

func rightsOfAChild() (string, error) {
	out, err := exec.Command("grep", "-E", "^(Cap|NoNewPrivs|Seccomp:)", "/proc/self/status").Output()
	return string(out), err
}
