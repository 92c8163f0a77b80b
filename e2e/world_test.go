// Package e2e runs the real binary as its users do: from the outside, as root and
// as an ordinary user, and looks at what the host is like afterwards.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/testenv"
)

// world is one user's home on this host, with a state folder of its own.
type world struct {
	t      testing.TB
	bin    string
	dir    string // $HOME
	asUser bool
	uid    int      // the user's, where asUser and the tests are run by root: its own in each world
	env    []string // in addition to the usual
}

// eachCaller runs the test as an ordinary user and, where the tests are run by
// root, as root.
func eachCaller(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	for _, who := range callers() {
		t.Run(who, func(t *testing.T) { test(t, newWorld(t, who == "user")) })
	}
}

func callers() []string {
	if os.Getuid() == 0 {
		return []string{"user", "root"}
	}
	return []string{"user"}
}

var worlds atomic.Int64

const binary = "github.com/bot-bottle/action/cmd/bot-bottle"

func newWorld(t testing.TB, asUser bool, tags ...string) *world {
	t.Helper()
	w := &world{t: t, bin: testenv.Binary(t, binary, tags...), dir: testenv.ShortDir(t), asUser: asUser}
	w.uid = testenv.UnprivilegedID + 1000 + os.Getpid()%10000*100 + int(worlds.Add(1))
	for _, dir := range []string{"state", "run", "bottles", "agents", "tmp"} {
		w.must(os.Mkdir(filepath.Join(w.dir, dir), 0o700))
	}
	w.own()
	return w
}

// own gives everything in the world to its user.
func (w *world) own() {
	w.t.Helper()
	if os.Getuid() != 0 || !w.asUser {
		return
	}
	w.must(filepath.WalkDir(w.dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, w.uid, w.uid))
	}))
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// write makes a file in the world and gives its path.
func (w *world) write(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	w.must(os.MkdirAll(filepath.Dir(path), 0o755))
	w.must(os.WriteFile(path, []byte(content), 0o644))
	w.own()
	return path
}

func (w *world) environment() []string {
	return append([]string{
		"HOME=" + w.dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + filepath.Join(w.dir, "tmp"),
		"XDG_RUNTIME_DIR=" + filepath.Join(w.dir, "run"), "BOT_BOTTLE_STATE=" + filepath.Join(w.dir, "state"),
	}, w.env...)
}

// command is bot-bottle with args, as the world's user.
func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.bin, args...)
	cmd.Env = w.environment()
	cmd.Dir = w.dir
	if w.asUser {
		testenv.As(w.uid, cmd)
	}
	return cmd
}

// result is what a finished command left.
type result struct {
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout:\n%s\nstderr:\n%s", r.code, r.stdout, r.stderr)
}

// patience bounds the commands of the tests.
const patience = 90 * time.Second

func (w *world) run(args ...string) result {
	w.t.Helper()
	return w.runWithin(patience, args...)
}

func (w *world) runWithin(limit time.Duration, args ...string) result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := w.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		w.t.Fatalf("%v is still running after %v\n%s", args, limit, &stderr)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("running %v: %v", args, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// bottle writes a bottle and an agent that runs argv, and gives the flags.
func (w *world) bottle(front string, argv ...string) []string {
	w.t.Helper()
	w.write("bottles/b.md", "---\n"+front+"---\n")
	list, err := json.Marshal(argv)
	w.must(err)
	w.write("agents/a.md", "---\nprovider: command\ncommand: "+string(list)+"\n---\n")
	return []string{"run", "--bottles-dir", filepath.Join(w.dir, "bottles"), "--bottle", "b", "--agents-dir", filepath.Join(w.dir, "agents"), "--agent", "a"}
}

// runs gives what `ls --json` says.
func (w *world) runs(flags ...string) []struct{ ID, Name, State, Report string } {
	w.t.Helper()
	r := w.run(append([]string{"ls", "--json"}, flags...)...)
	var d struct {
		Schema int
		Runs   []struct{ ID, Name, State, Report string }
	}
	if err := json.Unmarshal([]byte(r.stdout), &d); err != nil || d.Schema != 1 {
		w.t.Fatalf("ls --json: %v\n%s", err, r)
	}
	return d.Runs
}

// nothingLeft fails the test if anything of the world's runs is still there.
func (w *world) nothingLeft() {
	w.t.Helper()
	if runs := w.runs(); len(runs) != 0 {
		w.t.Errorf("runs are left: %+v", runs)
	}
	for _, id := range w.ids() {
		if p := processesWith(id); len(p) != 0 {
			w.t.Errorf("processes of run %s are left: %v", id, p)
		}
		if _, err := os.Lstat(filepath.Join("/run/bot-bottle", id)); err == nil {
			w.t.Errorf("the folder of run %s is left", id)
		}
	}
	for _, dir := range []string{"run", "state/run", "state/work", "state/disks", "state/mirrors", "state-mirrors", "state/locks", "tmp"} {
		names := list(filepath.Join(w.dir, dir))
		if i := slices.Index(names, ".root-id"); i >= 0 {
			names = slices.Delete(names, i, i+1) // the root's mark stays
		}
		if len(names) != 0 {
			w.t.Errorf("%s holds %v", dir, names)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	w.must(err)
	if strings.Contains(string(mounts), w.dir) {
		w.t.Errorf("a mount is left:\n%s", mounts)
	}
	if w.asUser && os.Getuid() == 0 {
		// The kernel takes a moment to end what a dead supervisor has left.
		eventually(w.t, 5*time.Second, "the end of the user's processes", func() bool { return len(processesOf(w.uid)) == 0 })
	}
}

// ids are those of all runs that the ledger has seen.
func (w *world) ids() []string {
	w.t.Helper()
	var ids []string
	for _, r := range w.runs("--all") {
		ids = append(ids, r.ID)
	}
	return ids
}

func list(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// processesWith lists the processes whose command line has word.
func processesWith(word string) []string {
	return processes(func(_ int, cmdline string) bool { return strings.Contains(cmdline, word) })
}

func processesOf(uid int) []string {
	return processes(func(pid int, _ string) bool {
		info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
		return err == nil && info.Sys().(*syscall.Stat_t).Uid == uint32(uid)
	})
}

func processes(wanted func(pid int, cmdline string) bool) []string {
	paths, _ := filepath.Glob("/proc/[0-9]*")
	var found []string
	for _, p := range paths {
		pid, _ := strconv.Atoi(filepath.Base(p))
		b, err := os.ReadFile(p + "/cmdline")
		cmdline := strings.ReplaceAll(string(b), "\x00", " ")
		if err == nil && len(b) > 0 && wanted(pid, cmdline) {
			found = append(found, fmt.Sprintf("%d: %s", pid, cmdline))
		}
	}
	return found
}

// listeners gives the TCP listeners of the host, from /proc/net/tcp and tcp6,
// whose state column is 0A (proc(5)).
func listeners(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(table)
		if err != nil {
			continue // no IPv6
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 3 && f[3] == "0A" {
				found = append(found, f[1])
			}
		}
	}
	slices.Sort(found)
	return found
}

// eventually waits until holds is true.
func eventually(t testing.TB, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("%s: not within %v", what, within)
}
