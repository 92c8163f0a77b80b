package smolmachines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/smolvmtest"
	"github.com/bot-bottle/action/internal/testenv"
	"golang.org/x/sys/unix"
)

// double is the double of one release, in a home of its own.
type double struct {
	t      *testing.T
	form   Form
	binary string
	paths  paths
	env    []string
}

func newDouble(t *testing.T, version string, does ...smolvmtest.Misbehaviour) *double {
	t.Helper()
	dir := testenv.ShortDir(t) // there are sockets below it
	d := &double{t: t, binary: filepath.Join(smolvmtest.Install(t, dir, smolvmtest.Config{Version: version, Misbehaviours: does}), "smolvm")}
	d.paths = paths{state: filepath.Join(dir, "home"), libraries: filepath.Join(dir, "lib"), agentRoot: filepath.Join(dir, "share/smolvm/agent-rootfs")}
	printed, code := d.run("--version")
	v, err := ParseVersion(printed)
	if err != nil || code != 0 {
		t.Fatalf("%v (code %d)", err, code)
	}
	if d.form, err = FormOf(v); err != nil {
		t.Fatal(err)
	}
	d.env = d.form.environment(d.paths)
	return d
}

// run gives what smolvm printed, errors included, and its exit code.
func (d *double) run(args ...string) (string, int) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.binary, args...)
	cmd.Env = d.env
	if cmd.Env == nil {
		cmd.Env = []string{"HOME=" + d.paths.state, "SMOLVM_LIB_DIR=" + d.paths.libraries}
	}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second // its VMM keeps the streams
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		d.t.Fatalf("running the double: %v", err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// machine is one that the release can make.
func (d *double) machine() Machine {
	m := Machine{Name: "bb-1", CPUs: 2, MemoryMiB: 512, StorageGiB: 3, OverlayGiB: 1}
	if d.form.Mode == ModeAllowlist {
		m.AllowCIDRs = wantedCIDRs
		return m
	}
	m.Image = d.paths.agentRoot
	m.Shares = []Share{{"/share/bin", "/bottle/bin"}}
	m.Sockets = []Socket{{"/doors/a.sock", "/bottle/doors/a.sock"}}
	return m
}

// doubled are the releases that the double can be and that are used.
var doubled = []string{"0.8.0", "0.8.1", "1.0.2", "1.1.2", "1.7.5", "1.8.1", "1.9.3"}

func TestEveryReleaseTakesItsArgumentsAndWritesThemDown(t *testing.T) {
	for _, version := range doubled {
		t.Run(version, func(t *testing.T) {
			d := newDouble(t, version)
			if out, code := d.run(d.form.createArgs(d.machine())...); code != 0 || !strings.HasPrefix(out, "Created machine: bb-1\n") {
				t.Fatalf("code %d: %s", code, out)
			}
			row, err := readRowBytes(t.Context(), d.paths.database(), "bb-1", busyTimeout)
			if err != nil {
				t.Fatal(err)
			}
			if err := verifyRow(row, d.machine()); err != nil {
				t.Error(err)
			}
			other := d.form
			other.NameFlag = !other.NameFlag
			if out, code := d.run(other.createArgs(d.machine())...); code != 2 {
				t.Errorf("the other form of the name: code %d: %s", code, out)
			}
			if out, code := d.run(d.form.createArgs(d.machine())...); code != 1 || !strings.Contains(out, "machine 'bb-1' already exists") {
				t.Errorf("a second create: code %d: %s", code, out)
			}
		})
	}
}

func TestReleaseBetweenTheModesMountsNoSocket(t *testing.T) {
	for _, version := range []string{"0.8.0", "1.1.2"} {
		d := newDouble(t, version)
		m := d.machine()
		m.Sockets = []Socket{{"/a", "/b"}}
		if _, code := d.run(d.form.createArgs(m)...); code != 2 || d.form.check(m) == nil {
			t.Errorf("%s: code %d, %v", version, code, d.form.check(m))
		}
	}
}

// What smolvm's own teardown does, by release, is why the backend doesn't rely on it.
func TestTeardownDiffersByRelease(t *testing.T) {
	for _, version := range doubled {
		t.Run(version, func(t *testing.T) {
			d := newDouble(t, version)
			m := Machine{Name: "bb-1", CPUs: 1, MemoryMiB: 256, StorageGiB: 1, OverlayGiB: 1}
			d.run(d.form.createArgs(m)...)
			out, code := d.run(d.form.startArgs("bb-1")...)
			pid, err := parseStarted(out, "bb-1")
			if err != nil || code != 0 {
				t.Fatalf("code %d, %v: %s", code, err, out)
			}
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			defer unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			handed, err := os.ReadFile(d.paths.runningFile("bb-1"))
			if err != nil || verifyRunning(handed, m) != nil {
				t.Errorf("%v, %v", err, verifyRunning(handed, m))
			}
			if out, _ := d.run(d.form.startArgs("bb-1")...); !errors.Is(second(parseStarted(out, "bb-1")), ErrAlreadyRunning) {
				t.Errorf("a second start: %s", out)
			}
			if out, code := d.run(d.form.namedArgs("delete", "bb-1")...); code != 0 || !strings.Contains(out, "Cancelled") {
				t.Errorf("delete without --force: code %d: %s", code, out)
			}
			if out, code := d.run(append(d.form.namedArgs("delete", "bb-1"), "-f")...); code != 0 || !strings.Contains(out, "Deleted machine: bb-1") {
				t.Errorf("delete: code %d: %s", code, out)
			}
			if gone := ended(fd, d.form.DeleteStops); gone != d.form.DeleteStops {
				t.Errorf("the VMM is gone: %v", gone)
			}
			if _, code := d.run("machine", "stop", "--name", "bb-1"); (code == 0) != (version == "0.8.0") {
				t.Errorf("stop of a missing machine: code %d", code)
			}
		})
	}
}

func second(_ int, err error) error { return err }

// ended tells whether the process of fd has ended, and waits for it where it is
// expected to.
func ended(fd int, expected bool) bool {
	wait := 0
	if expected {
		wait = 30_000
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, wait)
		if !errors.Is(err, syscall.EINTR) {
			return n > 0
		}
	}
}

