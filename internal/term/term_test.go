package term_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/term"
)

func TestSizesAreWrittenAsPeopleReadThem(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 312: "312 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 10 << 10: "10 KiB", 123456: "121 KiB",
		1<<20 - 1: "1 MiB", 4 << 30: "4 GiB", 5<<40 + 1<<39: "5.5 TiB", math.MaxInt64: "8 EiB", -2048: "-2 KiB",
	} {
		if got := term.Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTimesAreWrittenAsPeopleReadThem(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 40 * time.Microsecond: "0 ms", 400 * time.Microsecond: "0.4 ms", 9900 * time.Microsecond: "9.9 ms",
		9960 * time.Microsecond: "10 ms", 61 * time.Millisecond: "61 ms", 999400 * time.Microsecond: "999 ms",
		999600 * time.Microsecond: "1 s", 4213 * time.Millisecond: "4.21 s", 59949 * time.Millisecond: "59.9 s",
		59951 * time.Millisecond: "1 min", 200 * time.Second: "3 min 20 s", time.Hour - time.Millisecond: "1 h",
		125 * time.Minute: "2 h 5 min", -time.Second: "-1 s",
	} {
		if got := term.Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestCountsAgreeWithTheirNouns(t *testing.T) {
	for want, got := range map[string]string{
		"1 file": term.Count(1, "file", ""), "0 files": term.Count(0, "file", ""), "2 tries": term.Count(2, "try", "tries"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestShortenCutsByCharacters(t *testing.T) {
	for in, want := range map[string]string{"äöü": "äöü", "äöüß": "äö…"} {
		if got := term.Shorten(in, 3); got != want {
			t.Errorf("Shorten(%q, 3) = %q, want %q", in, got, want)
		}
	}
}

func TestColumnsLineUpWhateverIsPainted(t *testing.T) {
	style := term.NewStyle(true)
	table := term.Table{Indent: "  ", Right: []int{1}}
	table.Row("name", "size", "note")
	table.Row(style.Green("ü"), "12", "")
	table.Row("a longer name", style.Bold("3"), "the last cell may be as long as it likes")
	table.Row("alone, and longer than any cell above it")
	const want = "  name           size  note\n" +
		"  \x1b[32mü\x1b[0m                12\n" +
		"  a longer name     \x1b[1m3\x1b[0m  the last cell may be as long as it likes\n" +
		"  alone, and longer than any cell above it\n"
	if got := table.String(); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	var b strings.Builder
	if n, err := table.WriteTo(&b); n != int64(len(want)) || err != nil || b.String() != want {
		t.Errorf("WriteTo gave %d, %v, %q", n, err, b.String())
	}
}

func TestAStyleThatIsOffPaintsNothing(t *testing.T) {
	var style term.Style
	if got := style.Red("x") + style.Bold("") + term.NewStyle(true).Dim(""); got != "x" {
		t.Errorf("got %q", got)
	}
}

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if value, ok := strings.CutPrefix(p, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

func TestWhatIsNoTerminalIsPaintedOnlyOnDemand(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for want, env := range map[bool][][]string{
		false: {{}, {"TERM=xterm"}, {"CLICOLOR_FORCE=0"}, {"CLICOLOR_FORCE=1", "NO_COLOR=1"}},
		true:  {{"CLICOLOR_FORCE=1"}},
	} {
		for _, e := range env {
			if got := term.Colour(null, environment(e...)); got != want {
				t.Errorf("with %q Colour = %v, want %v", e, got, want)
			}
		}
	}
}

func TestProgressIsOneLineAStepWhereNobodyWatches(t *testing.T) {
	var b strings.Builder
	p := term.NewProgress(&b, false, term.Style{})
	p.Begin("launch")
	if b.Len() != 0 {
		t.Errorf("Begin wrote %q", b.String())
	}
	p.Done("gvisor")
	p.Say("hello %d", 1)
	p.Begin("prove")
	p.Failed()
	p.Over("settle", 40*time.Millisecond, "")
	lines := strings.Split(b.String(), "\n")
	for i, want := range []string{"✓ launch ", "hello 1", "✗ prove ", "✓ settle       40 ms", ""} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d is %q, want %q", i, lines[i], want)
		}
	}
	if !strings.HasSuffix(lines[0], "ms  gvisor") {
		t.Errorf("the first line is %q", lines[0])
	}
}

func TestOnATerminalTheStepUnderWayGivesWay(t *testing.T) {
	const clear = "\r\x1b[K"
	var b strings.Builder
	p := term.NewProgress(&b, true, term.Style{})
	p.Begin("work")
	p.Yield()
	p.Yield()
	b.WriteString("the agent\n")
	if took := p.Done(""); took < 0 {
		t.Errorf("the step took %v", took)
	}
	p.Begin("settle")
	p.Quiet()
	p.Say("nothing more")
	p.Begin("post")
	want := "· work …" + clear + "the agent\n✓ work "
	if got := b.String(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "· settle …"+clear) {
		t.Errorf("got %q, want it to begin with %q", got, want)
	}
}

func TestDoneWithoutAStepSaysNothing(t *testing.T) {
	var b strings.Builder
	if took := term.NewProgress(&b, true, term.Style{}).Done("x"); took != 0 || b.Len() != 0 {
		t.Errorf("got %v and %q", took, b.String())
	}
}

func TestErrorsAreExplainedInOneLineWithAllHints(t *testing.T) {
	inner := term.Errorf(term.StageLedger, "ledger", "opening %q: %w", "/x", io.ErrUnexpectedEOF).WithHint("make room on %s", "/x")
	err := fmt.Errorf("starting: %w", errors.Join(inner, term.Errorf(term.StageUsage, "", "reading flags").WithHint("see --help")))
	const want = "error: starting: ledger: opening \"/x\": unexpected EOF\n       reading flags\nhint: make room on /x\nhint: see --help\n"
	if got := term.Explain(err); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := term.StageOf(err, term.StageWork); got != term.StageLedger {
		t.Errorf("StageOf = %q", got)
	}
	if got := term.StageOf(io.EOF, term.StageWork); got != term.StageWork {
		t.Errorf("StageOf without an Error = %q", got)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
}
