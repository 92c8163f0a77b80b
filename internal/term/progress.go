package term

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// clearLine goes to the start of the line and clears it (ECMA-48 EL).
const clearLine = "\r\x1b[K"

// Progress tells a waiting person how far a job is: one line for each step that
// is over, and on a terminal also one for the step under way, which the next line
// replaces. All methods may be called concurrently. Errors of the destination are
// ignored: nobody is reading.
type Progress struct {
	mu     sync.Mutex
	w      io.Writer
	live   bool
	style  Style
	now    func() time.Time
	step   string
	since  time.Time
	drawn  bool // the line of the step under way is on the terminal
	silent bool
}

// NewProgress gives a Progress that writes to w. live says that w is a terminal
// on which a line may be drawn again (see Live).
func NewProgress(w io.Writer, live bool, style Style) *Progress {
	return &Progress{w: w, live: live, style: style, now: time.Now}
}

// Quiet makes p write nothing from now on.
func (p *Progress) Quiet() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.silent = true
}

// Begin says that a step, such as "prove", is under way. A step that was under
// way is over without a word.
func (p *Progress) Begin(step string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.step, p.since = step, p.now()
	if p.live {
		p.print(p.style.Dim("· "+step+" …"), "")
		p.drawn = !p.silent
	}
}

// Done says that the step under way is over, with what came of it. It gives how
// long the step took.
func (p *Progress) Done(detail string) time.Duration {
	return p.end(p.style.Green("✓"), detail)
}

// Failed says that the step under way failed. The reason is an error's work.
func (p *Progress) Failed() time.Duration {
	return p.end(p.style.Red("✗"), "")
}

// Say prints a line that belongs to no step.
func (p *Progress) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.print(fmt.Sprintf(format, args...), "\n")
}

// Yield takes the line of the step under way from the terminal, so that others,
// such as the agent, can write.
func (p *Progress) Yield() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

// Over prints the line of a step that was measured elsewhere.
func (p *Progress) Over(step string, took time.Duration, detail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.over(p.style.Green("✓"), step, took, detail)
}

func (p *Progress) end(mark, detail string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.step == "" {
		return 0
	}
	p.clear()
	took := p.now().Sub(p.since)
	p.over(mark, p.step, took, detail)
	p.step = ""
	return took
}

func (p *Progress) over(mark, step string, took time.Duration, detail string) {
	text := fmt.Sprintf("%s %-9s %8s", mark, step, Duration(took))
	if detail != "" {
		text += "  " + p.style.Dim(detail)
	}
	p.print(text, "\n")
}

func (p *Progress) clear() {
	if p.drawn {
		p.print(clearLine, "")
		p.drawn = false
	}
}

func (p *Progress) print(text, end string) {
	if !p.silent {
		_, _ = io.WriteString(p.w, text+end)
	}
}
