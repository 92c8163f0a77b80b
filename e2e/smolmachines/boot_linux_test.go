// Package smolmachines runs the whole binary over the double of smolvm: nothing here was
// verified on hardware.
package smolmachines

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bot-bottle/action/backends/backendtest"
	"github.com/bot-bottle/action/internal/escape/attack"
	"github.com/bot-bottle/action/internal/smolvmtest"
	"github.com/bot-bottle/action/internal/testenv"
)

// world is one user's home with the double of smolvm in it. The binary is a test
// build, because only that takes a smolvm that makes no machine.
type world struct {
	t   testing.TB
	bin string
	dir string
	as  int // a user id; 0: who we are
	env []string
}

var worlds atomic.Int64

func newWorld(t testing.TB, asUser bool, c smolvmtest.Config) *world {
	t.Helper()
	w := &world{t: t, bin: testenv.Binary(t, "github.com/bot-bottle/action/cmd/bot-bottle", "mutation"), dir: testenv.ShortDir(t)}
	for _, dir := range []string{"state", "run", "bottles", "tmp"} {
		if err := os.Mkdir(filepath.Join(w.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	path := smolvmtest.Install(t, filepath.Join(w.dir, "smolvm"), c)
	w.env = []string{
		"HOME=" + w.dir, "PATH=" + path + ":" + os.Getenv("PATH"), "TMPDIR=" + filepath.Join(w.dir, "tmp"),
		"XDG_RUNTIME_DIR=" + filepath.Join(w.dir, "run"), "BOT_BOTTLE_STATE=" + filepath.Join(w.dir, "state"),
		"BOT_BOTTLE_MUTATE=no-machine",
	}
	if asUser && os.Getuid() == 0 {
		w.as = testenv.UnprivilegedID + 500_000 + os.Getpid()%10000*20 + int(worlds.Add(1))
		err := filepath.WalkDir(w.dir, func(path string, _ os.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, w.as, w.as))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// callers says of each caller whether it is an ordinary user; the other is root.
func callers() []bool {
	if os.Getuid() == 0 {
		return []bool{true, false}
	}
	return []bool{true}
}

// mutate switches one more point of the test build.
func (w *world) mutate(point string) { w.env = append(w.env, "BOT_BOTTLE_MUTATE=no-machine,"+point) }

func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.bin, args...)
	cmd.Env, cmd.Dir = w.env, w.dir
	if w.as != 0 {
		testenv.As(w.as, cmd)
	}
	return cmd
}

// nothingLeft looks at the ledger, the folders and the processes.
func (w *world) nothingLeft(t testing.TB) {
	t.Helper()
	out, err := w.command(context.Background(), "ls", "--json").Output()
	var d struct{ Runs []any }
	if err != nil || json.Unmarshal(out, &d) != nil || len(d.Runs) != 0 {
		t.Errorf("runs are left: %s (%v)", out, err)
	}
	for _, dir := range []string{"state/run", "state/work", "state/disks", "tmp"} {
		if entries, err := os.ReadDir(filepath.Join(w.dir, dir)); err == nil && len(entries) > 0 {
			for _, e := range entries {
				if e.Name() != ".root-id" {
					t.Errorf("%s holds %s", dir, e.Name())
				}
			}
		}
	}
}

// result is what a job left.
type result struct {
	code           int
	stdout, stderr string
}

// run runs a job whose agent says that it ran.
func (w *world) run() result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Minute)
	defer cancel()
	cmd := w.command(ctx, "run", "--backend", "smolmachines", "--", "echo", "agent ran")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		w.t.Fatalf("running the job: %v\n%s", err, &stderr)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func TestSocketModePassesTheBackendKit(t *testing.T) {
	for _, asUser := range callers() {
		t.Run(fmt.Sprintf("user %v", asUser), func(t *testing.T) {
			w := newWorld(t, asUser, smolvmtest.Config{Version: "1.9.3"})
			backendtest.Run(t, backendtest.Options{Backend: "smolmachines", Command: w.command, NothingLeft: w.nothingLeft})
		})
	}
}

func TestAllowlistModePassesTheBackendKit(t *testing.T) {
	w := newWorld(t, true, smolvmtest.Config{Version: "0.8.0"})
	w.mutate("allowlist-mode")
	backendtest.Run(t, backendtest.Options{Backend: "smolmachines", Command: w.command, NothingLeft: w.nothingLeft})
}

func TestAllowlistModeServesRoot(t *testing.T) {
	w := newWorld(t, false, smolvmtest.Config{Version: "0.8.0"})
	w.mutate("allowlist-mode")
	if r := w.run(); r.code != 0 || r.stdout != "agent ran\n" {
		t.Errorf("got %+v", r)
	}
	w.nothingLeft(t)
}

// Every misbehaviour ends before any agent code has run, with the error of the step
// that is there for it.
func TestMisbehaviourEndsUnproven(t *testing.T) {
	for m, want := range map[smolvmtest.Misbehaviour]string{
		smolvmtest.RowAsText:         "the machine's row is not stored as a BLOB",
		smolvmtest.RowOpensSocket:    `comparing the row of the machine: smolvm has something else than what was planned: published_sockets`,
		smolvmtest.RowRunning:        `state: wanted "created", found "running"`,
		smolvmtest.RowIgnored:        "comparing what the VMM was handed: smolvm has something else than what was planned: network: wanted false, found true",
		smolvmtest.ConfigStale:       "reading what the VMM was handed: open",
		smolvmtest.AlreadyRunning:    "the machine runs already",
		smolvmtest.StartSilent:       "smolvm doesn't say that it has started the machine",
		smolvmtest.StartWrongProcess: "the VMM's process is not there",
		smolvmtest.GuestNetwork:      "proving the confinement: as user 0: tcp",
		smolvmtest.AnswersDNS:        "198.51.100.53:53",
		smolvmtest.ExtraSocket:       "extra.sock",
		smolvmtest.NoHardening:       "NoNewPrivs:true Seccomp:true",
		smolvmtest.VMMEnvironment:    "SMOLVM_GUEST_HOST_SERVICE",
		smolvmtest.DiesAfterStart:    "the guest ended before it called",
	} {
		t.Run(string(m), func(t *testing.T) {
			w := newWorld(t, true, smolvmtest.Config{Version: "1.9.3", Misbehaviours: []smolvmtest.Misbehaviour{m}})
			w.endsUnproven(want)
		})
	}
}

func TestMisbehaviourEndsUnprovenInAllowlistMode(t *testing.T) {
	for m, want := range map[smolvmtest.Misbehaviour]string{
		smolvmtest.AllowlistDropped: "network: wanted true, found false",
		smolvmtest.RowAsText:        "the machine's row is not stored as a BLOB",
		smolvmtest.RowIgnored:       `what was planned: allowed_cidrs: wanted ["127.0.0.`,
		smolvmtest.AlreadyRunning:   "the machine runs already",
		smolvmtest.AnswersDNS:       "198.51.100.53:53",
	} {
		t.Run(string(m), func(t *testing.T) {
			w := newWorld(t, true, smolvmtest.Config{Version: "1.1.2", Misbehaviours: []smolvmtest.Misbehaviour{m}})
			w.mutate("allowlist-mode")
			w.endsUnproven(want)
		})
	}
}

// endsUnproven runs a job and wants it to end with exit code 4 and what is wanted in
// the error, before the agent ran.
func (w *world) endsUnproven(want string) {
	w.t.Helper()
	if r := w.run(); r.code != 4 || strings.Contains(r.stdout, "agent ran") || !strings.Contains(r.stderr, want) {
		w.t.Errorf("exit code %d, stdout %q; wanted 4 and %q in\n%s", r.code, r.stdout, want, r.stderr)
	}
	w.nothingLeft(w.t)
}

// Teardown doesn't ask smolvm, so that what its stop and delete do doesn't matter.
func TestTeardownDoesNotDependOnSmolvm(t *testing.T) {
	w := newWorld(t, true, smolvmtest.Config{Version: "1.9.3", Misbehaviours: []smolvmtest.Misbehaviour{smolvmtest.StopHangs, smolvmtest.DeleteLeavesVMM}})
	if r := w.run(); r.code != 0 || r.stdout != "agent ran\n" {
		t.Errorf("got %+v", r)
	}
	w.nothingLeft(t)
}

func TestReleaseThatIsNotUsableEndsInPreflight(t *testing.T) {
	for name, c := range map[string]struct {
		config smolvmtest.Config
		want   string
	}{
		"between the modes": {smolvmtest.Config{Version: "1.1.3"}, "using smolvm 1.1.3"},
		"the other mode":    {smolvmtest.Config{Version: "0.8.0"}, `it works only with the mode "allowlist"`},
		"garbage":           {smolvmtest.Config{Version: "1.9.3", Misbehaviours: []smolvmtest.Misbehaviour{smolvmtest.VersionGarbage}}, `is not "smolvm X.Y.Z"`},
		"hangs":             {smolvmtest.Config{Version: "1.9.3", Misbehaviours: []smolvmtest.Misbehaviour{smolvmtest.VersionHangs}}, "no answer within 2s"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, true, c.config)
			if r := w.run(); r.code != 3 || !strings.Contains(r.stderr, c.want) {
				t.Errorf("exit code %d; wanted 3 and %q in\n%s", r.code, c.want, r.stderr)
			}
			w.nothingLeft(t)
		})
	}
}

func TestUnreadReleaseIsUsedWithAWarning(t *testing.T) {
	w := newWorld(t, true, smolvmtest.Config{Version: "1.22.0"})
	if r := w.run(); r.code != 0 || r.stdout != "agent ran\n" {
		t.Errorf("got %+v", r)
	}
	out, err := w.command(t.Context(), "preflight", "--backend", "smolmachines").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "unread version: smolvm 1.22.0 is newer than 1.9.3") {
		t.Errorf("%v: %s", err, out)
	}
}

// The suite's quick tier and its attacks on the git-gate hold over the double, whose
// machine is gVisor.
func TestEscapeSuiteHoldsOverTheDouble(t *testing.T) {
	w := newWorld(t, true, smolvmtest.Config{Version: "1.9.3"})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	goes := [][]string{{"--tier", "quick"}, {"--tier", "full", "--case", strings.Join(attack.IDs(attack.Git), ",")}}
	if os.Getenv("BOT_BOTTLE_TEST_GATE") != "" { // the nightly gate has the time
		goes = [][]string{{"--tier", "full"}}
	}
	for _, of := range goes {
		if out, err := w.command(ctx, append([]string{"escape", "--backend", "smolmachines"}, of...)...).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
