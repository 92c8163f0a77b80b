package report

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/action/internal/neutralize"
)

// Bounds of a quotation: what a person reads in a thread.
const (
	maxQuotedBytes = 8 << 10
	maxQuotedLines = 80
)

// Quote quotes text, which may be anybody's, as Markdown that means nothing but its
// text: a code block, in which GitHub, Gitea and Forgejo know no HTML, links, mentions,
// images or issue numbers. Of a long one the end is shown.
func Quote(text string) string {
	text = strings.TrimSpace(strings.ToValidUTF8(text, "\uFFFD"))
	end := lastLines(text)
	lines := strings.Split(end, "\n")
	for i, line := range lines {
		lines[i] = neutralize.Text(line)
	}
	body := strings.Join(lines, "\n")
	head := ""
	if len(end) < len(text) {
		head = "What comes before is in the log.\n\n"
	}
	fence := strings.Repeat("`", max(3, longestRun(body, '`')+1))
	return head + fence + "text\n" + body + "\n" + fence + "\n"
}

// lastLines is the end of text within the bounds, from the beginning of a line where
// that can be.
func lastLines(text string) string {
	if len(text) > maxQuotedBytes {
		text = strings.ToValidUTF8(text[len(text)-maxQuotedBytes:], "")
		if _, whole, more := strings.Cut(text, "\n"); more {
			text = whole
		}
	}
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-maxQuotedLines):], "\n")
}

// maxTail is more than a quotation shows.
const maxTail = 64 << 10

// Tail gives the end of a file in a report's folder; what can't be read is empty.
func Tail(dir, name string) string {
	if dir == "" {
		return ""
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxTail {
		if _, err := f.Seek(-maxTail, io.SeekEnd); err != nil {
			return ""
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, maxTail))
	if err != nil {
		return ""
	}
	return string(b)
}
