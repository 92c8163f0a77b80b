//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asBoth runs the test for the agent and for root in the guest; where the tests
// are run by root, the one is started by a user and the other by root. Afterwards
// nothing is left.
func asBoth(t *testing.T, test func(t *testing.T, w *world, who string)) {
	t.Helper()
	for _, who := range []string{"agent", "root"} {
		t.Run(who, func(t *testing.T) {
			w := newWorld(t, who == "agent" || os.Getuid() != 0)
			test(t, w, who)
			w.nothingLeft()
		})
	}
}

// limited runs a script for the guest's shell as who, within limits in the form
// of a bottle.
func (w *world) limited(limits, who, script string) result {
	w.t.Helper()
	args := append(w.bottle("limits: {"+limits+"}\n", "sh", "-c", script), "--quiet")
	if who == "root" {
		args = append(args, "--root")
	}
	return w.run(args...)
}

func TestMemoryLimitEndsTheGuest(t *testing.T) {
	hogs := map[string]string{"agent": "head -c 2G /dev/zero | tail -c 2G", "root": "head -c 2G /dev/zero > /dev/x; cat"}
	asBoth(t, func(t *testing.T, w *world, who string) {
		peak := w.peakMemory(func() {
			r := w.limited("memory: 192MiB, timeout: 1m", who, hogs[who]+"; echo survived")
			refuses(t, r, 8, "memory limit exceeded")
		})
		// What is touched until it is seen comes on top; less would mean that
		// this test looks at something else.
		if peak < 96<<20 || peak > 640<<20 {
			t.Errorf("the guest used %d MiB", peak>>20)
		}
	})
}

// peakMemory calls do, and gives the most memory that was seen in the files in
// memory of this world's sandbox meanwhile: there its guest's pages are.
func (w *world) peakMemory(do func()) int64 {
	stop, peak := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(10 * time.Millisecond):
				most = max(most, w.memoryFiles())
			}
		}
	}()
	do()
	close(stop)
	return <-peak
}

// memoryFiles gives the size of the largest file in memory (memfd_create(2)) of
// the sandboxes.
func (w *world) memoryFiles() (largest int64) {
	for _, pid := range w.sandboxes("runsc-sandbox") {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, fd := range fds {
			var st unix.Stat_t
			if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, "/memfd:") && unix.Stat(fd, &st) == nil {
				largest = max(largest, st.Blocks*512) // stat(2)
			}
		}
	}
	return largest
}

