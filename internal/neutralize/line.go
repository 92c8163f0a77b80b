package neutralize

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxHashes is how many hashes are held back; a longer run is cut by a space.
const maxHashes = 64

var allHashes = strings.Repeat("#", maxHashes)

// line knows where in a line the output is, and what of it is held back.
type line struct {
	start  bool // only white space so far, or it can't be told
	cr     bool // the last character of the input was a carriage return
	joins  bool // the last character passed on was one that a joiner may follow
	colon  bool // a colon at the start of the line is held back
	hashes int  // as many hashes are held back
}

// interrupted says that another writer's text may stand between what was and
// what comes.
func (l *line) interrupted() { l.start, l.joins = true, false }

// next appends what r adds to the output: steps 3 and 4.
func (l *line) next(out []byte, r rune) []byte {
	afterCR := l.cr
	l.cr = r == '\r'
	switch {
	case r > ' ' && r < 0x7f:
		return l.visible(out, r)
	case r == '\n' && afterCR:
		return out
	case isBreak(r):
		return l.breakLine(out)
	case isDropped(r), isJoiner(r) && !l.joins:
		return out
	case unicode.IsSpace(r):
		return l.space(out, r)
	default:
		return l.visible(out, r)
	}
}

func (l *line) breakLine(out []byte) []byte {
	out = l.release(out, false)
	l.interrupted()
	return append(out, '\n')
}

func (l *line) space(out []byte, r rune) []byte {
	out = l.release(out, false)
	l.joins = false
	return utf8.AppendRune(out, r)
}

func (l *line) visible(out []byte, r rune) []byte {
	switch {
	case r == ':' && l.colon:
		l.start, l.colon = false, false
		return append(out, ": :"...)
	case r == ':' && l.start:
		out = l.release(out, false)
		l.start, l.joins, l.colon = false, false, true
		return out
	case r == '#':
		return l.hash(out)
	}
	out = l.release(out, r == '[' && l.hashes > 1)
	l.start, l.joins = false, r > unicode.MaxASCII
	return utf8.AppendRune(out, r)
}

func (l *line) hash(out []byte) []byte {
	if l.colon || l.hashes == maxHashes {
		out = l.release(out, l.hashes > 0)
	}
	l.start, l.joins = false, false
	l.hashes++
	return out
}

// release appends what is held back. With apart a space follows it, so that
// nothing that comes next can complete a command.
func (l *line) release(out []byte, apart bool) []byte {
	held := l.held()
	if held == "" {
		return out
	}
	l.colon, l.hashes, l.start = false, 0, false
	out = append(out, held...)
	if apart {
		out = append(out, ' ')
	}
	return out
}

func (l *line) held() string {
	if l.colon {
		return ":"
	}
	return allHashes[:l.hashes]
}

// isBreak tells whether r ends a line for any reader: .NET breaks at CR and LF,
// terminals also move down at VT, FF and NEL, JavaScript and Python also break at
// LS and PS.
func isBreak(r rune) bool {
	switch r {
	case '\n', '\r', '\v', '\f', 0x85, 0x2028, 0x2029:
		return true
	}
	return false
}

// isDropped tells whether r is a control character other than tab, or one that
// shows nothing. Such characters hide text from a reader, or a command from a
// comparison of bytes. (Unicode 15, Default_Ignorable_Code_Point, and the other
// format characters that show nothing.)
func isDropped(r rune) bool {
	switch {
	case r == '\t', isJoiner(r), unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return false
	case unicode.IsControl(r):
		return true
	}
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// isJoiner tells whether r, though it shows nothing, is needed to write some
// languages and emoji: the zero-width joiner and non-joiner, and the selectors
// of text and emoji style.
func isJoiner(r rune) bool {
	switch r {
	case 0x200c, 0x200d, 0xfe0e, 0xfe0f:
		return true
	}
	return false
}
