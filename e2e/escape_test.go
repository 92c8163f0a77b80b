package e2e

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/bot-bottle/action/backends/docker/dockertest"
	"github.com/bot-bottle/action/internal/escape"
	"github.com/bot-bottle/action/internal/escape/attack"
)

// attacked runs the suite and gives its report.
func (w *world) attacked(code int, flags ...string) escape.Report {
	w.t.Helper()
	r := w.run(append([]string{"escape", "--json"}, flags...)...)
	if r.code != code {
		w.t.Errorf("exit code %d, wanted %d: %s", r.code, code, r.stderr)
	}
	var report escape.Report
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		w.t.Fatalf("%v: %s", err, r)
	}
	return report
}

// red names the cases that did not hold, and why.
func red(r escape.Report) map[string][]string {
	cases := map[string][]string{}
	for _, c := range r.Cases {
		if c.Verdict == escape.Held || c.Verdict == escape.Measured || c.Verdict == escape.Pending || c.Verdict == escape.Elsewhere {
			continue
		}
		why := []string{string(c.Verdict)}
		for _, u := range c.Users {
			why = append(why, u.Why...)
		}
		cases[c.ID] = why
	}
	return cases
}

// refusedOf counts the tries of a case that were refused.
func refusedOf(r escape.Report, id string) (n int) {
	for _, c := range r.Cases {
		for _, u := range c.Users {
			if c.ID == id {
				n += u.Refused
			}
		}
	}
	return n
}

func TestEscapeSuiteHoldsOnGVisor(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		tier := escape.Full
		if w.asUser && os.Getuid() == 0 {
			tier = escape.Quick // the full one is run as root then
		}
		dir := filepath.Join(w.dir, "suite")
		r := w.attacked(0, "--backend", "gvisor", "--tier", string(tier), "--report", dir)
		least := map[escape.Tier]int{escape.Quick: 30, escape.Full: 77}[tier]
		if tier == escape.Full {
			for id, least := range map[string]int{"X05": 6, "X07": 10, "X09": 2} {
				if got := refusedOf(r, id); got < least {
					t.Errorf("%s: %d tries were refused, wanted at least %d", id, got, least)
				}
			}
		}
		if !r.Held || r.Count(escape.Held) < least || r.Backend != "gvisor" {
			t.Errorf("held %d; red: %v", r.Count(escape.Held), red(r))
		}
		var junit struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Cases    []struct {
				Name string `xml:"name,attr"`
			} `xml:"testcase"`
		}
		if err := xml.Unmarshal([]byte(w.read(dir, "escape.xml")), &junit); err != nil || junit.Tests != len(junit.Cases) || junit.Tests == 0 || junit.Failures != 0 {
			t.Errorf("the JUnit report: %v, %+v", err, junit)
		}
		if page := w.read(dir, "escape.md"); !strings.Contains(page, "every case held") || !strings.Contains(page, "N03") {
			t.Errorf("the page: %s", page)
		}
		w.nothingLeft()
	})
}

func TestEscapeSuitesAtOnceDontMeet(t *testing.T) {
	w := newWorld(t, true)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if r := w.run("escape", "--tier", "quick", "--case", "N14,N19,D02,F14,R02"); r.code != 0 {
				t.Error(r)
			}
		})
	}
	both.Wait()
	w.nothingLeft()
}

func TestEscapeSaysWhatItCantDo(t *testing.T) {
	w := newWorld(t, true)
	refuses(t, w.run("escape", "--case", "H99"), 2, `there is no case "H99"`, "did you mean one of H01")
	refuses(t, w.run("escape", "--case", "R12"), 2, "is pending")
	refuses(t, w.run("escape", "--case", "R10"), 2, "more than a bottle that lives", "e2e Test")
	refuses(t, w.run("escape", "--tier", "most"), 2, `"most" is none`, "quick or full")
	refuses(t, w.run("escape", "--tier", "quick", "--case", "H18"), 2, "needs routes", "--tier full")
	refuses(t, w.run("escape", "--backend", "magic"), 2, `none called "magic"`)
	if r := w.run("escape", "--list"); r.code != 0 || !strings.Contains(r.stdout, "N03") || !strings.Contains(r.stdout, "pending") {
		t.Error(r)
	}
	w.neverBegan()
}

