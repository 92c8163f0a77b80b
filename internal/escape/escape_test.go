package escape

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/escape/attack"
	"github.com/bot-bottle/action/internal/guest/probe"
)

var update = flag.Bool("update", false, "write docs/escape.md")

func TestReferenceIsWhatTheCatalogueSays(t *testing.T) {
	const path = "../../docs/escape.md"
	want := Reference(Listing())
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("%s is not what the catalogue says (%v): go test ./internal/escape -run Reference -update", path, err)
	}
}

func TestEveryCaseIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range attack.Catalogue() {
		if seen[c.ID] || c.Title == "" || c.Layer == "" || c.Class == "" {
			t.Errorf("%+v", c)
		}
		seen[c.ID] = true
		switch {
		case c.Tier == attack.Pending && c.Waits == "":
			t.Errorf("%s waits for nothing", c.ID)
		case c.Tier == attack.Tests && c.Test == "":
			t.Errorf("%s names no test", c.ID)
		case c.Runs() && c.Twin == "":
			t.Errorf("%s has no twin", c.ID)
		case c.Paths() && len(paths(c.ID, nil)) == 0 && c.ID != "N14" && c.ID != "F14": // theirs are the collectors'
			t.Errorf("%s has no tries", c.ID)
		}
	}
	for _, seed := range []string{"1", "2a", "2b", "4a", "4b", "3a–3d", "5"} {
		if !slices.ContainsFunc(attack.Catalogue(), func(c attack.Case) bool { return c.Seed == seed }) {
			t.Errorf("the original's attack %s is missing", seed)
		}
	}
}

func TestEveryTryOfTheProofBelongsToACase(t *testing.T) {
	for _, try := range probe.Outside() {
		if id := caseOf(try); id == "" && try.Kind != probe.KindTCP && try.Kind != probe.KindDNSTCP {
			t.Errorf("%s belongs to none", try)
		} else if id != "" {
			if c, ok := attack.Find(id); !ok || !c.Paths() {
				t.Errorf("%s belongs to %s, which takes no tries", try, id)
			}
		}
	}
}

func TestACanaryIsFoundInEveryEncoding(t *testing.T) {
	canary := newCanary()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	fmt.Fprintf(w, "body %s end", canary)
	w.Close()
	for name, data := range map[string]string{
		"plain": "x" + canary + "y", "upper": strings.ToUpper(canary), "hex": fmt.Sprintf("%x", "a"+canary), "percent": percent("q" + canary), "reversed": "z" + reversed(canary),
		"base64": base64.StdEncoding.EncodeToString([]byte(canary)), "base64 1": base64.StdEncoding.EncodeToString([]byte("1" + canary + "22")),
		"base64 2": base64.RawURLEncoding.EncodeToString([]byte("ab" + canary + "c")), "gzip": "POST / HTTP/1.1\r\n\r\n" + zipped.String(),
	} {
		if carries([]byte(data), canary) == "" {
			t.Errorf("%s was not found", name)
		}
	}
	for _, data := range []string{"", canary[:len(canary)-1], newCanary(), "\x1f\x8b"} {
		if got := carries([]byte(data), canary); got != "" {
			t.Errorf("%q: found as %s", data, got)
		}
	}
}

// refused is a try that a door refused, and its line in the log.
func refused(want attack.Want) attack.Try {
	return attack.Try{Name: "try", Want: want, Outcome: probe.Refused, Status: 403}
}

var lastLine atomic.Uint64

func line(rule string) decision.Line {
	return decision.Line{ID: lastLine.Add(1), Kind: decision.KindVerdict, Verdict: decision.Refuse, Rule: rule}
}

// judged judges one case of two doors' attempts, changed by change.
func judged(t *testing.T, change func(*judge, *attack.Case)) UserReport {
	t.Helper()
	c := attack.Case{ID: "H01", Tier: attack.Full, Twin: "the twin", Rules: []string{"no-route"}, Layer: "the door"}
	twin := attack.Try{Outcome: probe.Reached, Status: 200}
	j := judge{
		user: "root", plan: attack.Plan{Canary: map[string]string{"H01": newCanary()}, Twin: map[string]string{"H01": newCanary()}},
		results:  attack.Results{Cases: []attack.Result{{ID: "H01", Tries: []attack.Try{refused(attack.WantDoor), refused(attack.WantDoor)}, Twin: &twin}}},
		lines:    []window{{attack: []decision.Line{line("no-route"), line("no-route")}, marked: true}},
		standIns: &standIns{got: map[string][]byte{}},
	}
	j.standIns.keep("listed", []byte(j.plan.Twin["H01"]))
	if change != nil {
		change(&j, &c)
	}
	return j.judge(0, c)
}