// sandboxes lists the processes of this name below this test.
func (w *world) sandboxes(name string) (pids []int) {
	for _, p := range processesWith(name) {
		var pid int
		if _, err := parse(p, &pid); err == nil && descends(pid, os.Getpid()) && !strings.Contains(p, "--root=/runsc --rootless") {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestMemoryBelowTheLimitIsFree(t *testing.T) {
	w := newWorld(t, true)
	r := w.limited("memory: 256MiB", "agent", "head -c 64M /dev/zero | tail -c 64M | wc -c")
	if r.code != 0 || strings.TrimSpace(r.stdout) != "67108864" {
		t.Error(r)
	}
}

// count prints how many processes the guest has, itself not made by a fork that
// could fail.
const count = `set -- /proc/[0-9]*; echo $#`

func TestPIDLimitHolds(t *testing.T) {
	asBoth(t, func(t *testing.T, w *world, who string) {
		r := w.limited("pids: 64, timeout: 20s", who, `(i=0; while [ $i -lt 200 ]; do sleep 20 & i=$((i + 1)); done) 2>/dev/null; `+count)
		if n, err := strconv.Atoi(strings.TrimSpace(r.stdout)); err != nil || n < 32 || n > 64+1 { // process 1 is ours
			t.Errorf("%d processes: %s", n, r)
		}
	})
}

func TestPIDLimitHoldsForRootAsManyUsers(t *testing.T) {
	w := newWorld(t, os.Getuid() != 0)
	// In one subshell, which ends where it can't fork any more.
	const many = `(for user in 2001 2002 2003 2004; do
		i=0; while [ $i -lt 40 ]; do { setpriv --reuid $user --clear-groups sleep 20 || exec sleep 20; } & i=$((i + 1)); done
	done) 2>/dev/null; ` + count
	r := w.limited("pids: 64, timeout: 20s", "root", many)
	if n, err := strconv.Atoi(strings.TrimSpace(r.stdout)); err != nil || n < 32 || n > 64+1 {
		t.Errorf("%d processes: %s", n, r)
	}
	r = w.limited("pids: 64, timeout: 20s, best_effort: true", "root", "setpriv --reuid 2001 --clear-groups id -u")
	if r.stdout != "2001\n" {
		t.Errorf("with best effort root can't become another user: %s", r)
	}
	w.nothingLeft()
}

func TestForkBombEndsWithTheJob(t *testing.T) {
	asBoth(t, func(t *testing.T, w *world, who string) {
		r := w.limited("pids: 128, timeout: 2s", who, "bomb() { bomb | bomb & }; bomb; sleep 60 || exit 3")
		if r.code != 124 && r.code != 1 { // with no process left for sleep, the agent fails
			t.Errorf("%.2000s", r)
		}
		w.nothingLeft()
		if r := w.run("run", "--quiet", "--", "echo", "alive"); r.stdout != "alive\n" {
			t.Errorf("the host runs no other job: %s", r)
		}
	})
}

func TestDiskLimitHolds(t *testing.T) {
	// Root may write where the host's tools are; it stays in the guest.
	places := map[string]string{"agent": "/home/agent", "root": "/usr/lib"}
	asBoth(t, func(t *testing.T, w *world, who string) {
		r := w.limited("disk: 48MiB, timeout: 30s", who, `cd `+places[who]+`; head -c 300M /dev/zero > a || echo full
			stat -c %s a; rm a; echo c > bot-bottle-test && echo room again`)
		var size int
		fmt.Sscanf(r.stdout, "full\n%d", &size)
		if r.code != 0 || size < 32<<20 || size > 48<<20 || !strings.HasSuffix(r.stdout, "room again\n") || !strings.Contains(r.stderr, "No space left on device") {
			t.Errorf("%d bytes were written: %s", size, r)
		}
		if _, err := os.Lstat(places[who] + "/bot-bottle-test"); err == nil {
			t.Error("the host has the guest's file")
		}
	})
}

func TestCPULimitHolds(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		args := w.bottle("limits: {cpus: 1}\n", "sh", "-c", "echo up; sleep 1")
		cmd := w.command(t.Context(), append(args, "--quiet")...)
		w.during(cmd, func() {
			all := w.sandboxes("runsc-")
			if len(all) < 2 {
				t.Errorf("processes %v of the sandbox were found", all)
			}
			for _, pid := range all {
				var set unix.CPUSet
				if err := unix.SchedGetaffinity(pid, &set); err != nil || set.Count() != 1 {
					t.Errorf("process %d may use %d processors (%v)", pid, set.Count(), err)
				}
			}
		})
	})
}

func TestTimeLimitOfTheBottleHolds(t *testing.T) {
	w := newWorld(t, true)
	start := time.Now()
	r := w.limited("timeout: 1s", "root", `trap '' TERM INT HUP; setsid sh -c 'trap "" TERM; sleep 60' & while :; do :; done`)
	refuses(t, r, 124, "time limit of 1s")
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
	w.nothingLeft()
}

func TestVirtualMachineIsNotReplacedByLess(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		args := w.bottle("isolation: vm\n", "true")
		refuses(t, w.run(args...), 3, "gvisor: vm: the bottle wants a virtual machine", "hint: use a backend with a virtual machine")
		refuses(t, w.run(append(args, "--backend", "gvisor")...), 3, "the bottle wants a virtual machine")
		w.neverBegan()
	})
}
