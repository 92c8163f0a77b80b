package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAQuotationIsOneBlock(t *testing.T) {
	for text, want := range map[string]string{
		"done":                         "```text\ndone\n```\n",
		"\n a\n\tb \n\n":               "```text\na\n\tb\n```\n",
		"```\n@ada <b>x</b>\n```\nend": "````text\n```\n@ada <b>x</b>\n```\nend\n````\n",
		"a\x1b[31m\u202eb\xff":         "```text\nab\uFFFD\n```\n",
	} {
		if got := Quote(text); got != want {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

func TestOfALongTextTheEndIsQuoted(t *testing.T) {
	for name, text := range map[string]string{
		"lines": strings.Repeat("x\n", 5000) + "the end", "a line": strings.Repeat("é", 100_000) + "the end", "long lines": strings.Repeat(strings.Repeat("y", 5000)+"\n", 3) + "the end",
	} {
		got := Quote(text)
		if !strings.HasSuffix(got, "the end\n```\n") || !strings.HasPrefix(got, "What comes before is in the log.\n\n```text\n") || len(got) > maxQuotedBytes+200 || strings.Count(got, "\n") > maxQuotedLines+6 {
			t.Errorf("%s: %d bytes: %.80q … %q", name, len(got), got, got[max(0, len(got)-20):])
		}
	}
}

func TestTheTailOfAFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "log"), []byte(strings.Repeat("a", maxTail)+"end"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Tail(dir, "log"); len(got) != maxTail || !strings.HasSuffix(got, "aend") {
		t.Errorf("%d bytes", len(got))
	}
	if Tail(dir, "none") != "" || Tail("", "log") != "" {
		t.Error("something of nothing")
	}
}
