package forge

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

// longJob is a step whose agent says so when it works, and then goes on for longer
// than any test.
var longJob = uses("backend: gvisor", "command: echo the agent is up; sleep 3600")

// underWay pushes the long job and waits until its agent works.
func (h *host) underWay() run {
	h.t.Helper()
	r := h.push(longJob)
	must(h.t, h.repo.awaitLog(h.t.Context(), r, "the agent is up\n"))
	if runs := h.bottleRuns(); len(runs) != 1 {
		h.t.Fatalf("the agent works, and the runs are %+v", runs)
	}
	return r
}

func TestACancelledJobLeavesNothing(t *testing.T) {
	t.Parallel()
	eachService(t, "cancel", func(t *testing.T, h *host) {
		r := h.underWay()
		must(t, h.repo.cancel(t.Context(), r))
		if j, log := h.end(r); j.Conclusion != "cancelled" {
			t.Errorf("the job ended with %q:\n%s", j.Conclusion, log)
		}
		h.awaitNothingLeft()
	})
}

func TestARunnerToldToStopLeavesNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t, "sigterm", true)
	r := h.underWay()
	must(t, h.runner.signal(syscall.SIGTERM))
	must(t, h.runner.await())
	// What the forge says of the job is not looked at: this runner may call it a
	// success.
	if _, log := h.end(r); !strings.Contains(log, "the agent is up") {
		t.Errorf("the log was lost:\n%s", log)
	}
	h.awaitNothingLeft()
}

// The kernel may pick the runner alone. Its step lives on, and has to see by itself
// that nobody waits for it.
func TestAStepEndsWithTheRunnerThatWasKilled(t *testing.T) {
	t.Parallel()
	h := newHost(t, "orphan", true)
	h.underWay()
	must(t, h.runner.signal(syscall.SIGKILL))
	must(t, h.runner.await())
	h.awaitNothingLeft()
}

// A machine that kills a service, for want of memory or because it didn't stop in
// time, kills all of its processes: the supervisor, the sidecar and the guest too.
func TestTheNextJobRemovesWhatAKilledServiceLeft(t *testing.T) {
	t.Parallel()
	eachService(t, "sigkill", func(t *testing.T, h *host) {
		h.underWay()
		h.killService()
		left := h.bottleRuns()
		if len(left) != 1 {
			t.Fatalf("the runs are %+v", left)
		}
		h.start()
		h.succeeds(uses("backend: gvisor", "command: echo the next one"), "the next one\n")
		h.awaitNothingLeft()
	})
}

// killService kills the runner and everything below it, as if at once: all are halted
// first, or one that dies early would be noticed by another, which then still settles.
func (h *host) killService() {
	h.t.Helper()
	all := append(descendants(h.runner.cmd.Process.Pid), h.runner.cmd.Process.Pid)
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		for _, pid := range all {
			if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				h.t.Errorf("%v to %d: %v", signal, pid, err)
			}
		}
	}
	must(h.t, h.runner.await())
	must(h.t, eventually(h.t.Context(), "the service's processes are gone", func() (bool, error) { return len(processes(h.dir)) == 0, nil }))
}
