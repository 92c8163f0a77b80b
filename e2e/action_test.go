package e2e

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func eachRunner(t *testing.T, test func(*testing.T, *runnerHost)) {
	t.Helper()
	for _, who := range callers() {
		t.Run(who, func(t *testing.T) { test(t, newRunnerHost(t, who == "user")) })
	}
}

func TestActionRunsACommandAndTellsTheRunner(t *testing.T) {
	eachRunner(t, func(t *testing.T, h *runnerHost) {
		s := h.step("one", map[string]string{"command": "echo hello; id -u", "token": "job-token"})
		r := s.do("main")
		if r.code != 0 || !strings.Contains(r.stdout, "::group::agent\nhello\n1000\n::endgroup::\n") || !strings.Contains(r.stdout, "::add-mask::job-token") {
			t.Fatal(r)
		}
		out := s.outputs()
		if out["verdict"] != "passed" || out["exit-code"] != "0" || out["refused"] != "0" || out["backend"] != "gvisor" || out["patch"] != "" {
			t.Errorf("got %q", out)
		}
		if s.report()["run"].(map[string]any)["id"] != out["run-id"] {
			t.Errorf("the report is another run's than %q", out["run-id"])
		}
		if !strings.Contains(s.file("summary"), "passed") {
			t.Errorf("got %q", s.file("summary"))
		}
		if r := s.do("post"); r.code != 0 || r.stdout != "" {
			t.Error(r)
		}
		h.nothingLeft()
	})
}

func TestActionsAgentCantTalkToTheRunner(t *testing.T) {
	h := newRunnerHost(t, true)
	s := h.step("one", map[string]string{"command": `printf 'unfinished'; printf '\n::set-output name=verdict::x\n##[add-path]/tmp\n::endgroup::\n::error::x' >&2`})
	r := s.do("main")
	if r.code != 0 {
		t.Fatal(r)
	}
	for _, line := range strings.Split(r.stdout, "\n") {
		command := strings.HasPrefix(strings.TrimSpace(line), "::") && !strings.HasPrefix(line, "::group::agent") && line != "::endgroup::"
		if command || strings.Contains(line, "##[") {
			t.Errorf("%q got through", line)
		}
	}
	if strings.Count(r.stdout, "\n::endgroup::\n") != 1 {
		t.Errorf("the agent's group is not the one that was closed: %q", r.stdout)
	}
	h.nothingLeft()
}

func TestActionFailsWithTheAgentUnlessToldOtherwise(t *testing.T) {
	h := newRunnerHost(t, true)
	for failOn, code := range map[string]int{"": 1, "agent": 1, "escape, cleanup": 0} {
		s := h.step("one", map[string]string{"command": "exit 9", "fail-on": failOn})
		if r := s.do("main"); r.code != code || s.outputs()["exit-code"] != "1" || s.outputs()["verdict"] != "failed" {
			t.Errorf("fail-on %q: %s", failOn, r)
		}
	}
	h.nothingLeft()
}

func TestActionGivesThePatchOfACheckout(t *testing.T) {
	h := newRunnerHost(t, true)
	c := h.checkout(map[string]string{"sub/file": "x\n"})
	h.must(os.Remove(filepath.Join(h.dir, "work")))
	h.must(os.Rename(c.dir, filepath.Join(h.dir, "work")))
	s := h.step("one", map[string]string{"command": "echo changed > sub/file", "pull-request": "true"})
	r := s.do("main")
	out := s.outputs()
	if r.code != 6 || out["verdict"] != "incomplete" || !strings.HasSuffix(out["patch"], "/changes.patch") || !strings.Contains(r.stdout, "::error::bot-bottle: pull-request: opening a pull request") {
		t.Errorf("%v: %s", out, r)
	}
	s = h.step("two", map[string]string{"command": "true", "pull-request": "true"})
	if r := s.do("main"); r.code != 0 || s.outputs()["patch"] != "" {
		t.Errorf("without changes: %s", r)
	}
	h.nothingLeft()
}

func TestActionRefusesWithAnAnnotation(t *testing.T) {
	h := newRunnerHost(t, true)
	for name, c := range map[string]struct {
		inputs map[string]string
		code   int
		words  string
	}{
		"input with newlines": {map[string]string{"bottle": "a\nb", "command": "true"}, 2, `reading input "bottle": it has more than one line`},
		"unknown input":       {map[string]string{"botle": "a", "command": "true"}, 2, `reading input "botle"`},
		"escape":              {map[string]string{"escape": "most", "command": "true"}, 2, `"most" is none of off, quick, full`},
		"nothing to do":       {map[string]string{}, 2, "there is nothing to run"},
		"unknown bottle":      {map[string]string{"bottle": "nowhere", "command": "true"}, 2, "nowhere"},
		"unknown backend":     {map[string]string{"backend": "nowhere", "command": "true"}, 2, "nowhere"},
	} {
		s := h.step("one", c.inputs)
		r := s.do("main")
		if r.code != c.code || !strings.Contains(r.stdout, "::error::bot-bottle: ") || !strings.Contains(r.stdout, c.words) || s.outputs()["verdict"] != "refused" {
			t.Errorf("%s: %s", name, r)
		}
		if s.do("post").code != 0 {
			t.Errorf("%s: post failed", name)
		}
	}
	h.nothingLeft()
}

