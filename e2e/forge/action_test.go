package forge

import (
	"os"
	"strings"
	"testing"
)

// workflow is a file with one job of these steps, started by the event.
func workflow(event, steps string) map[string]string {
	return map[string]string{".gitea/workflows/job.yml": "on: " + event + "\njobs:\n  agent:\n    runs-on: nixos\n    steps:\n" + steps}
}

// uses is a step with this action and the inputs, a line each.
func uses(inputs ...string) string {
	return "      - uses: bot-bottle/action@v1\n        with:\n          " + strings.Join(inputs, "\n          ") + "\n"
}

// onMain is the event of a push that isn't an agent's: one that a bottle's own branch
// started would run on the host, which the git-gate refuses.
const onMain = "{ push: { branches: [main] } }"

// push commits a workflow of these steps and gives its run.
func (h *host) push(steps string) run {
	h.t.Helper()
	return h.started(func() error { return h.repo.commit(h.t.Context(), workflow(onMain, steps)) })
}

// started does what starts a run, and gives that run.
func (h *host) started(by func() error) run {
	h.t.Helper()
	before, err := h.repo.runs(h.t.Context())
	must(h.t, err)
	must(h.t, by())
	r, err := h.repo.awaitRunAfter(h.t.Context(), before)
	must(h.t, err)
	return r
}

// end waits for the end of the run's job, and gives it with its log.
func (h *host) end(of run) (job, string) {
	h.t.Helper()
	j, err := h.repo.awaitEnd(h.t.Context(), of)
	must(h.t, err)
	log, err := h.repo.log(h.t.Context(), of)
	if j.Conclusion != "cancelled" {
		must(h.t, err)
	}
	return j, log
}

// succeeds pushes the workflow, waits, and gives the log of a job that has to end
// well.
func (h *host) succeeds(steps string, words ...string) string {
	h.t.Helper()
	j, log := h.end(h.push(steps))
	if j.Conclusion != "success" {
		h.t.Fatalf("the job ended with %q:\n%s", j.Conclusion, log)
	}
	for _, word := range words {
		if !strings.Contains(log, word) {
			h.t.Errorf("the log lacks %q:\n%s", word, log)
		}
	}
	return log
}

// eachService runs the test with a runner that is an ordinary user's and, where
// the tests are root's, with one of root's.
func eachService(t *testing.T, name string, test func(*testing.T, *host)) {
	run := func(who string, asUser bool) {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			test(t, newHost(t, name+"-"+who, asUser))
		})
	}
	run("user", true)
	if os.Getuid() == 0 {
		run("root", false)
	}
}

func TestAJobOfTheForgeRunsOnTheHost(t *testing.T) {
	t.Parallel()
	newHost(t, "smoke", true).succeeds("      - run: echo said on $(uname)\n", "said on Linux")
}

func TestPreflightOnlyTellsWhetherTheHostCan(t *testing.T) {
	t.Parallel()
	eachService(t, "preflight", func(t *testing.T, h *host) {
		h.succeeds(uses("preflight-only: true"), "ok host: ")
		if n := len(h.bottleRuns("--all")); n != 0 {
			t.Errorf("%d runs", n)
		}
	})
}

func TestACommandRunsInABottle(t *testing.T) {
	t.Parallel()
	eachService(t, "command", func(t *testing.T, h *host) {
		h.succeeds(uses("backend: gvisor", "command: echo done > result.txt; cat result.txt; echo as $(id -u)"), "done\n", "as 1000")
		if n := len(h.bottleRuns("--all")); n != 1 {
			t.Errorf("%d runs", n)
		}
		h.awaitNothingLeft()
	})
}

func TestTheSuiteHoldsBeneathARunner(t *testing.T) {
	t.Parallel()
	h := newHost(t, "escape", true)
	h.succeeds(uses("backend: gvisor", "escape: quick"), "held  N03")
	h.awaitNothingLeft()
}
