package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// survey is what `preflight --json` prints, as its readers see it.
type survey struct {
	Schema   int
	Ready    bool
	Backend  string
	Host     []foundLine
	Backends []struct {
		Backend  string
		Ready    bool
		Findings []foundLine
	}
}

type foundLine struct{ ID, Status, Subject, Found, Remedy string }

func (w *world) survey(code int, flags ...string) (s survey) {
	w.t.Helper()
	r := w.run(append([]string{"preflight", "--json"}, flags...)...)
	if r.code != code {
		w.t.Error(r)
	}
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
		w.t.Fatalf("%v: %s", err, r)
	}
	return s
}

// find gives the first finding of the host, or of any backend, with the id.
func (s survey) find(id string) foundLine {
	all := s.Host
	for _, b := range s.Backends {
		all = append(all, b.Findings...)
	}
	for _, f := range all {
		if f.ID == id {
			return f
		}
	}
	return foundLine{}
}

func TestPreflightOnAHealthyHost(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		s := w.survey(0)
		if s.Schema != 1 || !s.Ready || s.Backend != "gvisor" {
			t.Errorf("got %+v", s)
		}
		for _, f := range s.Host {
			if f.Status == "fail" {
				t.Errorf("got %+v", f)
			}
		}
		if s.find("userns").Status != "ok" {
			t.Errorf("got %+v", s)
		}
		if entries, err := os.ReadDir(filepath.Join(w.dir, "state")); err != nil || len(entries) != 0 {
			t.Errorf("preflight left %v in the state folder (%v)", entries, err)
		}
		if r := w.run("preflight", "--backend", "gvisor"); r.code != 0 || !strings.Contains(r.stdout, "ready: jobs get the backend gvisor") || strings.Contains(r.stdout, "docker") {
			t.Error(r)
		}
		refuses(t, w.run("preflight", "--backend", "magic"), 2, `none called "magic"`)
		refuses(t, w.run("preflight", "--workspace", "missing"), 2, `"missing" is not a folder`)
	})
}

// The aim is 100 ms. What is asserted leaves room for a machine that does other
// things meanwhile.
func TestPreflightIsQuick(t *testing.T) {
	w := newWorld(t, true)
	w.run("preflight", "--backend", "gvisor")
	best := time.Hour
	for range 5 {
		start := time.Now()
		w.run("preflight", "--backend", "gvisor")
		best = min(best, time.Since(start))
	}
	t.Logf("the quickest of 5 took %v, process start included", best.Round(time.Millisecond))
	if best > time.Second {
		t.Errorf("it took %v", best)
	}
}

func TestPreflightWithoutAStateFolder(t *testing.T) {
	w := newWorld(t, true)
	if err := os.Chmod(filepath.Join(w.dir, "state"), 0o777); err != nil {
		t.Fatal(err)
	}
	s := w.survey(3)
	if f := s.find("state-others"); s.Ready || s.Backend != "" || f.Status != "fail" || !strings.Contains(f.Remedy, "chmod 0700") {
		t.Errorf("got %+v", s)
	}
	r := w.run("preflight")
	if r.code != 3 || !strings.Contains(r.stdout, "state-others: chown") || !strings.Contains(r.stderr, "no job could run") || strings.Contains(r.stdout, "ready:") {
		t.Error(r)
	}
}

func TestPreflightUnderARunnerLooksAtPolicyAndWorkflows(t *testing.T) {
	h := newRunnerHost(t, true)
	h.write("etc/bot-bottle/bottles/dev.md", "---\n---\n")
	h.write("work/.gitea/workflows/ci.yml", "on: push\njobs: { build: { runs-on: nixos } }\n")
	s := h.step("one", map[string]string{"preflight-only": "true", "workspace": "."})
	r := s.do("main")
	for _, want := range []string{
		`job "build" on "nixos" by push`, "protected branches only", // what a push would run
		"policy-writable", "chown -R root:", // the world's user owns its /etc
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if r.code != 0 || s.outputs()["verdict"] != "passed" {
		t.Error(r)
	}
}
