// Package neutralize makes what a guest prints harmless for whatever reads it:
// a terminal, a log file, and the runners of GitHub, Gitea, Forgejo and act,
// which take orders from the output of a step.
//
// What it promises of the output of a Writer, however the input is cut into
// writes and whatever other writers, treated by this package or written by us in
// whole lines, put between its pieces on the same file:
//
//   - no line is a workflow command in any form that those runners parse. They
//     are "::name …::" after any white space at the start of a line (GitHub trims
//     it, the others don't), and "##[name …]", which GitHub finds anywhere in a
//     line and the others at its start. Both are kept readable: ": :name" and
//     "## [name]". The space is a real one, because GitHub's runner compares by
//     the rules of a language, in which invisible characters count as absent.
//   - of escape sequences only colour and weight (SGR) are left, without
//     "conceal" and "blink": nothing moves the cursor, sets a title, writes the
//     clipboard, or asks the terminal for an answer.
//   - it is UTF-8, of control characters it has only newline and tab, and of
//     invisible ones only joiners and variation selectors within non-ASCII text.
//     What is not UTF-8 becomes U+FFFD. Every kind of line break (CR, CR LF, VT,
//     FF, NEL, LS, PS) becomes a newline, so that what one reader takes for a
//     line is a line for all.
//   - it is bounded, with a line that says so, and so is the memory: no line is
//     ever held, at most a few dozen bytes are.
//
// What it does not promise: that the text is true. A guest can print lines that
// look like ours, and lines that a problem matcher, registered by another step
// of the same job, turns into an annotation. It finds no secrets; that is a
// scanner's work.
//
// The parsers it was made against: actions/runner ActionCommand.cs and
// OutputManager.cs, nektos/act pkg/runner/command.go, Gitea's runner
// act/runner/command.go and internal/pkg/report/reporter.go, and the log view of
// Gitea's web pages ("::group::", "##[error]" at the start of a line).
package neutralize

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/term"
)

// DefaultMaxBytes bounds an output for which Options names no bound: a long
// day's log of a talkative build, and little enough for any forge's log store.
const DefaultMaxBytes = 16 << 20

// pieceBytes is the most that is written at once. Writes of up to PIPE_BUF
// (4096 on Linux, pipe(7)) are never mixed with those of another writer on the
// same pipe, so that what is safe in a piece stays safe in the log.
const pieceBytes = 4096

// unitBytes is the most that one character of the input adds to a piece: a run
// of held-back hashes, a space, and a colour sequence.
const unitBytes = maxHashes + maxSGRBytes + utf8.UTFMax + 2

// Options adjust a Writer. The zero value is ready to use.
type Options struct {
	MaxBytes int64 // of output, notes not counted; 0 means DefaultMaxBytes
	NoColour bool  // colour is removed too
}

// Writer neutralises a stream. Each Write is passed on at once, in pieces that
// were gone through in these steps:
//
//  1. bytes are decoded to characters; up to three bytes of an unfinished one
//     wait for the next Write.
//  2. escape sequences are taken out, colour is put back in a normal form.
//  3. line breaks become newlines; control and invisible characters go.
//  4. commands are broken: a second colon at the start of a line, and a bracket
//     after two hashes, get a space before them. A colon at the start of a line
//     and a run of hashes are held back until the next character is known, so
//     that another writer's text can't complete them.
//  5. what exceeds the bound is counted and dropped.
//
// Its trade: since another writer may end a line between two pieces, the start of
// each piece counts as the start of a line. A "::" that a guest's program writes
// separately from what stands before it gets a space it didn't need, and a
// progress bar of hashes appears when it ends. Nothing else of plain text
// changes.
//
// All methods may be called concurrently. Close has to be called at the end.
type Writer struct {
	mu  sync.Mutex
	dst io.Writer
	opt Options
	err error // the first error of dst; it stays

	partial []byte // the beginning of a character, at most utf8.UTFMax-1 bytes
	escape  escapes
	line    line
	unit    [unitBytes]byte // room for what one character adds
	piece   []byte

	fresh    bool  // the last thing passed on was a newline, or there was none
	coloured bool  // the last colour sequence was not a reset
	written  int64 // bytes that counted against MaxBytes
	full     bool  // the bound was reached
	dropped  int64 // bytes of input that were not shown
}

