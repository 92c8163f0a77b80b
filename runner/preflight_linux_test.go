package runner

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/preflight"
)

func TestSurveyTakesTheFirstBackendWithoutAFailure(t *testing.T) {
	bad := []preflight.Finding{{ID: "x", Status: preflight.Fail, Subject: "s", Found: "is bad", Remedy: "mend it"}}
	good := []preflight.Finding{{ID: "x", Status: preflight.Warn, Remedy: "look"}}
	s := Survey{Host: good, Backends: []Prospect{{"a", bad}, {"b", good}, {"c", good}}}
	if s.Backend() != "b" || s.Err() != nil {
		t.Errorf("got %q, %v", s.Backend(), s.Err())
	}
	for name, s := range map[string]Survey{
		"host": {Host: bad, Backends: []Prospect{{"b", good}}}, "a": {Backends: []Prospect{{"a", bad}}},
	} {
		if err := s.Err(); s.Backend() != "" || err == nil || !strings.Contains(err.Error(), name+": s: is bad") {
			t.Errorf("%s: got %q, %v", name, s.Backend(), err)
		}
	}
}

func TestPolicyThatTheRunnersUserCanChange(t *testing.T) {
	dir := t.TempDir()
	o := SurveyOptions{Policy: []string{filepath.Join(dir, "none"), dir}, Runner: true}
	check := func() preflight.Finding { return o.checkPolicy(preflight.ThisHost()) }
	if f := check(); f.ID != "policy-missing" {
		t.Errorf("got %+v", f)
	}
	if err := os.WriteFile(filepath.Join(dir, "dev.md"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if f := check(); f.ID != "policy-writable" || !strings.Contains(f.Remedy, "root") {
		t.Errorf("got %+v", f)
	}
	o.Runner = false
	if f := check(); f.Status != preflight.OK {
		t.Errorf("a user's own bottles: %+v", f)
	}
}

func TestWorkflowsOfACheckoutAreLookedAt(t *testing.T) {
	dir := t.TempDir()
	o := SurveyOptions{Workspace: dir}
	if f := o.checkWorkflows(preflight.ThisHost()); f.Status != preflight.OK {
		t.Errorf("got %+v", f)
	}
	if err := os.MkdirAll(filepath.Join(dir, ".gitea/workflows"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 9 {
		name := filepath.Join(dir, ".gitea/workflows", string(rune('a'+i))+".yml")
		if err := os.WriteFile(name, []byte("on: push\njobs: { build: { runs-on: nixos } }"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := o.checkWorkflows(preflight.ThisHost())
	if f.ID != "workflow-exposed" || f.Status != preflight.Warn || !strings.Contains(f.Found, "and 4 more") {
		t.Errorf("got %+v", f)
	}
}

func TestAbsentBackendsAreLookedAtAndNeverReady(t *testing.T) {
	list := absent(context.Background(), Deps{})
	for _, p := range list {
		if p.Ready() {
			t.Errorf("%s is ready", p.Backend)
		}
	}
	if len(list) != 1 {
		t.Errorf("got %+v", list)
	}
}

func TestTheReportSaysWhyThisBackendAndWhatPreflightWarnedOf(t *testing.T) {
	c := chosen{rejected: map[string][]preflight.Finding{
		"smolmachines": {{Subject: "/dev/kvm", Found: "not there"}, {Subject: "smolvm", Found: "not on PATH"}},
	}, findings: []preflight.Finding{{ID: "platform", Status: preflight.OK}, {ID: "memory-low", Status: preflight.Warn, Subject: "memory", Found: "1 MiB are available"}}}
	want := []string{
		"The backend smolmachines was passed over (/dev/kvm: not there; smolvm: not on PATH).",
		"Preflight warned (memory-low): memory: 1 MiB are available.",
	}
	if got := c.notes(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := (chosen{}).notes(); got != nil {
		t.Errorf("got %q", got)
	}
}
