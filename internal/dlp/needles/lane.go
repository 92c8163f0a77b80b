package needles

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

const (
	// block is how much of a chunk a lane takes at once; with what it keeps of that, it
	// stays in a processor's first cache.
	block = 16 << 10
	// placed is how much of the end of a block is taken with the places of its bytes,
	// as the next block may need them. More is taken so where there is a match.
	placed = 512
)

// Classes of bytes in a lane.
const (
	drop   = 0
	keep   = 1
	escape = 2 // begins an escape that is undone
)

// classes are the tables of a kind of lane.
type classes struct {
	raw, undone [256]uint8
}

const alnum = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

var (
	looseClasses = classes{table(drop, alnum, ""), table(drop, alnum, `%\`)}
	exactClasses = classes{table(keep, "", ""), table(keep, "", `%\`)}
)

func table(others uint8, kept, escapes string) (t [256]uint8) {
	for i := range t {
		t[i] = others
	}
	for i := range len(kept) {
		t[kept[i]] = keep
	}
	for i := range len(escapes) {
		t[escapes[i]] = escape
	}
	return t
}

// lane is the end of the stream as one kind of index sees it: some bytes dropped,
// escapes undone or not.
type lane struct {
	index *index
	class *[256]uint8
	undo  bool // whether class has escapes
	all   bool // whether class drops nothing

	buf  []byte   // kept bytes; of these, the first old have been looked at
	from []uint32 // offset of each, modulo 1<<32
	to   []uint32 // the same of its end; only where escapes are undone
	old  int
	pend []byte // an escape that the chunk has cut
	at   uint32 // offset of pend
	temp []byte // folded bytes around a probe

	block   []byte // what was added last
	start   uint32 // its offset
	before  cut    // pend and at before it
	unknown bool   // whether from and to of what it added are not yet known
}

// cut is an escape that was cut off.
type cut struct {
	pend []byte
	at   uint32
}

// add takes p, whose first byte has the offset at. It keeps p until the next look.
func (l *lane) add(p []byte, at uint32) {
	l.block, l.start, l.before = p, at, cut{l.pend, l.at}
	head := max(0, len(p)-placed)
	if head < placed {
		head = 0 // not worth it
	}
	l.unknown = head > 0
	l.take(p[:head], at, false)
	n := len(l.buf)
	l.take(p[head:], at+uint32(head), true)
	if l.unknown && len(l.buf)-n < l.index.tail {
		l.place()
	}
}

// place finds out where all of the last block's bytes come from.
func (l *lane) place() {
	if !l.unknown {
		return
	}
	l.unknown = false
	l.resize(l.old)
	l.pend, l.at = l.before.pend, l.before.at
	l.take(l.block, l.start, true)
}

func (l *lane) take(p []byte, at uint32, places bool) {
	if len(l.pend) > 0 {
		p, at = slices.Concat(l.pend, p), l.at
		l.pend = nil
	}
	if l.undo {
		l.unescape(p, at, places, false)
	} else {
		l.reserve(len(p))
		l.copy(p, at, places)
	}
}

// resize gives all slices the length n, and room for the 8 bytes that a probe may
// read on.
func (l *lane) resize(n int) {
	l.reserve(n - len(l.buf))
	l.buf, l.from = l.buf[:n], l.from[:n]
	if l.undo {
		l.to = l.to[:n]
	}
}

// reserve makes room for more kept bytes.
func (l *lane) reserve(more int) {
	more = max(0, more)
	l.buf = slices.Grow(l.buf, more+8)
	l.from = slices.Grow(l.from, more)
	if l.undo {
		l.to = slices.Grow(l.to, more)
	}
}

// copy takes the kept bytes of p up to an escape, and gives how many bytes there were.
// There has to be room for them.
func (l *lane) copy(p []byte, at uint32, places bool) int {
	n := len(l.buf)
	room := l.buf[n : n+len(p)]
	var k, done int
	switch {
	case places:
		k, done = l.copyPlaces(n, p, at)
	case l.all:
		done = len(p)
		if l.undo {
			done = next(l.class, p)
		}
		k = copy(room, p[:done])
	default:
		k, done = pick(room, p, l.class)
	}
	l.buf, l.from = l.buf[:n+k], l.from[:n+k]
	if l.undo {
		l.to = l.to[:n+k]
	}
	return done
}

// pick copies the kept bytes of p to buf, which is as long, up to an escape. It gives
// the number of bytes copied and seen.
func pick(buf, p []byte, class *[256]uint8) (k, done int) {
	for i, c := range p {
		v := class[c]
		if v == escape {
			return k, i
		}
		buf[k] = c
		k += int(v)
	}
	return k, len(p)
}

// copyPlaces is pick with the places.
func (l *lane) copyPlaces(n int, p []byte, at uint32) (k, done int) {
	buf, from, to := l.buf[n:n+len(p)], l.from[n:n+len(p)], l.to[:0]
	if l.undo {
		to = l.to[n : n+len(p)]
	}
	for i, c := range p {
		v := l.class[c]
		if v == escape {
			return k, i
		}
		buf[k], from[k] = c, at+uint32(i)
		if l.undo {
			to[k] = at + uint32(i) + 1
		}
		k += int(v)
	}
	return k, len(p)
}

// unescape takes the kept bytes of p with escapes undone. Unless it is the last, an
// escape that p cuts waits.
func (l *lane) unescape(p []byte, at uint32, places, last bool) {
	l.reserve(len(p)) // a character is no longer than its escape
	for len(p) > 0 {
		done := l.copy(p, at, places)
		p, at = p[done:], at+uint32(done)
		for len(p) > 0 && l.class[p[0]] == escape {
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

// next gives the number of bytes before the first escape.
func next(class *[256]uint8, p []byte) int {
	for i, c := range p {
		if class[c] == escape {
			return i
		}
	}
	return len(p)
}

// put takes the bytes of one character that stood from one offset to another.
func (l *lane) put(r rune, from, to uint32) {
	switch {
	case r < utf8.RuneSelf:
		l.putByte(byte(r), from, to)
	case r >= lone:
		l.putByte(byte(r-lone), from, to)
	default:
		for _, c := range utf8.AppendRune(nil, r) {
			l.putByte(c, from, to)
		}
	}
}

func (l *lane) putByte(c byte, from, to uint32) {
	if l.all || l.class[c] == keep {
		l.buf, l.from, l.to = append(l.buf, c), append(l.from, from), append(l.to, to)
	}
}

// end gives the offset after kept byte i.
func (l *lane) end(i int) uint32 {
	if l.undo {
		return l.to[i]
	}
	return l.from[i] + 1
}

// escaped tells whether an escape stood for any of the kept bytes.
func (l *lane) escaped(first, last int) bool {
	for i := first; l.undo && i < last; i++ {
		if l.to[i]-l.from[i] != 1 {
			return true
		}
	}
	return false
}

// look calls found for each match that what was added since the last call completes:
// the kept bytes from first to last.
func (l *lane) look(found func(who id, first, last int)) {
	n := len(l.buf)
	clear(l.buf[n : n+8]) // which reserve has made
	done := 0             // windows that begin before have been looked at
	l.index.probe(l.buf[:n+8], n, func(p int) { done = l.around(p, done, found) })
	gone := max(0, n-l.index.tail)
	copy(l.buf, l.buf[gone:])
	copy(l.from, l.from[gone:])
	if l.undo {
		copy(l.to, l.to[gone:])
	}
	l.resize(n - gone)
	l.old, l.block = n-gone, nil
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