// NewWriter gives a Writer that passes what is written to it on to dst.
func NewWriter(dst io.Writer, opt Options) *Writer {
	if opt.MaxBytes == 0 {
		opt.MaxBytes = DefaultMaxBytes
	}
	return &Writer{dst: dst, opt: opt, line: line{start: true}, fresh: true, piece: make([]byte, 0, pieceBytes)}
}

// Write neutralises p and passes it on. Reaching the bound is not an error; an
// error of the destination is given by this and every later call.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if mutation.On(mutation.OutputRaw) {
		return w.dst.Write(p)
	}
	w.decode(p)
	w.send()
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// Flush passes on what was held back, with a space after it that keeps it
// harmless. It is of use before a long silence.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(w.line.release(w.unit[:0], true))
	w.send()
	return w.err
}

// Close passes on what was held back, ends the colour, and says how much was not
// shown. It doesn't close the destination.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range w.partial {
		w.char(utf8.RuneError)
	}
	w.partial = nil
	w.add(w.line.release(w.unit[:0], true))
	w.reset()
	if w.dropped > 0 {
		w.note("bot-bottle: %s of output were not shown", term.Bytes(w.dropped))
		w.dropped = 0
	}
	w.send()
	return w.err
}

// Dropped gives how many bytes of input were not shown because the bound was
// reached.
func (w *Writer) Dropped() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Text gives s as a single harmless line without colour, for a name or a message
// from the guest that stands in a line of ours.
func Text(s string) string {
	var b strings.Builder
	w := NewWriter(&b, Options{MaxBytes: math.MaxInt64, NoColour: true})
	_, _ = io.WriteString(w, s) // a Builder has no errors
	_ = w.Close()
	return strings.TrimRight(strings.ReplaceAll(b.String(), "\n", " "), " ")
}

// decode is step 1.
func (w *Writer) decode(p []byte) {
	if len(w.partial) > 0 {
		p = append(w.partial, p...)
		w.partial = nil
	}
	for len(p) > 0 && w.err == nil {
		if w.full {
			w.dropped += int64(len(p))
			return
		}
		if !utf8.FullRune(p) {
			w.partial = append([]byte(nil), p...)
			return
		}
		r, size := utf8.DecodeRune(p)
		w.char(r)
		p = p[size:]
		if w.full {
			w.dropped += int64(size)
		}
	}
}

// char takes one character through steps 2 to 4. Room is made before, so that
// what belongs together is never cut.
func (w *Writer) char(r rune) {
	if len(w.piece)+unitBytes > pieceBytes {
		w.send()
	}
	switch w.escape.next(r) {
	case escapeText:
		w.add(w.line.next(w.unit[:0], r))
	case escapeColour:
		w.colour()
	}
}

func (w *Writer) colour() {
	sequence := filterSGR(w.escape.params)
	if w.opt.NoColour || sequence == "" {
		return
	}
	w.add(append(w.line.release(w.unit[:0], true), sequence...))
	w.coloured = sequence != resetSGR
}

// add is step 5.
func (w *Writer) add(s []byte) {
	if len(s) == 0 || w.full {
		return
	}
	if w.written+int64(len(s)) > w.opt.MaxBytes {
		w.full = true
		w.reset()
		w.note("bot-bottle: the output reached its limit of %s, the rest is not shown", term.Bytes(w.opt.MaxBytes))
		return
	}
	w.written += int64(len(s))
	w.piece = append(w.piece, s...)
	w.fresh = s[len(s)-1] == '\n'
}

func (w *Writer) reset() {
	if w.coloured {
		w.piece = append(w.piece, resetSGR...)
		w.coloured = false
	}
}

// note adds a line of ours, in a piece of its own.
func (w *Writer) note(format string, args ...any) {
	if !w.fresh {
		w.piece = append(w.piece, '\n')
	}
	w.send()
	w.piece = fmt.Appendf(w.piece, format+"\n", args...)
	w.send()
	w.fresh = true
}

// send writes the piece. What comes next may be at the start of a line.
func (w *Writer) send() {
	w.line.interrupted()
	if len(w.piece) == 0 || w.err != nil {
		w.piece = w.piece[:0]
		return
	}
	_, w.err = w.dst.Write(w.piece)
	w.piece = w.piece[:0]
}
