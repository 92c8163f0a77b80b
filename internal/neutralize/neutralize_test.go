package neutralize_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/neutralize"
)

// neutralized gives what a Writer makes of the writes.
func neutralized(t *testing.T, opt neutralize.Options, writes ...string) string {
	t.Helper()
	var b strings.Builder
	w := neutralize.NewWriter(&b, opt)
	for _, s := range writes {
		if n, err := io.WriteString(w, s); n != len(s) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", s, n, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTextThatOrdersNothingIsUnchanged(t *testing.T) {
	for _, text := range []string{
		"", "\n", "plain\n", "no newline at the end", "tab\tand  spaces \n",
		"std::vector<int> a; Foo::bar()\n", "a ::b::c\n", ": :\n", "C:\\x::y\n",
		"# heading\n## heading\n### [link](url)\n", "#[derive(Debug)]\n", "[info] x\n", "[command]x\n",
		"Übung, 日本語, العربية, नमस्ते\n", "e\u0301\n", "👩‍💻 ❤️ می\u200cخواهم\n",
		"\x1b[31mred\x1b[0m\n", "\x1b[1;38;5;208mbold orange\x1b[0m\n", "\x1b[48;2;1;2;3mrgb\x1b[0m\n",
		strings.Repeat("x", 10_000) + "\n",
	} {
		if got := neutralized(t, neutralize.Options{}, text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestCommandsOfEveryRunnerBecomeText(t *testing.T) {
	for in, want := range map[string]string{
		"::error::boom\n":                    ": :error::boom\n",
		"::set-output name=a::b\n":           ": :set-output name=a::b\n",
		"::Set-Env name=PATH::/x":            ": :Set-Env name=PATH::/x",
		"ok\n::add-mask::e\n":                "ok\n: :add-mask::e\n",
		"  \t::group::x\n":                   "  \t: :group::x\n",
		"\u00a0\u3000\u2003::group::x\n":     "\u00a0\u3000\u2003: :group::x\n",
		":::debug::x\n":                      ": ::debug::x\n",
		"::::\n":                             ": :::\n",
		"\ufeff::stop-commands::t\n":         ": :stop-commands::t\n",
		"\u200b\u00ad::stop-commands::t\n":   ": :stop-commands::t\n",
		":\u200d:notice::x\n":                ": :notice::x\n",
		"\x00:\x00:\x00notice::x\n":          ": :notice::x\n",
		"\x1b[0m::notice::x\n":               "\x1b[0m: :notice::x\n",
		":\x1b[0m:notice::x\n":               ": \x1b[0m:notice::x\n",
		"\x1b]0;t\x07::notice::x\n":          ": :notice::x\n",
		"50%\r::notice::x\n":                 "50%\n: :notice::x\n",
		"a\r\n::notice::x\r\n":               "a\n: :notice::x\n",
		"a\u2028::notice::x\u2029":           "a\n: :notice::x\n",
		"a\v::b::\f::c::\u0085::d::":         "a\n: :b::\n: :c::\n: :d::",
		"a\u009b2J::notice::x\n":             "a::notice::x\n",
		"##[error]boom\n":                    "## [error]boom\n",
		"see ##[set-env name=a;]b\n":         "see ## [set-env name=a;]b\n",
		"#####[x]\n":                         "##### [x]\n",
		"##[a]##[b]##[c]\n":                  "## [a]## [b]## [c]\n",
		"#\u200d#\ufe0f[error]x\n":           "## [error]x\n",
		"é#\u200d#\u200d[error]x\n":          "é## [error]x\n",
		"##\x1b[31m[error]x\n":               "## \x1b[31m[error]x\n\x1b[0m",
		"##\x1b[5m[error]x\n":                "## [error]x\n",
		"#\b#\x7f[error]x\n":                 "## [error]x\n",
		strings.Repeat("#", 200) + "[e]x\n":  strings.Repeat(strings.Repeat("#", 64)+" ", 3) + strings.Repeat("#", 8) + " [e]x\n",
		"::error::\x1b[2K\x1b[1A::warning::": ": :error::::warning::",
	} {
		got := neutralized(t, neutralize.Options{}, in)
		if got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
		if line, found := commandIn(got); found {
			t.Errorf("%q became %q, which holds the command %q", in, got, line)
		}
	}
}

func TestOnlyColourIsLeftOfEscapeSequences(t *testing.T) {
	for in, want := range map[string]string{
		"a\x1b[2Jb\x1b[Hc\x1b[1;1Hd":                               "abcd",
		"\x1b]0;title\x07a\x1b]2;t\x1b\\b":                         "ab",
		"\x1b]8;;https://x\x1b\\link\x1b]8;;\a":                    "link",
		"\x1b]52;c;c2VjcmV0\x07a":                                  "a",
		"\x1bP1$r0m\x1b\\a\x1b_x\x1b\\b\x1b^y\x1b\\c\x1bXz\x1b\\d": "abcd",
		"a\x1b]never closed\nb":                                    "a\nb",
		"a\x1b]x\x18b":                                             "ab",
		"a\x1b[6nb\x1b[?1049hc\x1b[>cd":                            "abcd",
		"a\x1bcb\x1b(0c\x1b#8d\x1b7e":                              "abcde",
		"a\u009b31mb\u009dx\u009cc":                                "a\x1b[31mbc\x1b[0m",
		"a\x9b31mb":                                                "a\ufffd31mb",
		"a\x1b[8mb\x1b[5;6;31mc\x1b[m":                             "ab\x1b[31mc\x1b[0m",
		"a\x1b[4:3mb\x1b[38:2::1:2:3mc":                            "abc",
		"a\x1b[38mb\x1b[38;5mc\x1b[38;2;1;2md\x1b[38;5;256me":      "abcde",
		"a\x1b[999999999999999999mb\x1b[31 mc\x1b[31;?md":          "abcd",
		"a\x1b[" + strings.Repeat("1;", 100) + "mb":                "ab",
		"a\x1b[31":                  "a",
		"a\x1b":                     "a",
		"a\x1b\x1b\x1b[31mb":        "a\x1b[31mb\x1b[0m",
		"a\x1b[3\n1mb":              "a\n1mb",
		"a\bb\x00c\x07d\x7fe":       "abcde",
		"a\u202eb\u2066c\U000e0041": "abc",
		"a\xff\xfeb\xc3":            "a\ufffd\ufffdb\ufffd",
		"\xff\xfe:\x00:\x00":        "\ufffd\ufffd::",
	} {
		if got := neutralized(t, neutralize.Options{}, in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestNoColourRemovesColour(t *testing.T) {
	if got := neutralized(t, neutralize.Options{NoColour: true}, "\x1b[31mred\x1b[0m ::x::"); got != "red ::x::" {
		t.Errorf("got %q", got)
	}
}

func TestColourIsEndedWithTheOutput(t *testing.T) {
	for in, want := range map[string]string{
		"\x1b[30;40mhidden":        "\x1b[30;40mhidden\x1b[0m",
		"\x1b[31mred\x1b[0m plain": "\x1b[31mred\x1b[0m plain",
	} {
		if got := neutralized(t, neutralize.Options{}, in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestHowTheInputIsCutIntoWritesLetsNoCommandThrough(t *testing.T) {
	for _, in := range []string{
		"::error::x\n", "a\r\n \t::error::x\n", "##[error]x\n", "é\u200d##[e]x", "\x1b[31m::error::x\n", "\u2028::error::x\n",
		":\u200b:error::x\n", "x\x1b]0;t\x1b\\\n::error::x\n",
	} {
		for cut := 0; cut <= len(in); cut++ {
			if line, found := commandIn(neutralized(t, neutralize.Options{}, in[:cut], in[cut:])); found {
				t.Errorf("%q cut at %d gives the command %q", in, cut, line)
			}
		}
		if line, found := commandIn(neutralized(t, neutralize.Options{}, strings.Split(in, "")...)); found {
			t.Errorf("%q in single characters gives the command %q", in, line)
		}
	}
}

func TestCharactersCutByWritesStayWhole(t *testing.T) {
	const text = "日本語 👩‍💻 \x1b[31mrot\x1b[0m\n"
	var bytewise []string
	for i := range len(text) {
		bytewise = append(bytewise, text[i:i+1])
	}
	got := neutralized(t, neutralize.Options{}, bytewise...)
	// The joiner stands first in its piece, so it goes.
	if want := strings.ReplaceAll(text, "\u200d", ""); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Two streams of a guest and the lines of the supervisor may end up in one pipe.
func TestStreamsThatShareADestinationCanNotMakeACommandTogether(t *testing.T) {
	type write struct {
		stream int // 0 and 1 are the guest's, 2 is ours
		text   string
	}
	for name, writes := range map[string][]write{
		"colon and colon":              {{0, ":"}, {1, ":error::x\n"}},
		"hashes and bracket":           {{0, "##"}, {1, "[error]x\n"}},
		"hash, hash, bracket":          {{0, "#"}, {1, "#"}, {0, "[error]x\n"}, {1, "[error]x\n"}},
		"a line of ours in the middle": {{0, "text"}, {2, "✓ proof\n"}, {0, "::error::x\n"}},
		"a joiner after a line":        {{0, "é"}, {2, "ours\n"}, {0, "\u200d::error::x\n"}},
		"their newline, my text":       {{0, "text"}, {1, "\n"}, {0, "::error::x\n"}},
		"white space from the other":   {{0, "  "}, {1, "::error::x\n"}},
		"inside a long line":           {{0, strings.Repeat("x", 4094)}, {2, "\n"}, {0, "a::error::x\n"}},
	} {
		var log strings.Builder
		streams := []io.Writer{neutralize.NewWriter(&log, neutralize.Options{}), neutralize.NewWriter(&log, neutralize.Options{}), &log}
		for _, w := range writes {
			_, _ = io.WriteString(streams[w.stream], w.text)
		}
		_ = streams[0].(io.Closer).Close()
		_ = streams[1].(io.Closer).Close()
		if line, found := commandIn(log.String()); found {
			t.Errorf("%s: %q holds the command %q", name, log.String(), line)
		}
	}
}

// pieces records each Write by itself.
type pieces struct{ all []string }

func (p *pieces) Write(b []byte) (int, error) {
	p.all = append(p.all, string(b))
	return len(b), nil
}

func TestALineIsNotHeldUntilItsEnd(t *testing.T) {
	var got pieces
	w := neutralize.NewWriter(&got, neutralize.Options{})
	_, _ = io.WriteString(w, "Continue? [y/N] ")
	if len(got.all) != 1 || got.all[0] != "Continue? [y/N] " {
		t.Errorf("passed on %q", got.all)
	}
}

func TestFlushPassesOnWhatIsHeldBackWithoutMakingACommandPossible(t *testing.T) {
	for held, want := range map[string]string{":": ": ", "####": "#### "} {
		var got strings.Builder
		w := neutralize.NewWriter(&got, neutralize.Options{})
		_, _ = io.WriteString(w, held)
		if got.Len() != 0 {
			t.Fatalf("%q was not held back", held)
		}
		if err := w.Flush(); err != nil || got.String() != want {
			t.Errorf("Flush after %q passed on %q, %v; want %q", held, got.String(), err, want)
		}
	}
}

func TestPiecesAreSmallEnoughToBeWrittenWhole(t *testing.T) {
	var got pieces
	w := neutralize.NewWriter(&got, neutralize.Options{})
	text := strings.Repeat("x:\x1b[31m日::##[", 5000)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	for _, piece := range got.all {
		if len(piece) > 4096 {
			t.Fatalf("a piece has %d bytes", len(piece))
		}
	}
	if whole := strings.Join(got.all, ""); len(whole) < len(text) {
		t.Errorf("%d bytes became %d", len(text), len(whole))
	}
}

func TestOutputIsBoundedAndSaysSo(t *testing.T) {
	var b strings.Builder
	w := neutralize.NewWriter(&b, neutralize.Options{MaxBytes: 10})
	_, _ = io.WriteString(w, "\x1b[31m12345")
	for range 1000 {
		_, _ = io.WriteString(w, "abc")
	}
	if got := w.Dropped(); got != 3000 {
		t.Errorf("Dropped() = %d, want 3000", got)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const want = "\x1b[31m12345\x1b[0m\n" +
		"bot-bottle: the output reached its limit of 10 B, the rest is not shown\n" +
		"bot-bottle: 2.93 KiB of output were not shown\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestAnErrorOfTheDestinationStays(t *testing.T) {
	r, dst := io.Pipe()
	gone := errors.New("gone")
	_ = r.CloseWithError(gone)
	w := neutralize.NewWriter(dst, neutralize.Options{})
	for range 2 {
		if _, err := io.WriteString(w, "text"); !errors.Is(err, gone) {
			t.Errorf("Write gave %v, want %v", err, gone)
		}
	}
	if err := w.Close(); !errors.Is(err, gone) {
		t.Errorf("Close gave %v, want %v", err, gone)
	}
}

func TestTextIsOneHarmlessLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                      "plain",
		"a\nb\r\nc\x1b[31md\x1b[2J":  "a b cd",
		"::error file=x::y":          ": :error file=x::y",
		"dir/##[error]boom":          "dir/## [error]boom",
		"name\u202egnp.exe\x00\xff#": "namegnp.exe\ufffd#",
	} {
		if got := neutralize.Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzNoInputBecomesACommand(f *testing.F) {
	f.Add([]byte("::error::x\n##[error]y"), []byte("\r:\x1b[0m:x::"), uint8(3), true)
	f.Add([]byte("\xff\xfe:\x00:\x00x::"), []byte("é\u200d#\u200d#[a]"), uint8(1), false)
	f.Add(bytes.Repeat([]byte("#"), 65), []byte("[x]\u009b31m::a::"), uint8(65), true)
	f.Fuzz(func(t *testing.T, a, b []byte, cut uint8, ours bool) {
		var log strings.Builder
		one := neutralize.NewWriter(&log, neutralize.Options{})
		two := neutralize.NewWriter(&log, neutralize.Options{})
		for len(a) > 0 || len(b) > 0 {
			a = a[write(t, one, a, int(cut)+1):]
			if ours {
				log.WriteString("✓ a line of ours\n")
			}
			b = b[write(t, two, b, int(cut)+1):]
		}
		_, _ = one.Close(), two.Close()
		requireHarmless(t, log.String())
	})
}

func write(t *testing.T, w io.Writer, p []byte, limit int) int {
	t.Helper()
	n, err := w.Write(p[:min(limit, len(p))])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func requireHarmless(t *testing.T, log string) {
	t.Helper()
	if line, found := commandIn(log); found {
		t.Fatalf("%q holds the command %q", log, line)
	}
	if strings.ToValidUTF8(log, "") != log {
		t.Fatalf("%q is not UTF-8", log)
	}
	plain := colour.ReplaceAllString(log, "")
	if i := strings.IndexFunc(plain, func(r rune) bool { return r != '\n' && r != '\t' && (r < ' ' || r >= 0x7f && r <= 0x9f) }); i >= 0 {
		t.Fatalf("%q has the control character %q", log, plain[i])
	}
}

func BenchmarkWrite(b *testing.B) {
	text := []byte(strings.Repeat("\x1b[32mok\x1b[0m   github.com/bot-bottle/action/internal/neutralize 0.123s\n", 400))
	w := neutralize.NewWriter(io.Discard, neutralize.Options{MaxBytes: 1 << 62})
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		_, _ = w.Write(text)
	}
}