func TestEscapeSuiteThatIsInterruptedSettles(t *testing.T) {
	w := newWorld(t, true)
	cmd := w.command(t.Context(), "escape")
	said, err := cmd.StderrPipe()
	w.must(err)
	w.must(cmd.Start())
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if strings.Contains(lines.Text(), "prove") { // the next stage is the suite's
			cmd.Process.Signal(syscall.SIGINT)
		}
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	w.nothingLeft()
}

// ofBackends are the goes by which backends besides gVisor are attacked: everything in
// the nightly gate, which has the time; else the quick tier, and the git-gate.
func ofBackends() [][]string {
	if os.Getenv("BOT_BOTTLE_TEST_GATE") != "" {
		return [][]string{{"--tier", string(escape.Full)}}
	}
	return [][]string{{"--tier", string(escape.Quick)}, {"--tier", string(escape.Full), "--case", strings.Join(attack.IDs(attack.Git), ",")}}
}

// The suite holds in containers too: under the host's kernel and under gVisor.
func TestEscapeSuiteHoldsOnDocker(t *testing.T) {
	for name, engine := range map[string]dockertest.Options{
		"runc":  {},
		"runsc": {Runtimes: runsc(t, bottleArguments...)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, false).with(dockertest.Start(t, engine))
			for _, of := range ofBackends() {
				r := w.attacked(0, append(of, "--backend", "docker")...)
				if !r.Held || r.Backend != "docker" {
					t.Errorf("red: %v", red(r))
				}
			}
			w.nothingLeft()
		})
	}
}

// A sidecar that is killed while the agent works takes all doors with it, and the
// job ends, with its reason.
func TestSidecarThatIsKilledBreaksTheBottle(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		cmd := w.command(t.Context(), "run", "--", "sh", "-c", "echo working; sleep 60; echo survived")
		out, err := cmd.StdoutPipe()
		w.must(err)
		var said strings.Builder
		cmd.Stderr = &said
		w.must(cmd.Start())
		lines := bufio.NewScanner(out)
		for lines.Scan() && lines.Text() != "working" {
		}
		killed := killSidecar(cmd.Process.Pid)
		rest, _ := io.ReadAll(out)
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); killed == 0 || code != 8 || !strings.Contains(said.String(), "the sidecar ended") || strings.Contains(string(rest), "survived") {
			t.Errorf("%d killed, exit code %d: %s%s", killed, code, rest, said.String())
		}
		w.nothingLeft()
	})
}

// The same while the suite attacks: it does not hold, and says why.
func TestEscapeSuiteWithoutItsSidecarDoesNotHold(t *testing.T) {
	w := newWorld(t, true)
	dir := filepath.Join(w.dir, "suite")
	cmd := w.command(t.Context(), "escape", "--report", dir)
	said, err := cmd.StderrPipe()
	w.must(err)
	w.must(cmd.Start())
	killed := 0
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if killed == 0 && strings.Contains(lines.Text(), "prove") { // the next stage is the suite's
			killed = killSidecar(cmd.Process.Pid)
		}
	}
	cmd.Wait()
	var report escape.Report
	if err := json.Unmarshal([]byte(w.read(dir, "escape.json")), &report); err != nil || killed == 0 || report.Held || report.Error == "" && len(report.Cases) > 0 || cmd.ProcessState.ExitCode() != 8 {
		t.Errorf("%v, %d killed, exit code %d, held %v, %q", err, killed, cmd.ProcessState.ExitCode(), report.Held, report.Error)
	}
	w.nothingLeft()
}

// killSidecar ends the sidecars below a supervisor, and counts them.
func killSidecar(supervisor int) (killed int) {
	for _, p := range processesWith(" sidecar") {
		var pid int
		if _, err := parse(p, &pid); err == nil && pid != supervisor && descends(pid, supervisor) && syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	return killed
}