func TestACaseIsHeldByAllOfTheEvidence(t *testing.T) {
	if u := judged(t, nil); u.Verdict != Held || u.Attempts != 2 || u.Refused != 2 || len(u.Why) != 0 {
		t.Errorf("got %+v", u)
	}
	first := func(j *judge) *attack.Try { return &j.results.Cases[0].Tries[0] }
	for name, c := range map[string]struct {
		want   Verdict
		change func(*judge, *attack.Case)
	}{
		"the client says that it got through":  {Leaked, func(j *judge, _ *attack.Case) { first(j).Outcome = probe.Reached }},
		"a stand-in got the canary":            {Leaked, func(j *judge, _ *attack.Case) { j.standIns.keep("x", []byte(percent(j.plan.Canary["H01"]))) }},
		"silence":                              {Inconclusive, func(j *judge, _ *attack.Case) { first(j).Outcome = probe.Silent }},
		"a refusal that took too long":         {Inconclusive, func(j *judge, _ *attack.Case) { first(j).Elapsed = time.Minute }},
		"a try that was not made":              {NotRun, func(j *judge, _ *attack.Case) { first(j).Outcome = probe.Broken }},
		"a refusal that the door didn't write": {Inconclusive, func(j *judge, _ *attack.Case) { j.lines[0].attack = j.lines[0].attack[1:] }},
		"a refusal for another reason":         {Inconclusive, func(j *judge, _ *attack.Case) { j.lines[0].attack[1].Rule = "limits.requests" }},
		"no marks in the log":                  {Inconclusive, func(j *judge, _ *attack.Case) { j.lines[0].marked = false }},
		"a log that was full": {Inconclusive, func(j *judge, _ *attack.Case) {
			j.lines[0].twin = []decision.Line{{Kind: decision.KindDropped, Count: 1}}
		}},
		"a twin that failed":                      {Inconclusive, func(j *judge, _ *attack.Case) { j.results.Cases[0].Twin.Outcome = probe.Refused }},
		"a twin that didn't arrive":               {Inconclusive, func(j *judge, _ *attack.Case) { j.plan.Twin["H01"] = newCanary() }},
		"a twin that was not tried":               {NotRun, func(j *judge, _ *attack.Case) { j.results.Cases[0].Twin = nil }},
		"no result":                               {NotRun, func(j *judge, _ *attack.Case) { j.results.Cases = nil }},
		"a result without tries":                  {NotRun, func(j *judge, _ *attack.Case) { j.results.Cases[0].Tries = nil }},
		"a case that crashed":                     {NotRun, func(j *judge, _ *attack.Case) { j.results.Cases[0].Error = "the door is gone" }},
		"the worst of several counts":             {Leaked, func(j *judge, _ *attack.Case) { first(j).Outcome = probe.Reached; j.results.Cases[0].Twin = nil }},
		"the sandbox is not what was planned":     {Leaked, func(j *judge, c *attack.Case) { c.ID, j.recheck = sandboxCase, fmt.Errorf("a network") }},
		"a listener that the host reached":        {Leaked, func(j *judge, c *attack.Case) { rename(j, c, "N19"); j.reachedListener = []string{"127.0.0.1:1"} }},
		"a path that the backend's table forbids": {NotRun, func(j *judge, _ *attack.Case) { first(j).Want = attack.WantPath }},
	} {
		u := judged(t, c.change)
		if u.Verdict != c.want || len(u.Why) == 0 {
			t.Errorf("%s: got %s because of %q", name, u.Verdict, u.Why)
		}
	}
}

func rename(j *judge, c *attack.Case, id string) {
	c.ID, c.Tier = id, attack.Quick
	j.results.Cases[0].ID = id
	j.plan.Canary[id] = newCanary()
}

func TestPathsAreJudgedByTheBackendsTable(t *testing.T) {
	try := probe.Try{Kind: probe.KindTCP, Target: "192.0.2.1:443"}
	weigh := func(outcome probe.Outcome, errno string) Verdict {
		u := judged(t, func(j *judge, c *attack.Case) {
			j.errnos = probe.GVisorErrnos()
			tries := j.results.Cases[0].Tries
			tries[0] = attack.Try{Want: attack.WantPath, Outcome: outcome, Probe: &probe.Result{Try: try, Outcome: outcome, Errno: errno}}
			j.lines[0].attack = j.lines[0].attack[1:]
			tries[1].Want = attack.WantDenied
		})
		return u.Verdict
	}
	for _, c := range []struct {
		outcome probe.Outcome
		errno   string
		want    Verdict
	}{
		{probe.Refused, "ENETUNREACH", Held}, {probe.Reached, "", Leaked}, {probe.Refused, "ECONNREFUSED", Inconclusive}, {probe.Silent, "", Inconclusive},
	} {
		if got := weigh(c.outcome, c.errno); got != c.want {
			t.Errorf("%s %s: got %s", c.outcome, c.errno, got)
		}
	}
}

func TestLinesAreSplitByTheMarks(t *testing.T) {
	mark := func(n int, part string) decision.Line {
		l := line("no-route")
		l.Host = attack.Mark(n, part)
		return l
	}
	forged := line("no-route")
	forged.Host = "case-1-attack.mark.invalid.evil.example"
	lines := []decision.Line{line("before"), mark(0, "attack"), line("a"), forged, mark(0, "twin"), line("b"), mark(1, "attack"), line("c"), mark(9, "twin")}
	w := split(lines, make([]attack.Case, 2))
	if len(w[0].attack) != 2 || len(w[0].twin) != 1 || !w[0].marked || len(w[1].attack) != 2 || w[1].marked {
		t.Errorf("got %+v", w)
	}
	if n, others := w[0].refusals([]string{"a"}); n != 1 || !slices.Equal(others, []string{"no-route"}) {
		t.Errorf("got %d, %v", n, others)
	}
}

