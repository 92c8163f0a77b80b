package report

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/term"
)

// maxTableFiles is how many changed files the table names; the report has all.
const maxTableFiles = 20

// Table writes r for a terminal: what the agent changed, what was allowed and
// refused, what the proof showed, how long each stage took and where the report
// is. It writes once.
func Table(w io.Writer, r Report, style term.Style) error {
	t := &table{style: style}
	t.head(r)
	t.section("changed", func() { t.changes(r.Changes) })
	t.section("pushed", func() { t.pushes(r.Pushes) })
	t.section("doors", func() { t.doors(r.Doors) })
	t.section("model", func() { t.usage(r.Usage) })
	t.section("proof", func() { t.proof(r.Proof) })
	t.section("limits", func() { t.limits(r) })
	t.section("stages", func() { t.stages(r) })
	t.section("not undone", func() { t.remainders(r.Remainders) })
	t.section("notes", func() { t.notes(r.Notes) })
	if r.Dir != "" {
		t.section("report", func() { t.row(plain(filepath.Join(r.Dir, MarkdownName))) })
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

// labelWidth is the width of the left column.
const labelWidth = 12

// table builds the text; rows of a section stand right of its label.
type table struct {
	b     strings.Builder
	style term.Style
	rows  term.Table // of the section under way
}

// plain makes a string that isn't ours fit for the table.
func plain(s string) string { return term.Shorten(neutralize.Text(s), maxQuoted) }

func (t *table) row(cells ...string) { t.rows.Row(cells...) }

// section prints what fill adds, nothing if that is nothing.
func (t *table) section(label string, fill func()) {
	t.rows = term.Table{}
	fill()
	if t.rows.Len() == 0 {
		return
	}
	for i, line := range strings.Split(strings.TrimSuffix(t.rows.String(), "\n"), "\n") {
		left := strings.Repeat(" ", labelWidth)
		if i == 0 {
			left = t.style.Dim(fmt.Sprintf("%-*s", labelWidth, label))
		}
		fmt.Fprintf(&t.b, "  %s%s\n", left, line)
	}
}

func (t *table) head(r Report) {
	mark := t.style.Green
	if r.Outcome.Verdict != Passed {
		mark = t.style.Red
	}
	fmt.Fprintf(&t.b, "\n%s %s\n", mark(r.Outcome.Verdict.mark()+" bot-bottle:"), t.style.Bold(r.Outcome.sentence()))
	t.section("run", func() { t.row(plain(r.Run.Name), t.about(r)) })
	if r.Outcome.Reason != "" {
		t.section("reason", func() { t.row(plain(r.Outcome.Stage) + ": " + plain(r.Outcome.Reason)) })
	}
	if i := r.Image; i != nil {
		t.section("image", func() { t.row(plain(i.Source)); t.row(plain(i.digest())) })
	}
	if a := r.Agent; a != nil {
		t.section("agent", func() { t.row(plain(strings.Join(a.Argv, " "))); t.row(t.agent(a)) })
	}
}

func (t *table) about(r Report) string {
	return t.style.Dim(fmt.Sprintf("bottle %s, backend %s (%s), %s", plain(r.Bottle), plain(r.Backend), plain(r.Isolation), term.Duration(r.took())))
}

func (t *table) agent(a *Agent) string {
	text := fmt.Sprintf("as %s, %s, %s", plain(a.User), a.ending(), term.Duration(a.Duration))
	if a.Output.Dropped > 0 {
		text += fmt.Sprintf(", %s of output not shown", term.Bytes(a.Output.Dropped))
	}
	return t.style.Dim(text)
}

func (t *table) changes(c *Changes) {
	switch {
	case c == nil:
		return
	case c.Refused != "":
		t.row(t.style.Red("refused: ") + plain(c.Refused))
		return
	}
	t.row(c.summary())
	for _, f := range c.Files[:min(len(c.Files), maxTableFiles)] {
		t.row("  "+f.Kind.word(), plain(f.Path), t.style.Dim(f.extent())+t.style.Yellow(f.warning(plain)))
	}
	if more := len(c.Files) - maxTableFiles; more > 0 {
		t.row(fmt.Sprintf("  and %d more", more))
	}
	if c.Withheld != "" {
		t.row(t.style.Yellow("it may hold a secret: ") + plain(c.Withheld))
	}
}

func (t *table) pushes(pushes []Push) {
	for _, p := range pushes {
		t.row(plain(p.Repository), plain(p.Ref), t.style.Dim(p.shortCommit()))
	}
}

func (t *table) doors(d Doors) {
	if len(d.Doors) == 0 {
		t.row("nothing asked to pass")
	}
	for _, door := range d.Doors {
		t.row(string(door.Name), door.summary())
		for _, r := range door.Routes {
			if r.Allowed == 0 {
				continue
			}
			t.row("  "+t.style.Green("allowed"), policyWord(r.Route), fmt.Sprintf("%d×", r.Allowed),
				t.style.Dim(fmt.Sprintf("%s out, %s in", term.Bytes(r.Sent), term.Bytes(r.Received))))
		}
		for _, r := range door.Rules {
			t.row("  "+t.style.Red("refused"), policyWord(r.Rule), fmt.Sprintf("%d×", r.Count))
		}
		for _, r := range door.Warnings {
			t.row("  "+t.style.Yellow("warned of"), policyWord(r.Rule), fmt.Sprintf("%d×", r.Count))
		}
	}
	if d.Dropped > 0 {
		t.row(t.style.Yellow(fmt.Sprintf("the log was full, %s not counted", term.Count(d.Dropped, "line", ""))))
	}
}

func (t *table) usage(u *Usage) {
	if u == nil {
		return
	}
	t.row(u.summary())
	for _, m := range u.Models {
		t.row("  "+modelWord(m.Model), term.Count(m.Total(), "token", ""), t.style.Dim(m.price()))
	}
}

func (t *table) proof(p *Proof) {
	if p == nil {
		t.row("not reached")
		return
	}
	mark := t.style.Green
	if !p.Held {
		mark = t.style.Red
	}
	first, rest, _ := strings.Cut(p.summary(), ": ")
	t.row(mark(first))
	for _, fact := range strings.Split(rest, "; ") {
		t.row("  " + fact)
	}
	if p.Reason != "" {
		t.row("  " + t.style.Red(plain(p.Reason)))
	}
}

func (t *table) limits(r Report) {
	for _, l := range r.Limits {
		text := t.style.Dim(l.held(plain))
		if l.HeldBy == "" {
			text = t.style.Yellow(l.held(plain))
		}
		t.row(plain(l.Name), plain(l.Value), text)
	}
	for _, h := range r.Sidecar {
		if !h.Held {
			t.row("sidecar", t.style.Yellow(plain(h.Name)+" "+h.word()), t.style.Dim(plain(h.Detail)))
		}
	}
}

func (t *table) stages(r Report) {
	t.rows.Right = []int{1}
	for _, s := range r.Stages {
		t.row(plain(s.Name), term.Duration(s.Duration))
	}
}

func (t *table) remainders(list []Remainder) {
	for _, r := range list {
		t.row(t.style.Yellow(plain(r.Kind)), plain(r.Reason))
	}
	if len(list) > 0 {
		t.row(t.style.Dim("`bot-bottle reap` tries again"))
	}
}

func (t *table) notes(notes []string) {
	for _, n := range notes {
		t.row(plain(n))
	}
}
