package decision

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"sync"
	"time"
)

const (
	// DefaultMaxBytes bounds a log for which Options names no bound: some two
	// hundred thousand requests, and little enough to read for a report.
	DefaultMaxBytes = 64 << 20
	// maxVerdict bounds a verdict line. Doors bound what the guest chose to
	// some 1300 bytes, which JSON may write as six times as many ("\u0000").
	maxVerdict = 16 << 10
	// endRoom is kept free for the end line of each verdict that was written.
	endRoom = 2 << 10
	// maxError bounds a cause, which may quote the guest: within endRoom
	// whatever JSON makes of it.
	maxError = 256
	// droppedRoom is kept free for the lines that count what was dropped: one
	// when the count has doubled, and one from Close.
	droppedRoom = (64 + 1) * 160
)

// ErrLineTooLong is returned for a verdict that a door has not bounded.
var ErrLineTooLong = errors.New("the line is too long")

// Options adjust a FileLog. The zero value is ready to use.
type Options struct {
	MaxBytes int64 // of the whole file; 0 means DefaultMaxBytes
	// FirstID is below the first id, where several processes share the file, and
	// each needs ids of its own.
	FirstID uint64
}

// FileLog writes lines to a file, each with one write(2), so that what was
// written survives the death of this process (not that of the host).
//
// It is bounded. Refusals take at most half of the room, so that a guest that
// asks for what it can't have doesn't hide what it was given; a verdict that was
// written has room for its end; everything else is counted, and a line says how
// much was dropped whenever the count has doubled, and at Close. Being full is
// no reason to refuse: the doors go on.
//
// A disk that takes no more is one: Verdict returns the error. Part of a line
// that was written before is then closed with a newline, and Read skips it.
type FileLog struct {
	file *os.File
	max  int64
	now  func() time.Time

	mu      sync.Mutex
	phase   string
	last    uint64
	used    int64                // bytes written
	refused int64                // of these, for refusals and their ends
	open    map[uint64]undecided // verdicts in the file without an end so far
	torn    bool                 // the file ends within a line
	dropped int64                // since the last line that told
	total   int64                // dropped in all
	line    bytes.Buffer
}

// undecided is a verdict that waits for its end.
type undecided struct {
	since   time.Time
	refusal bool
}

// OpenLog continues f, which must be open for appending (open(2), O_APPEND) and
// stays the caller's to close. What is in it counts against the bound.
func OpenLog(f *os.File, o Options) (*FileLog, error) {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return nil, fmt.Errorf("opening decision log %q: %w", f.Name(), err)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	return &FileLog{file: f, max: o.MaxBytes, now: time.Now, last: o.FirstID, used: info.Size(), open: map[uint64]undecided{}}, nil
}

// SetPhase names the stage of the job to which verdicts belong from now on.
func (g *FileLog) SetPhase(phase string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.phase = phase
}

// Verdict writes l as a verdict line and gives its id. Id, kind and time are set
// here.
func (g *FileLog) Verdict(l Line) (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last++
	now := g.now()
	l.ID, l.Kind, l.Time, l.Phase, l.Error = g.last, KindVerdict, now.UTC(), g.phase, clip(l.Error)
	line, err := g.encode(l)
	if err != nil {
		return 0, err
	}
	if len(line) > maxVerdict {
		return 0, fmt.Errorf("writing a decision line of %d bytes: %w", len(line), ErrLineTooLong)
	}
	refusal := l.Verdict != Allow
	if !g.fits(int64(len(line))+endRoom, refusal) {
		return l.ID, g.drop(1)
	}
	if err := g.write(line, refusal); err != nil {
		return 0, err
	}
	g.open[l.ID] = undecided{now, refusal}
	return l.ID, nil
}

// End writes l as the end line of id. Where l has no duration it is the time
// since the verdict. An end whose verdict is not in the file is dropped with it.
func (g *FileLog) End(id uint64, l Line) {
	g.mu.Lock()
	defer g.mu.Unlock()
	verdict, ok := g.open[id]
	if !ok {
		g.drop(1)
		return
	}
	delete(g.open, id)
	now := g.now()
	l.ID, l.Kind, l.Time, l.Error = id, KindEnd, now.UTC(), clip(l.Error)
	if l.Duration == 0 {
		l.Duration = now.Sub(verdict.since)
	}
	line, err := g.encodeEnd(l)
	if err != nil || g.write(line, verdict.refusal) != nil {
		g.drop(1)
	}
}

// Close writes how many lines were dropped since the last line that told so. The
// file stays open.
func (g *FileLog) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tellDropped()
}

// fits tells whether there is room for n bytes beside what is kept free.
func (g *FileLog) fits(n int64, refusal bool) bool {
	room := g.max - droppedRoom - int64(len(g.open))*endRoom
	if g.used+n > room {
		return false
	}
	return !refusal || g.refused+n <= room/2
}

// write appends line, whose verdict was a refusal or not.
func (g *FileLog) write(line []byte, refusal bool) error {
	if g.torn {
		line = append([]byte("\n"), line...)
	}
	n, err := g.file.Write(line)
	g.used += int64(n)
	if refusal {
		g.refused += int64(n)
	}
	if n > 0 {
		g.torn = n < len(line)
	}
	if err != nil {
		return fmt.Errorf("writing the decision log: %w", err)
	}
	return nil
}

// drop counts n lines that were not written, and tells when their number has
// doubled.
func (g *FileLog) drop(n int64) error {
	before := g.total
	g.total += n
	g.dropped += n
	if bits.Len64(uint64(before)) == bits.Len64(uint64(g.total)) {
		return nil
	}
	return g.tellDropped()
}

func (g *FileLog) tellDropped() error {
	if g.dropped == 0 {
		return nil
	}
	line, err := g.encode(Line{Kind: KindDropped, Time: g.now().UTC(), Count: g.dropped})
	if err != nil {
		return err
	}
	if err := g.write(line, false); err != nil {
		return err
	}
	g.dropped = 0
	return nil
}

// encode gives l as a line, which is valid until the next call.
func (g *FileLog) encode(l Line) ([]byte, error) {
	g.line.Reset()
	enc := json.NewEncoder(&g.line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(l); err != nil {
		return nil, fmt.Errorf("encoding a decision line: %w", err)
	}
	return g.line.Bytes(), nil
}

func clip(cause string) string {
	if len(cause) > maxError {
		return cause[:maxError] + "…"
	}
	return cause
}

// encodeEnd cuts l down to what belongs into an end line where it exceeds the
// room that was kept for it.
func (g *FileLog) encodeEnd(l Line) ([]byte, error) {
	line, err := g.encode(l)
	if err == nil && len(line) > endRoom {
		line, err = g.encode(Line{
			ID: l.ID, Kind: l.Kind, Time: l.Time, Door: l.Door, Epoch: l.Epoch, Status: l.Status,
			Sent: l.Sent, Received: l.Received, Duration: l.Duration, Error: l.Error, Usage: l.Usage,
		})
	}
	return line, err
}
