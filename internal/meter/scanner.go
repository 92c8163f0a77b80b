package meter

import (
	"encoding/json"
	"strings"
)

const (
	// maxDepth is far above what an answer nests; modelapi takes less of a request.
	maxDepth = 512
	// maxWatched is how deep what is looked for lies, with the array around it.
	maxWatched = 5
	// maxText bounds a key, a number or a name that is kept. What is longer is none
	// that is looked for.
	maxText = 128
)

// kind is what a value is.
type kind byte

const (
	object kind = iota
	array
	text
	scalar // a number or a literal
)

// state is what the scanner expects next.
type state byte

const (
	value      state = iota
	firstValue       // of an array, or its end
	firstKey         // of an object, or its end
	key              // after a comma
	inKey
	colon
	inText
	inScalar
	after // a value; a comma, or the end of what holds it
)

// scanner reads JSON (RFC 8259) as it comes, byte by byte, and tells of the values
// near its root. Its memory is bounded. It takes some documents that are not JSON, and
// reads each that is as other parsers do.
type scanner struct {
	// found is told a value by the keys that lead to it, joined by dots. Elements of
	// an array at the root are documents of their own; what is in other arrays is
	// passed over.
	found func(path string, k kind, content string)
	// ended is told the end of each document.
	ended func()

	state  state
	stack  []frame
	arrays int // in stack, but for one at its root
	broken bool
	over   bool // the value at the root is complete

	kept    []byte
	long    bool // more than maxText
	escape  bool // the byte before was a backslash
	escaped bool // kept has such
}

// frame is an object or array that is open.
type frame struct {
	array bool
	key   string // of an object: the one that was read last
}

// reset begins a new document.
func (s *scanner) reset() {
	*s = scanner{found: s.found, ended: s.ended, stack: s.stack[:0], kept: s.kept[:0]}
}

func (s *scanner) write(p []byte) {
	for _, c := range p {
		if s.broken {
			return
		}
		s.step(c)
	}
}

func (s *scanner) step(c byte) {
	switch s.state {
	case inKey, inText:
		s.inString(c)
		return
	case inScalar:
		if !strings.ContainsRune(",]} \t\r\n", rune(c)) {
			s.keep(c)
			return
		}
		s.tell(scalar)
		s.complete()
	}
	if c == ' ' || c == '\t' || c == '\r' || c == '\n' || s.broken {
		return
	}
	s.structure(c)
}

// structure takes a byte outside of strings and numbers.
func (s *scanner) structure(c byte) {
	switch {
	case s.over:
		s.broken = true
	case s.state == colon:
		s.expect(c == ':', value)
	case c == '}' && (s.state == firstKey || s.state == after):
		s.close(false)
	case c == ']' && (s.state == firstValue || s.state == after):
		s.close(true)
	case s.state == after:
		s.expect(c == ',', s.next())
	case s.state == key || s.state == firstKey:
		s.begin(inKey)
		s.broken = c != '"'
	default:
		s.beginValue(c)
	}
}

func (s *scanner) expect(ok bool, next state) { s.broken, s.state = !ok, next }

// next is what follows a comma.
func (s *scanner) next() state {
	if s.stack[len(s.stack)-1].array {
		return value
	}
	return key
}

func (s *scanner) begin(st state) {
	s.state, s.kept, s.long, s.escaped = st, s.kept[:0], false, false
}

func (s *scanner) beginValue(c byte) {
	switch {
	case c == '{':
		s.tell(object)
		s.open(frame{}, firstKey)
	case c == '[':
		s.tell(array)
		s.open(frame{array: true}, firstValue)
	case c == '"':
		s.begin(inText)
	case c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z':
		s.begin(inScalar)
		s.keep(c)
	default:
		s.broken = true
	}
}

func (s *scanner) open(f frame, next state) {
	if len(s.stack) == maxDepth {
		s.broken = true
		return
	}
	if f.array && len(s.stack) > 0 {
		s.arrays++
	}
	s.stack, s.state = append(s.stack, f), next
}

func (s *scanner) close(isArray bool) {
	last := len(s.stack) - 1
	if last < 0 || s.stack[last].array != isArray {
		s.broken = true
		return
	}
	s.stack = s.stack[:last]
	if isArray && last > 0 {
		s.arrays--
	}
	s.complete()
}

// complete ends a value.
func (s *scanner) complete() {
	s.state = after
	switch {
	case len(s.stack) == 0:
		s.over = true
		s.ended()
	case len(s.stack) == 1 && s.stack[0].array:
		s.ended()
	}
}

func (s *scanner) inString(c byte) {
	switch {
	case s.escape:
		s.escape = false
		s.keep(c)
	case c == '"':
		s.endString()
	default:
		s.escape = c == '\\'
		s.escaped = s.escaped || s.escape
		s.keep(c)
	}
}

func (s *scanner) endString() {
	if s.state == inKey {
		s.stack[len(s.stack)-1].key = s.content()
		s.state = colon
		return
	}
	s.tell(text)
	s.complete()
}

// keep keeps a byte of what is near enough to the root to be looked for.
func (s *scanner) keep(c byte) {
	if !s.watched() {
		return
	}
	if len(s.kept) == maxText {
		s.long = true
		return
	}
	s.kept = append(s.kept, c)
}

func (s *scanner) watched() bool { return s.arrays == 0 && len(s.stack) <= maxWatched }

// content gives what was kept; of what is too long, something that nothing is called.
func (s *scanner) content() string {
	if s.long || !s.watched() {
		return "\x00"
	}
	if !s.escaped {
		return string(s.kept)
	}
	var plain string
	if json.Unmarshal([]byte(`"`+string(s.kept)+`"`), &plain) != nil {
		s.broken = true
	}
	return plain
}

// tell reports a value that has a name.
func (s *scanner) tell(k kind) {
	if !s.watched() {
		return
	}
	var keys []string
	for _, f := range s.stack {
		if !f.array {
			keys = append(keys, f.key)
		}
	}
	if len(keys) == 0 {
		return
	}
	content := ""
	if k == text || k == scalar {
		content = s.content()
	}
	s.found(strings.Join(keys, "."), k, content)
}
