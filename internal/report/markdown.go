package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/term"
)

// maxQuoted is how many characters of a string that isn't ours are shown.
const maxQuoted = 200

// maxCommand is how many characters of the agent's command line are shown.
const maxCommand = 60

// maxListed is how many changed files are listed; report.json has all.
const maxListed = 200

// Code quotes s, which may be anybody's, as Markdown that means nothing but its
// text: a code span on one line. In one, GitHub, Gitea and Forgejo know no HTML,
// links, mentions, issue numbers, emoji or escapes. Control and invisible
// characters go, and s is cut at 200 characters. It must not stand in a table,
// where a "|" would end the cell.
func Code(s string) string {
	s = term.Shorten(neutralize.Text(s), maxQuoted)
	if strings.TrimSpace(s) == "" {
		return "(empty)"
	}
	fence := strings.Repeat("`", longestRun(s, '`')+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") || strings.HasPrefix(s, " ") && strings.HasSuffix(s, " ") {
		s = " " + s + " "
	}
	return fence + s + fence
}

func longestRun(s string, char rune) int {
	longest, run := 0, 0
	for _, r := range s {
		if r != char {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// Markdown renders r for a forge or a browser (CommonMark with GitHub's tables).
func Markdown(r Report) string { return Brief(r) + Details(r) }

// Brief is the part of Markdown that everybody wants to know: how it ended, what came of
// it, what was refused and what is left.
func Brief(r Report) string {
	m := &markdown{}
	m.line("# %s %s", r.Outcome.Verdict.mark(), r.Outcome.sentence())
	m.line("")
	m.outcome(r)
	m.changes(r.Changes)
	m.pushes(r.Pushes)
	m.doors(r.Doors)
	m.usage(r.Usage)
	m.remainders(r.Remainders)
	m.notes(r.Notes)
	return m.String()
}

// Details is the rest of Markdown: by what the job was confined, and where its time went.
func Details(r Report) string {
	m := &markdown{}
	m.models(r.Usage)
	m.proof(r.Proof)
	m.limits(r)
	m.stages(r.Stages)
	m.footer(r)
	return m.String()
}

type markdown struct{ strings.Builder }

func (m *markdown) line(format string, args ...any) { fmt.Fprintf(m, format+"\n", args...) }

func (m *markdown) section(title string) { m.line("\n## %s\n", title) }

func (m *markdown) outcome(r Report) {
	m.line("Run %s in bottle %s, %s on backend %s, %s.", Code(r.Run.Name), Code(r.Bottle), Code(r.Isolation), Code(r.Backend), term.Duration(r.took()))
	if i := r.Image; i != nil {
		m.line("\nImage %s, %s.", Code(i.Source), Code(i.digest()))
	}
	if r.Outcome.Reason != "" {
		m.line("\nStage %s: %s", Code(r.Outcome.Stage), Code(r.Outcome.Reason))
	}
	for _, hint := range r.Outcome.Hints {
		m.line("\n- hint: %s", Code(hint))
	}
	if a := r.Agent; a != nil {
		m.line("\nThe agent, %s, ran as %s for %s and %s. It printed %s.",
			Code(term.Shorten(neutralize.Text(strings.Join(a.Argv, " ")), maxCommand)), Code(a.User), term.Duration(a.Duration), a.ending(), term.Bytes(a.Output.Bytes))
	}
}

func (m *markdown) changes(c *Changes) {
	if c == nil {
		return
	}
	m.section("Changes")
	if c.Refused != "" {
		m.line("The patch was refused: %s", Code(c.Refused))
		return
	}
	m.line("%s.", c.summary())
	if len(c.Files) == 0 {
		return
	}
	m.line("")
	for _, f := range c.Files[:min(len(c.Files), maxListed)] {
		m.line("- %s %s, %s%s", f.Kind.word(), Code(f.Path), f.extent(), f.warning(Code))
	}
	if more := len(c.Files) - maxListed; more > 0 {
		m.line("- and %d more, in report.json", more)
	}
	m.line("\nSHA-256 of the patch: %s", Code(c.Digest))
	if c.Withheld != "" {
		m.line("\nThe patch may hold a secret, and stays on the host: %s", Code(c.Withheld))
	}
}

func (m *markdown) pushes(pushes []Push) {
	if len(pushes) == 0 {
		return
	}
	m.section("Pushed")
	for _, p := range pushes {
		m.line("- %s to %s, commit %s", Code(p.Ref), Code(p.Repository), Code(p.shortCommit()))
	}
}

func (m *markdown) doors(d Doors) {
	m.section("Doors")
	if len(d.Doors) == 0 {
		m.line("Nothing asked to pass.")
	}
	for _, door := range d.Doors {
		m.line("**%s**: %s", door.Name, door.summary())
		m.routes(door.Routes)
		m.rules(door.Rules)
		m.warnings(door.Warnings)
		m.line("")
	}
	if d.Dropped > 0 {
		m.line("The decision log was full: %s were not written, so the numbers are too small.", term.Count(d.Dropped, "line", ""))
	}
}

func (m *markdown) usage(u *Usage) {
	if u != nil {
		m.line("\n**model**: %s", u.summary())
	}
}

func (m *markdown) models(u *Usage) {
	if u == nil {
		return
	}
	m.section("Model")
	m.line("| model | calls | input | output | cache write | cache read | cost | estimated |\n|---|--:|--:|--:|--:|--:|--:|--:|")
	for _, t := range u.Models {
		m.line("| `%s` | %d | %d | %d | %d | %d | %s | %d |", modelWord(t.Model), t.Calls, t.Input, t.Output, t.CacheWrite, t.CacheRead, t.price(), t.Estimated)
	}
	m.line("\nIn tokens. What is estimated is so by the bytes, and a cost by the operator's table of prices.")
}

func (m *markdown) routes(routes []RouteCount) {
	if len(routes) == 0 {
		return
	}
	m.line("\n| listed route | allowed | refused | sent | received |\n|---|--:|--:|--:|--:|")
	for _, r := range routes {
		m.line("| `%s` | %d | %d | %s | %s |", policyWord(r.Route), r.Allowed, r.Refused, term.Bytes(r.Sent), term.Bytes(r.Received))
	}
}

func (m *markdown) rules(rules []RuleCount) {
	if len(rules) == 0 {
		return
	}
	m.line("\n| refused by rule | times | what in the bottle would allow it |\n|---|--:|---|")
	for _, r := range rules {
		line := ""
		if allowed := AllowedBy(r.Rule); allowed != "" {
			line = "`" + allowed + "`"
		}
		m.line("| `%s` | %d | %s |", policyWord(r.Rule), r.Count, line)
	}
}

func (m *markdown) warnings(rules []RuleCount) {
	for i, r := range rules {
		if i == 0 {
			m.line("")
		}
		m.line("- warned of `%s` in what passed, %d×", policyWord(r.Rule), r.Count)
	}
}

func (m *markdown) proof(p *Proof) {
	m.section("Proof")
	if p == nil {
		m.line("It did not come to the proof.")
		return
	}
	m.line("%s.", p.summary())
	if p.Reason != "" {
		m.line("\n%s", Code(p.Reason))
	}
	if len(p.Absent) > 0 {
		m.line("\nThis host has no %s, so nothing listened there.", Code(strings.Join(p.Absent, ", ")))
	}
}

func (m *markdown) limits(r Report) {
	if len(r.Limits)+len(r.Sidecar) == 0 {
		return
	}
	m.section("Limits and hardening")
	for _, l := range r.Limits {
		m.line("- %s: %s, %s", Code(l.Name), Code(l.Value), l.held(Code))
	}
	for _, h := range r.Sidecar {
		m.line("- sidecar: %s %s%s", Code(h.Name), h.word(), h.detail(Code))
	}
}

func (m *markdown) stages(stages []Stage) {
	if len(stages) == 0 {
		return
	}
	m.section("Stages")
	for _, s := range stages {
		m.line("- %s: %s", Code(s.Name), term.Duration(s.Duration))
	}
}

func (m *markdown) remainders(list []Remainder) {
	if len(list) == 0 {
		return
	}
	m.section("Not undone")
	m.line("`bot-bottle reap` tries again:\n")
	for _, r := range list {
		m.line("- %s: %s", Code(r.Kind), Code(r.Reason))
	}
}

func (m *markdown) notes(notes []string) {
	if len(notes) == 0 {
		return
	}
	m.section("Notes")
	for _, n := range notes {
		m.line("- %s", Code(n))
	}
}

func (m *markdown) footer(r Report) {
	m.line("\n---\n\nRun %s on host %s, %s, bot-bottle %s. What was refused, the log and the patch are on that host: %s.",
		Code(r.Run.ID), Code(r.Run.Host), r.Started.UTC().Format(time.RFC3339), Code(r.Versions.BotBottle), Code("bot-bottle inspect "+r.Run.ID))
}
