package report_test

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
)

func TestCodeQuotesAnythingAsItself(t *testing.T) {
	for in, want := range map[string]string{
		"plain.go":             "`plain.go`",
		"":                     "(empty)",
		" \n\t ":               "(empty)",
		"a`b":                  "``a`b``",
		"```":                  "```` ``` ````",
		"`x":                   "`` `x ``",
		" a ":                  "` a`", // no space is left at the end
		"@everyone #1 <img>":   "`@everyone #1 <img>`",
		"a\n# not a heading":   "`a # not a heading`",
		"\x1b[2Ja\x00b\u202ec": "`abc`",
		"##[error]x":           "`## [error]x`",
		"\\`":                  "`` \\` ``",
	} {
		if got := report.Code(in); got != want {
			t.Errorf("Code(%q) = %q, want %q", in, got, want)
		}
	}
	if got := report.Code(strings.Repeat("é", 500)); got != "`"+strings.Repeat("é", 199)+"…`" {
		t.Errorf("a long string became %q", got)
	}
}

func FuzzCodeIsOneSpanOnOneLine(f *testing.F) {
	for _, s := range []string{"`", "a``b`", "\r\n", "\\`|", "```` x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := report.Code(s)
		if got == "(empty)" {
			return
		}
		fence := got[:len(got)-len(strings.TrimLeft(got, "`"))]
		inner, ok := strings.CutSuffix(strings.TrimPrefix(got, fence), fence)
		if !ok || fence == "" || strings.Contains(got, "\n") {
			t.Fatalf("Code(%q) = %q is no code span", s, got)
		}
		for _, run := range regexp.MustCompile("`+").FindAllString(inner, -1) {
			if len(run) == len(fence) {
				t.Fatalf("Code(%q) = %q ends too early", s, got)
			}
		}
		if strings.HasPrefix(inner, "`") || strings.HasSuffix(inner, "`") {
			t.Fatalf("Code(%q) = %q lengthens its fence", s, got)
		}
	})
}

// hostile are names that try to be more than names.
var hostile = []string{
	"@org/team", "<script>alert(1)</script>", "![x](https://evil.invalid/?s)", "[a](javascript:x)", "`</code>", "a|b",
	"::error::x", "##[error]x", "\x1b[2K\x1b[1A✓ passed", "\r# ✓ passed (exit 0)", "\n# ✓ passed (exit 0)\n", "#1 !2 https://evil.invalid", "a\u202eb", ":tada:",
}

func hostileReport() report.Report {
	r := example()
	r.Outcome = report.Outcome{Verdict: report.Failed, ExitCode: 1, Stage: "collect", Reason: strings.Join(hostile, " "), Hints: hostile}
	r.Agent.Argv, r.Notes = hostile, hostile
	r.Changes.Files = nil
	for _, name := range hostile {
		r.Changes.Files = append(r.Changes.Files, report.File{Path: name, Kind: report.Kind(name), AutoRun: name})
		r.Remainders = append(r.Remainders, report.Remainder{Kind: name, Reason: name})
		r.Limits = append(r.Limits, report.Limit{Name: name, Value: name, HeldBy: name})
		r.Sidecar = append(r.Sidecar, report.Hardening{Name: name, Detail: name})
		r.Stages = append(r.Stages, report.Stage{Name: name})
		r.Proof.Absent = append(r.Proof.Absent, name)
	}
	r.Run.Name, r.Bottle, r.Backend, r.Isolation = hostile[1], hostile[2], hostile[3], hostile[4]
	return r
}

func TestInMarkdownOnlyOurWordsAreMoreThanText(t *testing.T) {
	text := report.Markdown(hostileReport())
	if first, _, _ := strings.Cut(text, "\n"); first != "# ✗ failed; confinement held (exit 1)" {
		t.Errorf("the report begins with %q", first)
	}
	for _, line := range strings.Split(text, "\n") {
		outside := withoutCode(line)
		if i := strings.IndexAny(outside, "<>[]@!\\\x1b\r"); i >= 0 {
			t.Errorf("%q has %q outside of code", line, outside[i])
		}
		if strings.HasPrefix(line, "# ") && strings.Contains(line, "passed") {
			t.Errorf("a faked verdict stands as a heading: %q", line)
		}
	}
}

