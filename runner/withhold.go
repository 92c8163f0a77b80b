package runner

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/scan"
	"github.com/bot-bottle/action/internal/term"
)

// Bounds of what is scanned on its way to a job's log.
const (
	maxScannedLine = 16 << 10
	// overlap is how much of a line that is cut is looked at again with its rest: more
	// than a token has.
	overlap = 1 << 10
	// maxKeyLines is more than a private key has.
	maxKeyLines = 200
	// scanTime is for all of an output: some hundred megabytes of text, or its bound of
	// random characters.
	scanTime = 2 * time.Minute
)

// withholding passes text on line by line, but for lines that hold what may be a secret:
// many may read a job's log. What could not be looked at is withheld, too. The log on
// the host has all of it.
type withholding struct {
	to      io.Writer
	scanner *scan.Scanner

	mu   sync.Mutex
	rest []byte        // has come and was not passed on
	key  int           // lines of a private key that may still come
	left time.Duration // for scanning
}

func newWithholding(to io.Writer, scanner *scan.Scanner) *withholding {
	return &withholding{to: to, scanner: scanner, left: scanTime}
}

// Write takes a piece; whole lines of it are passed on at once.
func (w *withholding) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	end := bytes.LastIndexByte(w.rest, '\n') + 1
	if end == 0 && len(w.rest) > maxScannedLine {
		end = len(w.rest) - overlap
	}
	if end > 0 {
		w.pass(end)
	}
	return len(p), nil
}

// Close passes on what is left.
func (w *withholding) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) > 0 {
		w.pass(len(w.rest))
	}
	return nil
}

// pass passes on the first end bytes of rest. Where they and what follows hold
// something, each line of them is looked at by itself; of what is no whole line, and of
// what is found in no single one, nothing is passed.
func (w *withholding) pass(end int) {
	piece := string(w.rest[:end])
	if rule := w.finds(string(w.rest)); rule == "" {
		io.WriteString(w.to, piece)
	} else if !w.passLines(piece, rule) {
		w.withhold(piece, rule)
		end = len(w.rest)
	}
	w.rest = append(w.rest[:0], w.rest[end:]...)
}

// passLines passes on the lines that hold nothing, and tells whether one did.
func (w *withholding) passLines(piece, rule string) bool {
	var passed strings.Builder
	found := false
	for line := range strings.Lines(piece) {
		if !strings.HasSuffix(line, "\n") {
			return false
		}
		if w.inKey(line) {
			found, rule = true, "private-key"
		} else if of := w.finds(line); of != "" {
			found, rule = true, of
		} else {
			passed.WriteString(line)
			continue
		}
		passed.WriteString(notice(line, rule))
	}
	if found {
		io.WriteString(w.to, passed.String())
	}
	return found
}

// inKey tells whether a line is one of a private key's.
func (w *withholding) inKey(line string) bool {
	if strings.Contains(line, "-----BEGIN") && strings.Contains(line, "PRIVATE KEY") {
		w.key = maxKeyLines
	}
	if w.key == 0 {
		return false
	}
	w.key--
	if strings.Contains(line, "-----END") {
		w.key = 0
	}
	return true
}

func (w *withholding) withhold(piece, rule string) { io.WriteString(w.to, notice(piece, rule)) }

// notice stands in the place of text that is withheld.
func notice(text, rule string) string {
	return fmt.Sprintf("[bot-bottle: %s withheld, which may hold a secret: %s; the log on the host has it]\n", term.Bytes(int64(len(text))), rule)
}

// colour is what neutralize leaves of escape sequences.
var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

// finds names what speaks against text, or is empty.
func (w *withholding) finds(text string) string {
	if mutation.On(mutation.ResultsUnscanned) {
		return ""
	}
	if w.key > 0 || strings.Contains(text, "-----BEGIN") && strings.Contains(text, "PRIVATE KEY") {
		return "private-key"
	}
	if w.left <= 0 {
		return "it is too much to look at"
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.left)
	defer cancel()
	began := time.Now()
	found, err := w.scanner.Text(ctx, colour.ReplaceAllString(text, ""))
	w.left -= time.Since(began)
	switch {
	case err != nil:
		return "it could not be looked at"
	case len(found) > 0:
		return found[0].Rule
	}
	return ""
}

// results is the scanner of what others may read of the run, whose secrets it knows.
func (r *run) results() (s *scan.Scanner, err error) {
	if r.scanner == nil {
		r.scanner, err = scan.New(r.plan.known())
	}
	return r.scanner, err
}

// scanPatch notes in the report where the patch may hold a secret: it stays on the host,
// and no later step is handed it.
func (r *run) scanPatch(ctx context.Context, path string, changes *report.Changes) error {
	if mutation.On(mutation.ResultsUnscanned) {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, scanTime, fmt.Errorf("it took longer than %s", term.Duration(scanTime)))
	defer cancel()
	scanner, err := r.results()
	if err != nil {
		return err
	}
	found, err := scanner.Scan(ctx, "", f)
	switch {
	case err != nil:
		changes.Withheld = "it could not be looked at: " + err.Error()
	case len(found) > 0:
		changes.Withheld = fmt.Sprintf("%s found one, by its rule %q, in line %d", found[0].Detector, found[0].Rule, found[0].Line)
	}
	return nil
}
