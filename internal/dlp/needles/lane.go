package needles

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// block is how much of a chunk a lane takes at once.
const block = 8 << 10

// isAlnum is 1 for letters and digits of ASCII, isEscape for what begins an escape.
var (
	isAlnum  = table("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	isAny    = func() (t [256]uint8) { return [256]uint8(bytes.Repeat([]byte{1}, 256)) }()
	isEscape = table(`%\`)
)

func table(bytes string) (t [256]uint8) {
	for i := range len(bytes) {
		t[bytes[i]] = 1
	}
	return t
}

// lane is the end of the stream as one kind of index sees it: some bytes dropped,
// escapes undone or not.
type lane struct {
	index *index
	keep  *[256]uint8 // 1 for bytes that are kept
	undo  *[256]uint8 // 1 for what begins an escape; nil if none is undone

	buf  []byte   // kept bytes; of these, the first old have been looked at
	from []uint32 // offset of each, modulo 1<<32
	to   []uint32 // the same of its end; only where escapes are undone
	old  int
	pend []byte // an escape that the chunk has cut
	at   uint32 // offset of pend
	temp []byte // folded bytes around a probe
}

// add takes p, whose first byte has the offset at.
func (l *lane) add(p []byte, at uint32) {
	if l.undo == nil {
		l.copy(p, at)
		return
	}
	if len(l.pend) > 0 {
		l.pend = append(l.pend, p...)
		p, at = l.pend, l.at
		l.pend = nil
	}
	l.unescape(p, at, false)
}

// grow makes room for n kept bytes and the 8 that a probe may read on.
func (l *lane) grow(n int) {
	l.buf = slices.Grow(l.buf, n+8)
	l.from = slices.Grow(l.from, n)
	if l.undo != nil {
		l.to = slices.Grow(l.to, n)
	}
}

// copy takes the kept bytes of p.
func (l *lane) copy(p []byte, at uint32) {
	l.grow(len(p))
	n := len(l.buf)
	buf, from := l.buf[n:n+len(p)], l.from[n:n+len(p)]
	k := 0
	for i := 0; i < len(p); i++ {
		c := p[i]
		buf[k], from[k] = c, at+uint32(i)
		k += int(l.keep[c])
		if k >= len(buf) {
			break // only with the last byte of p
		}
	}
	l.buf, l.from = l.buf[:n+k], l.from[:n+k]
	if l.undo != nil {
		for _, f := range l.from[n:] {
			l.to = append(l.to, f+1)
		}
	}
}

// unescape takes the kept bytes of p with escapes undone. Unless it is the last, an
// escape that p cuts waits.
func (l *lane) unescape(p []byte, at uint32, last bool) {
	for len(p) > 0 {
		plain := next(l.undo, p)
		l.copy(p[:plain], at)
		p, at = p[plain:], at+uint32(plain)
		for len(p) > 0 && l.undo[p[0]] == 1 {
			value, n, ok := undo(p, last)
			if !ok {
				l.pend, l.at = bytes.Clone(p), at
				return
			}
			l.put(value, at, at+uint32(n))
			p, at = p[n:], at+uint32(n)
		}
	}
}

// next gives the number of bytes before the first one that is in the set.
func next(set *[256]uint8, p []byte) int {
	for i, c := range p {
		if set[c] == 1 {
			return i
		}
	}
	return len(p)
}

// put takes the bytes of one character that stood from one offset to another.
func (l *lane) put(r rune, from, to uint32) {
	var b [utf8.UTFMax]byte
	n := 1
	if r >= lone {
		b[0] = byte(r - lone)
	} else {
		n = utf8.EncodeRune(b[:], r)
	}
	for _, c := range b[:n] {
		if l.keep[c] == 1 {
			l.buf, l.from, l.to = append(l.buf, c), append(l.from, from), append(l.to, to)
		}
	}
}

// end gives the offset after kept byte i.
func (l *lane) end(i int) uint32 {
	if l.undo != nil {
		return l.to[i]
	}
	return l.from[i] + 1
}

// escaped tells whether an escape stood for any of the kept bytes.
func (l *lane) escaped(first, last int) bool {
	for i := first; l.undo != nil && i < last; i++ {
		if l.to[i]-l.from[i] != 1 {
			return true
		}
	}
	return false
}

// look calls found for each match that what was added since the last call completes:
// the kept bytes from first to last.
func (l *lane) look(found func(who id, first, last int)) {
	l.buf = slices.Grow(l.buf, 8)
	n := len(l.buf)
	clear(l.buf[n : n+8])
	done := 0 // windows that begin before have been looked at
	l.index.probe(l.buf[:n+8], n, func(p int) { done = l.around(p, done, found) })
	drop := max(0, n-l.index.tail)
	l.buf = l.buf[:copy(l.buf, l.buf[drop:])]
	l.from = l.from[:copy(l.from, l.from[drop:])]
	if l.undo != nil {
		l.to = l.to[:copy(l.to, l.to[drop:])]
	}
	l.old = len(l.buf)
}

// around looks at all matches that hold the q-gram at p, but for windows that begin
// before done. It gives the new done.
func (l *lane) around(p, done int, found func(who id, first, last int)) int {
	x := l.index
	reach := x.tail + 1 - x.gram
	low, high := max(0, p-reach), min(len(l.buf), p+x.gram+reach)
	l.temp = append(l.temp[:0], l.buf[low:high]...)
	for i := range l.temp {
		l.temp[i] |= fold
	}
	for _, length := range x.lengths {
		for s := max(low, p+x.gram-length, l.old-length+1); s <= p && s+length <= high; s++ {
			for _, w := range x.wholes[string(l.temp[s-low:s-low+length])] {
				if w.is(l.buf[s : s+length]) {
					found(w.id, s, s+length)
				}
			}
		}
	}
	gram := l.temp[p-low : p-low+x.gram]
	if len(x.windows.Lookup(gram, 1)) == 0 {
		return done
	}
	s := max(done, low, p+x.gram-Window, l.old-Window+1)
	for ; s <= p && s+Window <= high; s++ {
		if who, ok := x.window(l.temp[s-low : s-low+Window]); ok {
			found(who, s, s+Window)
		}
	}
	return max(done, s)
}

// is tells whether b, which is w but for case, is w. Hex has no case.
func (w whole) is(b []byte) bool {
	return w.id.kind == Hex || w.text == string(b)
}

// held gives how many bytes before the stream's end may be the beginning of a match,
// where at is the offset of that end, unless fewer than lead of them are kept.
func (l *lane) held(at uint32, lead int) uint32 {
	var held uint32
	if len(l.pend) > 0 {
		held = at - l.at
	}
	b := bytes.Clone(l.buf)
	for i := range b {
		b[i] |= fold
	}
	if k := l.index.beginning(b); k > 0 && k >= lead {
		held = max(held, at-l.from[len(l.from)-k])
	}
	return held
}