func TestAReportHoldsOnlyIfEveryUserTriedEveryCase(t *testing.T) {
	cases := []attack.Case{{ID: "N03", Title: "a", Layer: "l"}, {ID: "H01", Title: "b <&>", Layer: "l"}}
	report := func(users ...UserReport) Report {
		r := Report{Schema: Schema, Tier: "full", Backend: "gvisor", Started: time.Now()}
		for _, c := range cases {
			r.Cases = append(r.Cases, caseReport(c, NotRun))
			for _, u := range users {
				r.add(c, u)
			}
		}
		r.Cases = append(r.Cases, caseReport(attack.Case{ID: "X01", Waits: "w"}, Pending))
		r.finish()
		return r
	}
	held := UserReport{User: "root", Verdict: Held, Attempts: 1}
	if r := report(held, held); !r.Held || r.err() != nil || r.Count(Held) != 2 || r.Count(Pending) != 1 {
		t.Errorf("got %+v", r)
	}
	measured := UserReport{User: "root", Verdict: Measured, Attempts: 3, Refused: 1}
	if r := report(measured, held); !r.Held || r.err() != nil || r.Count(Measured) != 2 || !strings.Contains(r.Markdown(), "| N03 | measured | 1 of 4 refused |") {
		t.Errorf("measured: got %+v", r)
	}
	for _, users := range [][]UserReport{{}, {held}, {held, {Verdict: Leaked, Why: []string{"out: \x1b[31m::error::"}}}, {held, {Verdict: Inconclusive}}} {
		r := report(users...)
		if r.Held || r.err() == nil {
			t.Errorf("got %+v", r)
		}
		var xmlText, table strings.Builder
		if err := r.JUnit(&xmlText); err != nil {
			t.Fatal(err)
		}
		validJUnit(t, xmlText.String())
		var suite junitSuite
		if err := xml.Unmarshal([]byte(xmlText.String()), &suite); err != nil || suite.Tests != 3 || suite.Failures+suite.Errors != 2 || suite.Skipped != 1 || len(suite.Cases) != 3 {
			t.Errorf("%v\n%s", err, &xmlText)
		}
		if err := r.Table(&table); err != nil || strings.Contains(table.String()+r.Markdown(), "\x1b[31m") {
			t.Errorf("%v\n%s", err, &table)
		}
	}
}

// junit is what the readers of JUnit's XML agree on (Ant's and Jenkins' schemas): by
// element, the elements that may stand in it, the attributes that it has to have, and
// those that it may have.
var junit = map[string]struct{ within, required, optional string }{
	"testsuite": {"", "name tests failures errors", "skipped time timestamp hostname id package"},
	"testcase":  {"testsuite", "name classname", "time status assertions"},
	"failure":   {"testcase", "", "message type"},
	"error":     {"testcase", "", "message type"},
	"skipped":   {"testcase", "", "message"},
}

// validJUnit holds a document against the schema.
func validJUnit(t *testing.T, text string) {
	t.Helper()
	var within []string
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		switch e := token.(type) {
		case xml.StartElement:
			rule, known := junit[e.Name.Local]
			if parent := strings.Join(within[max(0, len(within)-1):], ""); !known || parent != rule.within {
				t.Errorf("<%s> in <%s>", e.Name.Local, parent)
			}
			has := map[string]string{}
			for _, a := range e.Attr {
				has[a.Name.Local] = a.Value
				if !slices.Contains(strings.Fields(rule.required+" "+rule.optional), a.Name.Local) {
					t.Errorf("<%s> has %s", e.Name.Local, a.Name.Local)
				}
			}
			for _, name := range strings.Fields(rule.required) {
				if has[name] == "" {
					t.Errorf("<%s> has no %s", e.Name.Local, name)
				}
			}
			for _, name := range []string{"tests", "failures", "errors", "skipped", "time"} {
				if _, err := strconv.ParseFloat(has[name], 64); has[name] != "" && err != nil {
					t.Errorf("<%s> has %s=%q", e.Name.Local, name, has[name])
				}
			}
			within = append(within, e.Name.Local)
		case xml.EndElement:
			within = within[:len(within)-1]
		}
	}
}

func TestCasesAreChosenByIDAndTier(t *testing.T) {
	if cases, err := selected(Full, []string{"h01", "N03", "H01"}); err != nil || len(cases) != 2 {
		t.Errorf("got %d, %v", len(cases), err)
	}
	quick, _ := selected(Quick, nil)
	full, _ := selected(Full, nil)
	if len(quick) == 0 || len(full) <= len(quick) {
		t.Errorf("%d quick, %d in full", len(quick), len(full))
	}
	for id, want := range map[string]string{"H99": "there is no case", "": "there is no case", "H18": "needs routes", "R12": "is pending"} {
		if _, err := selected(Quick, []string{id}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", id, err)
		}
	}
}
