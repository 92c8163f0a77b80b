package escape

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/escape/attack"
	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
)

// Table writes the report for a person: a line for each case, and why of those
// that did not hold.
func (r Report) Table(w io.Writer) error {
	var t term.Table
	for _, c := range r.Cases {
		if c.Verdict.ran() {
			t.Row(string(c.Verdict), c.ID, c.attempts(), c.Title)
		}
	}
	text := t.String()
	for _, c := range r.Cases {
		for _, u := range c.Users {
			for _, why := range u.Why {
				text += fmt.Sprintf("%s as %s: %s\n    should have been held by %s\n", c.ID, u.User, neutralize.Text(why), c.Layer)
			}
		}
	}
	text += "\n" + r.summary() + "\n"
	_, err := io.WriteString(w, text)
	return err
}

func (c CaseReport) attempts() string {
	n, refused := 0, 0
	for _, u := range c.Users {
		n, refused = n+u.Attempts, refused+u.Refused
	}
	if c.Verdict == Measured {
		return fmt.Sprintf("%d of %d refused", refused, n)
	}
	return term.Count(int64(n), "attempt", "attempts")
}

func (r Report) summary() string {
	s := r.counts()
	if r.Error != "" {
		s += "\nit came to no end: " + report.Code(r.Error)
	}
	return s
}

func (r Report) counts() string {
	return fmt.Sprintf("%s tier on %s: %d held, %d measured, %d leaked, %d inconclusive, %d not run, %d pending, in %v",
		r.Tier, r.Backend, r.Count(Held), r.Count(Measured), r.Count(Leaked), r.Count(Inconclusive), r.Count(NotRun), r.Count(Pending), r.Duration.Round(time.Millisecond))
}

// Markdown gives the report as a page.
func (r Report) Markdown() string {
	var b strings.Builder
	verdict := "every case held"
	if !r.Held {
		verdict = "the bottle did not hold"
	}
	fmt.Fprintf(&b, "# Sandbox-escape suite: %s\n\n%s\n\n| case | verdict | attempts | what is tried | what holds it |\n|---|---|--:|---|---|\n", verdict, r.summary())
	for _, c := range r.Cases {
		if c.Verdict.ran() {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", c.ID, c.Verdict, c.attempts(), c.Title, c.Layer)
		}
	}
	for _, c := range r.Cases {
		for _, u := range c.Users {
			if len(u.Why) > 0 {
				fmt.Fprintf(&b, "\n## %s as %s: %s\n\n", c.ID, u.User, u.Verdict)
			}
			for _, why := range u.Why {
				fmt.Fprintf(&b, "- %s\n", report.Code(why))
			}
		}
	}
	return b.String()
}

// The elements of JUnit's XML that its readers agree on.
type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Stamp    string      `xml:"timestamp,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Error   *junitMessage `xml:"error,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as JUnit's XML: a leak is a failure, what can't be said
// or did not run an error, and what is pending skipped.
func (r Report) JUnit(w io.Writer) error {
	s := junitSuite{
		Name: "bot-bottle escape " + r.Tier + " " + r.Backend, Tests: len(r.Cases), Failures: r.Count(Leaked),
		Errors: r.Count(Inconclusive) + r.Count(NotRun), Skipped: r.Count(Pending) + r.Count(Elsewhere), Time: seconds(r.Duration), Stamp: r.Started.Format("2006-01-02T15:04:05"),
	}
	for _, c := range r.Cases {
		s.Cases = append(s.Cases, c.junit())
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(s); err != nil {
		return fmt.Errorf("writing the report as JUnit: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (c CaseReport) junit() junitCase {
	j := junitCase{Class: "escape." + strings.ReplaceAll(c.Class, " ", "-"), Name: c.ID + " " + c.Title, Time: seconds(c.took())}
	var why []string
	for _, u := range c.Users {
		for _, w := range u.Why {
			why = append(why, u.User+": "+neutralize.Text(w))
		}
	}
	m := &junitMessage{Message: string(c.Verdict) + "; to be held by " + c.Layer, Text: strings.Join(why, "\n")}
	switch c.Verdict {
	case Leaked:
		j.Failure = m
	case Inconclusive, NotRun:
		j.Error = m
	case Pending:
		j.Skipped = &junitMessage{Message: "waits for " + c.Waits}
	case Elsewhere:
		j.Skipped = &junitMessage{Message: "made by the project's own test: " + c.Test}
	}
	return j
}

func (c CaseReport) took() (d time.Duration) {
	for _, u := range c.Users {
		for _, t := range u.Tries {
			d += t.Elapsed
		}
	}
	return d
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// Reference gives docs/escape.md.
func Reference(cases []CaseReport) string {
	var b strings.Builder
	b.WriteString(referenceHead)
	var class string
	for _, c := range cases {
		if c.Class != class {
			class = c.Class
			fmt.Fprintf(&b, "\n## %s\n\n| case | what is tried | what holds it | tier | twin |\n|---|---|---|---|---|\n", strings.ToUpper(class[:1])+class[1:])
		}
		tier := string(c.Verdict)
		if c.Waits != "" {
			tier = "pending: waits for " + c.Waits
		}
		if found, ok := attack.Find(c.ID); ok && found.Measured {
			tier += ", measured"
		}
		if c.Test != "" {
			tier = "the project's test `" + c.Test + "`"
		}
		id := c.ID
		if c.Seed != "" {
			id += " (seed " + c.Seed + ")"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", id, c.Title, c.Layer, tier, c.Twin)
	}
	return b.String()
}

const referenceHead = `# The sandbox-escape suite

Made from internal/escape/attack by: go test ./internal/escape -run Reference -update

` + "`bot-bottle escape`" + ` attacks a bottle from inside, as root and as the agent, and judges from outside. A
case is held if every attempt failed fast, the doors' log shows the refusals, no stand-in and no
collector on the host got the case's canary in any encoding, and its twin, the legitimate form of
the same thing, succeeded in the same bottle. Of a measured case nothing promises that it holds: it
says how many of its attempts were refused, and never fails the gate by what passed. Silence is inconclusive, unless the backend declares a
channel silent and its collector was shown alive. What is inconclusive or was not run fails the gate,
as a leak does: exit code 5.

The quick tier needs no route and runs in a job's own bottle, after the proof and before the agent
(the action's ` + "`escape: quick`" + `). The full tier boots a bottle of its own, with stand-ins on the
host's loopback as the hosts that its policy lists; then others, in which an agent leaves things
behind and ends, and what comes out is judged. Their twin is an honest change, in a bottle of its own.
What a case leaves running, mounted, listening or lying about in the guest is inconclusive.

Cases that take more than bottles, such as killing the supervisor at each step, name the project's
test that makes them. Pending ones wait for a defence that isn't built. Seeds are the numbers of the
same attacks in the original suite. [Which case notices when a defence is gone](mutations.md).
`

// Listing gives the catalogue as a report that was not run, for --list and the
// reference: the verdict of a case is its tier.
func Listing() []CaseReport {
	var list []CaseReport
	for _, c := range allCases() {
		list = append(list, caseReport(c, Verdict(c.Tier)))
	}
	return slices.Clip(list)
}