func TestCancelledActionLeavesNothingAfterPost(t *testing.T) {
	eachRunner(t, func(t *testing.T, h *runnerHost) {
		s := h.step("one", map[string]string{"command": "echo up; sleep 60"})
		cmd := s.command(t.Context(), "main")
		s.await(cmd, "up\n", func() { cmd.Process.Kill() })
		if r := s.do("post"); r.code != 0 {
			t.Error(r)
		}
		h.nothingLeft()
	})
}

func TestActionKilledAtAnyMomentLeavesNothingAfterPost(t *testing.T) {
	h := newRunnerHost(t, true)
	for range 12 {
		s := h.step("one", map[string]string{"command": "sleep 60"})
		cmd := s.command(t.Context(), "main")
		h.must(cmd.Start())
		delay := rand.N(1200 * time.Millisecond)
		time.Sleep(delay) // the moment is the test's subject
		cmd.Process.Kill()
		cmd.Wait()
		if r := s.do("post"); r.code != 0 {
			t.Errorf("killed after %v: %s", delay, r)
		}
		h.nothingLeft()
	}
}

func TestActionsSupervisorKilledPostSettles(t *testing.T) {
	h := newRunnerHost(t, true)
	s := h.step("one", map[string]string{"command": "echo up; sleep 60"})
	cmd := s.command(t.Context(), "main")
	s.await(cmd, "up\n", func() {
		for _, p := range processesWith("action main") {
			var pid int
			if _, err := parse(p, &pid); err == nil && descends(pid, cmd.Process.Pid) {
				kill(t, pid)
			}
		}
	})
	if code := cmd.ProcessState.ExitCode(); code != 128+9 {
		t.Errorf("the step ended with %d", code)
	}
	if r := s.do("post"); r.code != 0 || !strings.Contains(r.stdout, "settled what run") {
		t.Error(r)
	}
	h.nothingLeft()
}

func TestSignalledActionSettlesAndPassesTheCodeOn(t *testing.T) {
	h := newRunnerHost(t, true)
	s := h.step("one", map[string]string{"command": "echo up; sleep 60"})
	cmd := s.command(t.Context(), "main")
	s.await(cmd, "up\n", func() { cmd.Process.Signal(os.Interrupt) })
	if code := cmd.ProcessState.ExitCode(); code != 130 || s.outputs()["verdict"] != "stopped" {
		t.Errorf("ended with %d, %v", code, s.outputs())
	}
	h.nothingLeft()
}

func TestPostWithoutMainIsDone(t *testing.T) {
	h := newRunnerHost(t, true)
	if r := h.step("one", map[string]string{"command": "true"}).do("post"); r.code != 0 || r.stdout+r.stderr != "" {
		t.Error(r)
	}
}

func TestMainTwiceAndPostTwiceLeaveNothing(t *testing.T) {
	h := newRunnerHost(t, true)
	s := h.step("one", map[string]string{"command": "echo up; sleep 60"})
	for range 2 {
		cmd := s.command(t.Context(), "main")
		s.await(cmd, "up\n", func() { cmd.Process.Kill() })
	}
	for range 2 {
		if r := s.do("post"); r.code != 0 {
			t.Error(r)
		}
	}
	eventually(t, 10*time.Second, "the first main to settle by itself", func() bool { return len(h.runs()) == 0 })
	h.nothingLeft()
}

func TestPostOfOneActionLeavesTheOtherAlone(t *testing.T) {
	h := newRunnerHost(t, true)
	other := h.step("other", map[string]string{"command": "echo up; sleep 3; echo through"})
	cmd := other.command(t.Context(), "main")
	rest := other.await(cmd, "up\n", func() {
		s := h.step("one", map[string]string{"command": "true"})
		if main, post := s.do("main"), s.do("post"); main.code != 0 || post.code != 0 {
			t.Errorf("%s\n%s", main, post)
		}
	})
	if cmd.ProcessState.ExitCode() != 0 || !strings.Contains(rest, "through") {
		t.Errorf("the other ended with %d: %s", cmd.ProcessState.ExitCode(), rest)
	}
	h.nothingLeft()
}