func TestOfTwoCreatesAtOnceOneIsRefused(t *testing.T) {
	for _, version := range []string{"1.0.2", "1.9.3"} {
		d := newDouble(t, version)
		codes := make(chan int, 2)
		for range 2 {
			go func() {
				_, code := d.run(d.form.createArgs(d.machine())...)
				codes <- code
			}()
		}
		if got := []int{<-codes, <-codes}; !slices.Contains(got, 0) || !slices.Contains(got, 1) {
			t.Errorf("%s: codes %v", version, got)
		}
	}
}

func TestEnvironmentIsAllOfOurOwn(t *testing.T) {
	p := jailPaths(ModeSocket)
	for version, want := range map[Version]string{
		{0, 8, 0}: "PATH HOME SMOLVM_LIB_DIR SMOLVM_AGENT_ROOTFS SMOLVM_VM_UID_DROP",
		{1, 1, 2}: "PATH HOME SMOLVM_LIB_DIR SMOLVM_AGENT_ROOTFS SMOLVM_VM_UID_DROP SMOLVM_SECCOMP SMOLVM_LANDLOCK",
		{1, 9, 3}: "PATH HOME SMOLVM_LIB_DIR SMOLVM_AGENT_ROOTFS SMOLVM_VM_UID_DROP SMOLVM_DATA_DIR SMOLVM_SECCOMP SMOLVM_LANDLOCK",
	} {
		f, err := FormOf(version)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, v := range f.environment(p) {
			name, _, _ := strings.Cut(v, "=")
			names = append(names, name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%v: got %s", version, got)
		}
	}
}

func TestPathsOfSocketsInTheJailAreShortEnough(t *testing.T) {
	p := jailPaths(ModeSocket)
	longest := filepath.Join(p.machineFolder(machineName(strings.Repeat("x", 32))), "published-sockets", "supervise.sock")
	if len(longest) >= 108 {
		t.Errorf("%q has %d bytes (unix(7))", longest, len(longest))
	}
	if got := fmt.Sprint(DatabasePath("linux", p.state, os.Getenv)); got != p.database() && os.Getenv("XDG_DATA_HOME") == "" {
		t.Errorf("got %q", got)
	}
}