// withoutCode takes the code spans from a line as CommonMark finds them: a run of
// backticks up to the next run of the same length.
func withoutCode(line string) string {
	var out strings.Builder
	for line != "" {
		start := strings.IndexByte(line, '`')
		if start < 0 {
			break
		}
		out.WriteString(line[:start])
		rest := strings.TrimLeft(line[start:], "`")
		end := closing(rest, len(line)-start-len(rest))
		if end < 0 {
			return out.String() + line[start:]
		}
		line = rest[end:]
	}
	return out.String() + line
}

func closing(s string, length int) int {
	for _, at := range regexp.MustCompile("`+").FindAllStringIndex(s, -1) {
		if at[1]-at[0] == length {
			return at[1]
		}
	}
	return -1
}

func TestTheTableShowsHostileNamesAsText(t *testing.T) {
	var b strings.Builder
	if err := report.Table(&b, hostileReport(), term.NewStyle(false)); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if strings.Contains(line, "##[") || strings.HasPrefix(strings.TrimSpace(line), "::") {
			t.Errorf("a runner would take %q for a command", line)
		}
		if strings.ContainsAny(line, "\x1b\r\x00") || strings.Contains(line, "\u202e") {
			t.Errorf("%q moves the cursor or hides text", line)
		}
		if strings.HasPrefix(line, "✓") {
			t.Errorf("a faked verdict stands at the start of a line: %q", line)
		}
	}
}

func TestTheTableSaysAllThatMatters(t *testing.T) {
	r := example()
	r.Dir = "/var/lib/bot-bottle/reports/k3f9x2m1qa"
	var b strings.Builder
	if err := report.Table(&b, r, term.NewStyle(false)); err != nil {
		t.Fatal(err)
	}
	const want = `
✓ bot-bottle: passed (exit 0)
  run         first-job  bottle web, backend gvisor (gvisor), 4.21 s
  agent       sh -c true
              as agent, ended with code 0, 3 s
  changed     2 files, +10 −3
                modify  cmd/main.go  +10 −3
                add     x.png        binary
  doors       egress     3 allowed, 11 refused, 1 freed of the agent's own credentials
                allowed  api.example.com:443  3×  100 B out, 4 KiB in
                refused  no-route             9×
                refused  address-denied       2×
  proof       held in 61 ms
                3 doors saw this boot's nonce
                of 96 tries as root and agent, 96 were refused at once
                14 collectors got nothing
  limits      memory   4 GiB                held by watch
              cpu      2                    not held on this host
              sidecar  landlock is missing  kernel too old
  stages      launch  212 ms
              prove    61 ms
  not undone  folder  device is busy
              ` + "`bot-bottle reap` tries again" + `
  notes       the clock went back
  report      /var/lib/bot-bottle/reports/k3f9x2m1qa/report.md
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestPaintChangesNoColumn(t *testing.T) {
	var plain, painted strings.Builder
	_ = report.Table(&plain, example(), term.NewStyle(false))
	_ = report.Table(&painted, example(), term.NewStyle(true))
	if !strings.Contains(painted.String(), "\x1b[32m") {
		t.Error("nothing is painted")
	}
	if got := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(painted.String(), ""); got != plain.String() {
		t.Errorf("without its paint the table is\n%s\nwant\n%s", got, plain.String())
	}
}

func TestAnEarlyEndIsAReportToo(t *testing.T) {
	r := report.Report{Outcome: report.Outcome{Verdict: report.Refused, ExitCode: 3, Stage: "preflight", Reason: "no user namespaces", Hints: []string{"run as root"}}}
	for name, text := range renderings(t, r) {
		for _, part := range []string{"no user namespaces", "preflight"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s doesn't say %q:\n%s", name, part, text)
			}
		}
	}
}

func TestALongListOfFilesIsCut(t *testing.T) {
	r := example()
	for i := range 1000 {
		r.Changes.Files = append(r.Changes.Files, report.File{Path: fmt.Sprintf("f%d", i), Kind: "add"})
	}
	for name, text := range renderings(t, r) {
		if name != "json" && (strings.Contains(text, "f900") || !strings.Contains(text, "more")) {
			t.Errorf("%s is not cut", name)
		}
	}
	if err := report.Table(io.Discard, r, term.NewStyle(false)); err != nil {
		t.Error(err)
	}
}
