package neutralize

import (
	"strconv"
	"strings"
)

// maxParams bounds the parameters of a colour sequence, in bytes. The longest
// useful one sets two RGB colours and a few attributes.
const maxParams = 64

// maxSGRBytes is the most that filterSGR gives.
const maxSGRBytes = maxParams + len("\x1b[m")

// resetSGR ends all colours and attributes.
const resetSGR = "\x1b[0m"

// The characters that open and close escape sequences (ECMA-48). The second
// half are the C1 controls, which a terminal takes as UTF-8 too.
const (
	bell   = 0x07
	cancel = 0x18
	subst  = 0x1a
	esc    = 0x1b
	c1DCS  = 0x90
	c1SOS  = 0x98
	c1CSI  = 0x9b
	c1ST   = 0x9c
	c1OSC  = 0x9d
	c1PM   = 0x9e
	c1APC  = 0x9f
)

type escapeState int

const (
	stateText         escapeState = iota
	stateEscape                   // after ESC
	stateIntermediate             // ESC and an intermediate character
	stateCSI                      // parameters of a control sequence
	stateString                   // inside a command string (OSC, DCS, SOS, PM, APC)
	stateStringEnd                // ESC inside a command string
)

// escapeKind is what next found out about a character.
type escapeKind int

const (
	escapeText   escapeKind = iota // no part of a sequence
	escapeEaten                    // part of a sequence
	escapeColour                   // it ends a sequence that may be colour: see params
)

// escapes finds the escape sequences in a stream of characters. An unfinished one
// ends at the first character that can't belong to it, a command string also at
// the end of the line, so that a stray ESC doesn't swallow the rest of a log.
type escapes struct {
	state  escapeState
	params []byte // of the control sequence under way or just ended
	other  bool   // that sequence isn't colour, whatever its last character
}

func (e *escapes) next(r rune) escapeKind {
	switch e.state {
	case stateText:
		return e.text(r)
	case stateEscape:
		return e.escape(r)
	case stateIntermediate:
		return e.intermediate(r)
	case stateCSI:
		return e.csi(r)
	default:
		return e.commandString(r)
	}
}

func (e *escapes) text(r rune) escapeKind {
	switch r {
	case esc:
		e.state = stateEscape
	case c1CSI:
		e.begin()
	case c1DCS, c1SOS, c1OSC, c1PM, c1APC:
		e.state = stateString
	default:
		e.state = stateText
		return escapeText
	}
	return escapeEaten
}

func (e *escapes) begin() {
	e.state, e.params, e.other = stateCSI, e.params[:0], false
}

func (e *escapes) escape(r rune) escapeKind {
	switch {
	case r == '[':
		e.begin()
	case strings.ContainsRune("]PX^_", r):
		e.state = stateString
	case r >= 0x20 && r <= 0x2f:
		e.state = stateIntermediate
	case r >= 0x30 && r <= 0x7e:
		e.state = stateText
	default:
		return e.text(r)
	}
	return escapeEaten
}

func (e *escapes) intermediate(r rune) escapeKind {
	switch {
	case r >= 0x20 && r <= 0x2f:
	case r >= 0x30 && r <= 0x7e:
		e.state = stateText
	default:
		return e.text(r)
	}
	return escapeEaten
}

func (e *escapes) csi(r rune) escapeKind {
	switch {
	case r >= 0x30 && r <= 0x3f && len(e.params) < maxParams:
		e.params = append(e.params, byte(r))
	case r >= 0x20 && r <= 0x3f:
		e.other = true
	case r >= 0x40 && r <= 0x7e:
		e.state = stateText
		if r == 'm' && !e.other {
			return escapeColour
		}
	default:
		return e.text(r)
	}
	return escapeEaten
}

func (e *escapes) commandString(r rune) escapeKind {
	if e.state == stateStringEnd {
		e.state = stateText
		if r == '\\' {
			return escapeEaten
		}
		return e.escape(r)
	}
	switch {
	case r == esc:
		e.state = stateStringEnd
	case r == bell, r == c1ST, r == cancel, r == subst:
		e.state = stateText
	case isBreak(r):
		return e.text(r)
	}
	return escapeEaten
}

// filterSGR gives the sequence that sets those of the attributes in params
// (ECMA-48 §8.3.117, with the RGB colours of ISO 8613-6) that hide nothing:
// colours, weight, italic, underline, reverse, strike. It gives "" if none is
// left, or if params are not just numbers and semicolons.
func filterSGR(params []byte) string {
	fields := strings.Split(string(params), ";")
	var kept []string
	for i := 0; i < len(fields); i++ {
		code, ok := number(fields[i])
		if !ok {
			return ""
		}
		count := 1
		if code == 38 || code == 48 {
			if count = colourFields(fields[i:]); count == 0 {
				return ""
			}
		} else if !harmless(code) {
			continue
		}
		kept = append(kept, fields[i:i+count]...)
		i += count - 1
	}
	if len(kept) == 0 {
		return ""
	}
	if all := strings.Join(kept, ";"); all != "" {
		return "\x1b[" + all + "m"
	}
	return resetSGR
}

// number reads a parameter; an empty one is 0.
func number(s string) (int, bool) {
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(s, 10, 8)
	return int(n), err == nil
}

// colourFields gives how many fields an extended colour takes: "38;5;n" or
// "38;2;r;g;b". 0 means that it is none.
func colourFields(fields []string) int {
	if len(fields) < 2 {
		return 0
	}
	count := map[string]int{"5": 3, "2": 5}[fields[1]]
	if len(fields) < count {
		return 0
	}
	for _, f := range fields[:count] {
		if _, ok := number(f); !ok {
			return 0
		}
	}
	return count
}

func harmless(code int) bool {
	switch {
	case code <= 4, code == 7, code == 9: // reset, bold, faint, italic, underline, reverse, strike
	case code >= 22 && code <= 24, code == 27, code == 29: // and their ends
	case code >= 30 && code <= 49:
	case code >= 90 && code <= 97, code >= 100 && code <= 107:
	default:
		return false
	}
	return true
}
