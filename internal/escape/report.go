package escape

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/escape/attack"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
)

// Schema is the version of the JSON form. It grows when a field changes its
// meaning or goes.
const Schema = 1

// Report is what came of one go of the suite.
type Report struct {
	Schema   int           `json:"schema"`
	Tier     string        `json:"tier"`
	Backend  string        `json:"backend"`
	Run      string        `json:"run"` // id of the run in whose bottle it was
	Started  time.Time     `json:"started"`
	Duration time.Duration `json:"duration_ns"`
	Held     bool          `json:"held"`            // every case that ran held or was measured, and all that had to run did
	Error    string        `json:"error,omitempty"` // why it did not come to its end
	Cases    []CaseReport  `json:"cases"`
}

// CaseReport is what is said of one case.
type CaseReport struct {
	ID      string       `json:"id"`
	Title   string       `json:"title"`
	Class   string       `json:"class"`
	Seed    string       `json:"seed,omitempty"` // number in the suite that came before
	Layer   string       `json:"layer"`          // what had to hold it
	Twin    string       `json:"twin,omitempty"`
	Waits   string       `json:"waits_for,omitempty"` // of a pending case
	Test    string       `json:"test,omitempty"`      // of one that the project's tests make: folder and name
	Verdict Verdict      `json:"verdict"`
	Users   []UserReport `json:"users,omitempty"`
}

// UserReport is a case as one user of the guest.
type UserReport struct {
	User     string       `json:"user"`
	Verdict  Verdict      `json:"verdict"`
	Attempts int          `json:"attempts"`
	Refused  int          `json:"refused"` // attempts that met a refusal; others may be harmless, or not caught where that is measured
	Why      []string     `json:"why,omitempty"`
	Reason   string       `json:"reason,omitempty"` // why it is not applicable
	Tries    []attack.Try `json:"tries,omitempty"`
}

// begin lists the cases, and what is pending of the tier.
func (r *Report) begin(cases []attack.Case, p *runner.Proven) {
	r.Backend, r.Run, r.Started = p.Backend(), p.RunID(), time.Now().UTC()
	for _, c := range cases {
		r.Cases = append(r.Cases, caseReport(c, NotRun))
	}
	for _, c := range attack.Catalogue() {
		if !c.Runs() {
			r.Cases = append(r.Cases, caseReport(c, Verdict(c.Tier)))
		}
	}
}

// expect lists the cases of the end, too.
func (r *Report) expect(cases []attack.Case) {
	for _, c := range cases {
		r.Cases = append(r.Cases, caseReport(c, NotRun))
	}
	slices.SortStableFunc(r.Cases, func(a, b CaseReport) int { return place(a.ID) - place(b.ID) })
}

// place is where in the catalogue a case stands.
func place(id string) int {
	return slices.IndexFunc(attack.Catalogue(), func(c attack.Case) bool { return c.ID == id })
}

// ran tells whether a verdict was given.
func (v Verdict) ran() bool { return v != Pending && v != Elsewhere }

// passes tells whether a case that ran leaves the gate green.
func (v Verdict) passes() bool { return v == Held || v == Measured }

func caseReport(c attack.Case, v Verdict) CaseReport {
	return CaseReport{ID: c.ID, Title: c.Title, Class: string(c.Class), Seed: c.Seed, Layer: c.Layer, Twin: c.Twin, Waits: c.Waits, Test: c.Test, Verdict: v}
}

func (r *Report) add(c attack.Case, u UserReport) {
	i := slices.IndexFunc(r.Cases, func(o CaseReport) bool { return o.ID == c.ID })
	r.Cases[i].Users = append(r.Cases[i].Users, u)
}

// broke notes that a user's go came to no end.
func (r *Report) broke(user string, err error) { r.Error = fmt.Sprintf("as %s: %v", user, err) }

// users who have to have tried each case.
const users = 2

// finish sums up: a case is as good as its worst user.
func (r *Report) finish() {
	r.Duration = time.Since(r.Started)
	r.Held = r.Error == ""
	for i := range r.Cases {
		c := &r.Cases[i]
		if !c.Verdict.ran() {
			continue
		}
		if len(c.Users) == users {
			c.Verdict = Held
		}
		for _, u := range c.Users {
			if worse(u.Verdict, c.Verdict) {
				c.Verdict = u.Verdict
			}
		}
		r.Held = r.Held && c.Verdict.passes()
	}
}

// Count counts the cases with a verdict.
func (r Report) Count(v Verdict) (n int) {
	for _, c := range r.Cases {
		if c.Verdict == v {
			n++
		}
	}
	return n
}

// maxTold bounds the cases that an error names.
const maxTold = 5

// err is nil where everything held.
func (r Report) err() error {
	if r.Held {
		return nil
	}
	var bad []string
	for _, c := range r.Cases {
		if c.Verdict.ran() && !c.Verdict.passes() {
			bad = append(bad, fmt.Sprintf("%s %s", c.ID, c.Verdict))
		}
	}
	told := strings.Join(bad[:min(len(bad), maxTold)], ", ")
	if more := len(bad) - maxTold; more > 0 {
		told += fmt.Sprintf(", and %d more", more)
	}
	return term.Errorf(term.StageEscape, "", "attacking the bottle: %s did not hold: %s", term.Count(int64(len(bad)), "case", "cases"), told).
		WithHint("the suite's report says what got out where, and what should have held it")
}
