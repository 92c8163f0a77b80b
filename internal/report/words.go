package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/term"
)

// The words that the renderings share. A quote function makes a string that
// isn't ours fit for the rendering.

func (v Verdict) mark() string {
	if v == Passed {
		return "✓"
	}
	return "✗"
}

// sentence says how the job ended.
func (o Outcome) sentence() string {
	text, ok := map[Verdict]string{
		Passed:     "passed",
		Failed:     "failed; confinement held",
		Refused:    "refused; nothing was started",
		Unproven:   "confinement not proven; no agent code ran",
		Escaped:    "an attack succeeded",
		Broken:     "the bottle or a door broke",
		Stopped:    "stopped",
		Incomplete: "done, but not all was posted or cleaned up",
	}[o.Verdict]
	if !ok {
		text = "unknown verdict"
	}
	return fmt.Sprintf("%s (exit %d)", text, o.ExitCode)
}

func (r Report) took() time.Duration { return r.Finished.Sub(r.Started) }

func (a Agent) ending() string {
	switch {
	case a.Signal != "":
		return "was ended by a signal"
	case a.ExitCode < 0:
		return "did not come to its end"
	}
	return fmt.Sprintf("ended with code %d", a.ExitCode)
}

func (c *Changes) summary() string {
	if len(c.Files) == 0 {
		return "no file"
	}
	added, deleted := c.Lines()
	return fmt.Sprintf("%s, +%d −%d", term.Count(int64(len(c.Files)), "file", ""), added, deleted)
}

func (k Kind) word() string {
	switch k {
	case "add", "modify", "delete", "mode":
		return string(k)
	}
	return Other
}

func (f File) extent() string {
	if f.Binary {
		return "binary"
	}
	return fmt.Sprintf("+%d −%d", f.Added, f.Deleted)
}

func (f File) warning(quote func(string) string) string {
	if f.AutoRun == "" {
		return ""
	}
	return ", runs by itself: " + quote(f.AutoRun)
}

func (d Door) summary() string {
	parts := []string{fmt.Sprintf("%d allowed", d.Allowed), fmt.Sprintf("%d refused", d.Refused)}
	for _, extra := range []struct {
		n    int64
		text string
	}{{d.Broken, "ended with an error"}, {d.Open, "without an end"}, {d.Stripped, "freed of the agent's own credentials"}} {
		if extra.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", extra.n, extra.text))
		}
	}
	return strings.Join(parts, ", ")
}

// summary says what the model took, on one line.
func (t Tokens) summary() string {
	text := fmt.Sprintf("%s took %s (%d input, %d output, %d written to a cache, %d read from it), %s",
		term.Count(t.Calls, "call", ""), term.Count(t.Total(), "token", ""), t.Input, t.Output, t.CacheWrite, t.CacheRead, t.price())
	if t.Estimated > 0 {
		text += fmt.Sprintf("; %d of the calls estimated", t.Estimated)
	}
	return text
}

// price is what the calls cost, as far as that is known.
func (t Tokens) price() string {
	switch t.Unpriced {
	case 0:
		return Dollars(t.Cost)
	case t.Calls:
		return "no price"
	}
	return fmt.Sprintf("%s, and %d without a price", Dollars(t.Cost), t.Unpriced)
}

func (p *Proof) summary() string {
	word := "held"
	if !p.Held {
		word = "did not hold"
	}
	silent := ""
	if p.Silent > 0 {
		silent = fmt.Sprintf(" and %d met silence where only silence can be", p.Silent)
	}
	return fmt.Sprintf("%s in %s: %s saw this boot's nonce; of %s as %s, %d were refused at once%s; %s got %s",
		word, term.Duration(p.Duration), term.Count(int64(len(p.Doors)), "door", ""), term.Count(int64(p.Tries), "try", "tries"),
		strings.Join(p.Users, " and "), p.Refused, silent, term.Count(int64(p.Collectors), "collector", ""), p.hits())
}

func (p *Proof) hits() string {
	if p.Hits == 0 {
		return "nothing"
	}
	return term.Count(int64(p.Hits), "hit", "")
}

func (l Limit) held(quote func(string) string) string {
	if l.HeldBy == "" {
		return "not held on this host"
	}
	return "held by " + quote(l.HeldBy)
}

func (h Hardening) word() string {
	if h.Held {
		return "holds"
	}
	return "is missing"
}

func (h Hardening) detail(quote func(string) string) string {
	if h.Detail == "" {
		return ""
	}
	return ": " + quote(h.Detail)
}
