package escape

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/escape/attack"
)

func size(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("looking at the doors' log: %w", err)
	}
	return info.Size(), nil
}

// maxLine bounds one line of the doors' log.
const maxLine = 1 << 20

// readDecisions reads the lines that the doors wrote after the offset.
func readDecisions(path string, offset int64) ([]decision.Line, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the doors' log: %w", err)
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading the doors' log: %w", err)
	}
	var lines []decision.Line
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, maxLine)
	for scanner.Scan() {
		var l decision.Line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("reading the doors' log: %w", err)
		}
		lines = append(lines, l)
	}
	return lines, scanner.Err()
}

// endTime is how long the end of what a guest was answered may take to be written:
// the guest may ask for the next thing before.
const endTime = 5 * time.Second

// endedDecisions is readDecisions once everything that was let through has ended.
func endedDecisions(path string, offset int64) ([]decision.Line, error) {
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		lines, err := readDecisions(path, offset)
		if err != nil || ended(lines) || time.Since(start) > endTime {
			return lines, err
		}
	}
}

func ended(lines []decision.Line) bool {
	open := map[uint64]bool{}
	for _, l := range lines {
		switch l.Kind {
		case decision.KindVerdict:
			open[l.ID] = true
		case decision.KindEnd:
			delete(open, l.ID)
		}
	}
	return len(open) == 0
}

// window is what the doors wrote during one case.
type window struct {
	attack, twin []decision.Line
	marked       bool // both marks are there
}

// refusals counts the lines by which something was refused, before or after it was
// let through to the upstream, and names rules besides those wanted.
func (w window) refusals(wanted []string) (count int, others []string) {
	known := map[string]bool{}
	for _, r := range wanted {
		known[r] = true
	}
	counted := map[uint64]bool{} // a refusal may be told by a verdict and by its end
	for _, l := range w.attack {
		refused := l.Kind == decision.KindVerdict && l.Verdict == decision.Refuse || l.Kind == decision.KindEnd && l.Rule != ""
		switch {
		case !refused || counted[l.ID]:
		case known[l.Rule]:
			counted[l.ID] = true
			count++
		default:
			others = append(others, l.Rule)
		}
	}
	return count, others
}

// split gives each case's window, by the marks that the guest set.
func split(lines []decision.Line, cases []attack.Case) []window {
	windows := make([]window, len(cases))
	var into *[]decision.Line
	begun := map[uint64]*[]decision.Line{}
	for _, l := range lines {
		if l.Kind == decision.KindEnd { // it may be written after the guest has its answer, and the next mark
			if to := begun[l.ID]; to != nil {
				*to = append(*to, l)
			}
			continue
		}
		if n, part, ok := markOf(l, len(cases)); ok {
			if part == "attack" {
				into = &windows[n].attack
			} else {
				into, windows[n].marked = &windows[n].twin, true
			}
			continue
		}
		if into != nil {
			begun[l.ID] = into
			*into = append(*into, l)
		}
	}
	return windows
}

func markOf(l decision.Line, cases int) (number int, part string, ok bool) {
	if l.Kind != decision.KindVerdict || l.Verdict != decision.Refuse {
		return 0, "", false
	}
	for _, part := range []string{"attack", "twin"} {
		var n int
		if _, err := fmt.Sscanf(l.Host, "case-%d-"+part+".mark.invalid", &n); err == nil && n >= 0 && n < cases && l.Host == attack.Mark(n, part) {
			return n, part, true
		}
	}
	return 0, "", false
}
