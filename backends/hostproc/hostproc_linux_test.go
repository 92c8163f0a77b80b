package hostproc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMountLineIsReadWithItsEscapesAndOptionalFields(t *testing.T) {
	got, ok := parseMount(`36 35 98:0 /mnt1 /a\040b ro,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue`)
	if want := (Mount{Device: "98:0", Root: "/mnt1", Target: "/a b", ReadOnly: true, Type: "ext3"}); !ok || got != want {
		t.Errorf("got %+v, wanted %+v", got, want)
	}
	for _, line := range []string{"", "36 35 98:0 / / rw -", "36 35 98:0 / / rw master:1"} {
		if got, ok := parseMount(line); ok {
			t.Errorf("%q gave %+v", line, got)
		}
	}
}

func TestOwnProcessIsDescribed(t *testing.T) {
	p, err := Read("test", os.Getpid())
	if err != nil || p.UserID != os.Getuid() || !p.HostNetwork || !p.HostUsers || !p.HostProcesses {
		t.Errorf("got %+v, %v", p, err)
	}
	if public, err := ReadPublic("test", os.Getpid()); err != nil || !public.HostUsers || !public.HostProcesses || public.UserID != os.Getuid() {
		t.Errorf("got %+v, %v", public, err)
	}
	mounts, err := Mounts(os.Getpid())
	if err != nil || !slices.ContainsFunc(mounts, func(m Mount) bool { return m.Target == "/" }) {
		t.Errorf("got %+v, %v", mounts, err)
	}
	names, err := Interfaces(os.Getpid())
	if err != nil || !slices.Contains(names, "lo") || !slices.IsSorted(names) {
		t.Errorf("got %q, %v", strings.Join(names, " "), err)
	}
	if parent, ok := Parent(os.Getpid()); !ok || parent != os.Getppid() {
		t.Errorf("got parent %d, %v", parent, ok)
	}
}

func FuzzMountLine(f *testing.F) {
	f.Add(`36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`)
	f.Fuzz(func(t *testing.T, line string) { parseMount(line) })
}

func TestControlGroupsOfBothVersionsAreRead(t *testing.T) {
	g := parseCgroups("4:memory:/docker/x\n3:cpu,cpuacct:/y\n0::/z\nbroken\n")
	if g["memory"] != "/docker/x" || g["cpu"] != "/y" || g[""] != "/z" || len(g) != 4 {
		t.Errorf("got %v", g)
	}
	for _, c := range []struct {
		quota, period string
		want          int64
	}{{"200000", "100000", 2000}, {"-1", "100000", 0}, {"max", "100000", 0}, {"50000", "100000", 500}} {
		if got, err := share(c.quota, c.period); err != nil || got != c.want {
			t.Errorf("%+v: got %d, %v", c, got, err)
		}
	}
	if _, err := share("1", "0"); err == nil {
		t.Error("a period of 0 is taken")
	}
}

func TestCapabilitiesAreThoseOfAnyThread(t *testing.T) {
	own, err := Status(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Capabilities(os.Getpid(), "CapPrm", "CapBnd")
	if err != nil || len(got) != 2 || got[1] < own["CapBnd"] {
		t.Errorf("%v, %v; the first thread has %s", got, err, own["CapBnd"])
	}
	// A thread that gives its bounding set up takes nothing from the others.
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and so it ends with the goroutine
		err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_KILL, 0, 0, 0)
		if errors.Is(err, unix.EPERM) {
			err = nil // an ordinary user has nothing to give up
		}
		after, readErr := Capabilities(os.Getpid(), "CapPrm", "CapBnd")
		if !slices.Equal(after, got) {
			err = fmt.Errorf("%v before, %v after", got, after)
		}
		done <- errors.Join(err, readErr)
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := Capabilities(1<<30, "CapPrm"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a process that is not there: %v", err)
	}
}
