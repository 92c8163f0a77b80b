package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"
)

// Bounds of a file. The front matter's is far below the file's because the time
// that the YAML parser takes can grow with the square of its input.
const (
	maxFile        = 1 << 20
	maxFrontMatter = 64 << 10
)

const extension = ".md"

// document is a file taken apart.
type document struct {
	name string // without extension
	path string
	yaml []byte // begins with an empty line in place of "---", so that lines count as in the file
	body string
}

func open(path string) (document, error) {
	raw, err := readFile(path)
	if err != nil {
		return document{}, asError([]Fault{{Path: path, Err: err}})
	}
	return takeApart(path, raw)
}

// takeApart splits what was read from path, whose name says what it is called.
func takeApart(path string, raw []byte) (document, error) {
	d := document{name: strings.TrimSuffix(filepath.Base(path), extension), path: path}
	var faults []Fault
	if err := checkName(d.name); err != nil {
		faults = append(faults, Fault{Err: err, Hint: "rename the file"})
	}
	if !strings.HasSuffix(path, extension) {
		faults = append(faults, Fault{Err: fmt.Errorf("its name doesn't end with %q", extension), Hint: "rename the file"})
	}
	faults = append(faults, d.split(raw)...)
	for i := range faults {
		faults[i].Path = path
	}
	return d, asError(faults)
}

// readFile opens without waiting, which a FIFO would require.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the file: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, fmt.Errorf("looking at the file: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the file: %w", err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	return b, nil
}

// split finds the front matter between two lines of "---". A byte order mark and
// CRLF are taken.
func (d *document) split(raw []byte) []Fault {
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	if f := checkText(raw); f != nil {
		return f
	}
	first, rest, _ := bytes.Cut(raw, []byte("\n"))
	if !isFence(first) {
		return []Fault{{Line: 1, Err: errors.New("there is no front matter"),
			Hint: "begin the file with a line of three hyphens, the keys, and another line of three hyphens"}}
	}
	end, body := findFence(rest)
	if end < 0 {
		return []Fault{{Line: 1, Err: errors.New("the front matter has no end"),
			Hint: "put a line of three hyphens behind the last key"}}
	}
	if end > maxFrontMatter {
		return []Fault{{Line: 1, Err: fmt.Errorf("the front matter has more than %d bytes", maxFrontMatter)}}
	}
	d.yaml = append([]byte("\n"), rest[:end]...)
	d.body = strings.TrimSpace(string(body))
	return nil
}

func isFence(line []byte) bool { return string(bytes.TrimRight(line, " \t")) == "---" }

// findFence gives the offset of the closing line, or -1, and what is behind it.
func findFence(b []byte) (offset int, body []byte) {
	for rest := b; len(rest) > 0; {
		line, next, _ := bytes.Cut(rest, []byte("\n"))
		if isFence(line) {
			return offset, next
		}
		offset += len(line) + 1
		rest = next
	}
	return -1, nil
}

// checkText refuses bytes that would make the file look other than it is.
func checkText(b []byte) []Fault {
	line := 1
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return []Fault{{Line: line, Err: errors.New("it is not in UTF-8")}}
		case r == '\n':
			line++
		case r < ' ' && r != '\t' || r == 0x7f || isBidi(r):
			return []Fault{{Line: line, Err: fmt.Errorf("it has the control character %U", r)}}
		}
		i += n
	}
	return nil
}

// isBidi is true for characters that reorder a line on the screen, so that a
// reader sees other rules than the parser (CVE-2021-42574), and for the C1
// controls.
func isBidi(r rune) bool {
	return 0x80 <= r && r < 0xa0 || 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069
}
