package report_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
)

func example() report.Report {
	start := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	return report.Report{
		Schema:    report.Schema,
		Run:       report.Run{ID: "k3f9x2m1qa", Name: "first-job", Host: "h7"},
		Versions:  report.Versions{BotBottle: "0.1.0", Backend: "20260905"},
		Started:   start,
		Finished:  start.Add(4210 * time.Millisecond),
		Bottle:    "web",
		Backend:   "gvisor",
		Isolation: "gvisor",
		Outcome:   report.Outcome{Verdict: report.Passed},
		Stages:    []report.Stage{{Name: "launch", Duration: 212 * time.Millisecond}, {Name: "prove", Duration: 61 * time.Millisecond}},
		Proof: &report.Proof{
			Held: true, Duration: 61 * time.Millisecond, Users: []string{"root", "agent"}, Doors: []string{"egress", "git-gate", "supervise"},
			Tries: 96, Refused: 96, Collectors: 14, Absent: []string{"IPv6"}, Evidence: json.RawMessage(`{"tries":[]}`),
		},
		Doors: report.Doors{Doors: []report.Door{{
			Name: decision.Egress, Allowed: 3, Refused: 11, Stripped: 1,
			Rules:  []report.RuleCount{{Rule: "no-route", Count: 9}, {Rule: "address-denied", Count: 2}},
			Routes: []report.RouteCount{{Route: "api.example.com:443", Allowed: 3, Sent: 100, Received: 4096}},
		}}},
		Agent: &report.Agent{Argv: []string{"sh", "-c", "true"}, User: "agent", Duration: 3 * time.Second, Output: report.Output{Bytes: 2048}},
		Changes: &report.Changes{
			Files:  []report.File{{Path: "cmd/main.go", Kind: "modify", Added: 10, Deleted: 3, Mode: 0o644}, {Path: "x.png", Kind: "add", Binary: true, Mode: 0o644}},
			Digest: strings.Repeat("ab", 32), Base: strings.Repeat("c", 40),
		},
		Limits:     []report.Limit{{Name: "memory", Value: "4 GiB", HeldBy: "watch"}, {Name: "cpu", Value: "2"}},
		Sidecar:    []report.Hardening{{Name: "seccomp", Held: true}, {Name: "landlock", Detail: "kernel too old"}},
		Remainders: []report.Remainder{{Kind: "folder", Reason: "device is busy"}},
		Notes:      []string{"the clock went back"},
	}
}

func TestAReportComesBackAsItWasWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "reports", "run")
	want := example()
	if err := report.WriteDir(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := report.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	want.Dir = dir
	var compact strings.Builder
	for _, field := range strings.Fields(string(got.Proof.Evidence)) {
		compact.WriteString(field)
	}
	got.Proof.Evidence = json.RawMessage(compact.String())
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestAReportWithAllTheLongNamesOfAPatchCanBeRead(t *testing.T) {
	dir, r := t.TempDir(), example()
	const files = 8000
	for range files { // 60 MiB in a patch
		r.Changes.Files = append(r.Changes.Files, report.File{Path: strings.Repeat(strings.Repeat("<", 249)+"/", 15) + "x", Kind: "mode"})
	}
	if err := report.WriteDir(dir, r); err != nil {
		t.Fatal(err)
	}
	if got, err := report.ReadDir(dir); err != nil || len(got.Changes.Files) < files {
		t.Error(err)
	}
}

func TestReportsAreForTheirOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time everything is there already
		if err := report.WriteDir(dir, example()); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]os.FileMode{".": 0o700, report.JSONName: 0o600, report.MarkdownName: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("the folder has %v, %v; want two files", entries, err)
	}
}

func TestAFolderThatIsNoneIsAnErrorWithAHint(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := report.WriteDir(file, example())
	var e *term.Error
	if !errors.As(err, &e) || e.Stage != term.StageCollect || len(e.Hints) == 0 || !strings.Contains(e.Error(), file) {
		t.Errorf("got %#v", err)
	}
}

func TestAReportOfANewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, report.JSONName), []byte(`{"schema": 99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := report.ReadDir(dir); err == nil || !strings.Contains(err.Error(), "schema is 99") {
		t.Errorf("got %v", err)
	}
}

func TestEveryExitCodeHasItsVerdict(t *testing.T) {
	for code, want := range map[int]report.Verdict{
		0: report.Passed, 1: report.Failed, 2: report.Refused, 3: report.Refused, 4: report.Unproven, 5: report.Escaped,
		6: report.Incomplete, 7: report.Incomplete, 8: report.Broken, 124: report.Stopped, 130: report.Stopped, 143: report.Stopped,
		77: report.Broken,
	} {
		if got := report.VerdictOf(code); got != want {
			t.Errorf("VerdictOf(%d) = %q, want %q", code, got, want)
		}
	}
}

func TestDecisionsAreCountedByRuleAndRoute(t *testing.T) {
	const secret = "AKIAIOSFODNN7EXAMPLE"
	verdict := func(id uint64, v decision.Verdict, rule, route string) decision.Line {
		return decision.Line{ID: id, Kind: decision.KindVerdict, Door: decision.Egress, Verdict: v, Rule: rule, Route: route, Host: secret + ".evil.invalid", Path: "/" + secret}
	}
	lines := []decision.Line{
		verdict(1, decision.Allow, "route", "a.example:443"),
		{ID: 1, Kind: decision.KindEnd, Door: decision.Egress, Sent: 10, Received: 100, Duration: time.Second},
		verdict(2, decision.Allow, "route", "a.example:443"),
		{ID: 2, Kind: decision.KindEnd, Door: decision.Egress, Sent: 1, Received: 2, Duration: time.Minute, Error: "reading " + secret},
		verdict(3, decision.Allow, "route", "b.example:443"),
		verdict(4, decision.Refuse, "no-route", ""),
		{ID: 4, Kind: decision.KindEnd, Door: decision.Egress, Status: 403},
		verdict(5, decision.Refuse, "no-route", ""),
		verdict(6, decision.Refuse, "method", "a.example:443"),
		verdict(7, decision.Refuse, "Rule with "+secret, secret),
		{ID: 8, Kind: decision.KindVerdict, Door: decision.Door(secret), Verdict: decision.Refuse, Rule: "closed"},
		{ID: 9, Kind: decision.KindEnd, Door: decision.Egress, Sent: 1 << 40},
		{Kind: decision.KindDropped, Count: 3},
		{Kind: decision.KindDropped, Count: 4},
	}
	lines[4].Dropped = []string{"cookie"}
	want := report.Doors{Dropped: 7, Doors: []report.Door{
		{
			Name: decision.Egress, Allowed: 3, Refused: 4, Broken: 1, Open: 1, Stripped: 1,
			Rules: []report.RuleCount{{Rule: "no-route", Count: 2}, {Rule: "method", Count: 1}, {Rule: report.Other, Count: 1}},
			Routes: []report.RouteCount{
				{Route: "a.example:443", Allowed: 2, Refused: 1, Sent: 11, Received: 102, Slowest: time.Minute},
				{Route: "b.example:443", Allowed: 1},
				{Route: report.Other, Refused: 1},
			},
		},
		{Name: report.Other, Refused: 1, Rules: []report.RuleCount{{Rule: "closed", Count: 1}}},
	}}
	got := report.FromDecisions(slices.Values(lines))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	r := example()
	r.Doors = got
	for name, text := range renderings(t, r) {
		if strings.Contains(text, secret) {
			t.Errorf("%s quotes a refused request", name)
		}
	}
}

// renderings gives each form of r.
func renderings(t *testing.T, r report.Report) map[string]string {
	t.Helper()
	var table strings.Builder
	if err := report.Table(&table, r, term.NewStyle(false)); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"table": table.String(), "markdown": report.Markdown(r), "json": string(b)}
}
