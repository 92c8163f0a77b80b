package needles

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// Match is a place of a secret in a stream. It holds nothing of the secret.
type Match struct {
	Name  string // of the secret
	Form  Form
	Start int64 // offset of the first byte in the stream
	End   int64 // offset after the last byte
}

// String gives the name, the form and the place.
func (m Match) String() string {
	return fmt.Sprintf("[secret %s] as %s at %d to %d", m.Name, m.Form, m.Start, m.End)
}

// Merge sorts matches by secret, form and place and joins those that overlap: what of a
// secret came in several chunks is one match then.
func Merge(matches []Match) []Match {
	list := slices.Clone(matches)
	slices.SortFunc(list, func(a, b Match) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Form, b.Form), cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End))
	})
	merged := list[:0]
	for _, m := range list {
		if n := len(merged) - 1; n >= 0 && merged[n].Name == m.Name && merged[n].Form == m.Form && m.Start <= merged[n].End {
			merged[n].End = max(merged[n].End, m.End)
		} else {
			merged = append(merged, m)
		}
	}
	return merged
}

// Matcher looks at one stream. It is for one goroutine at a time, needs no closing, and
// has some 100 KiB.
type Matcher struct {
	views  []view
	lead   int
	offset int64 // bytes seen
	found  []Match
}

// view is one index's two lanes.
type view struct {
	raw    lane
	undone lane
	// alike tells that no escape was undone in what undone holds, so that it holds
	// what raw does, and is left empty.
	alike bool
}

// Stream gives a Matcher for a new stream.
func (s *Set) Stream() *Matcher {
	m := &Matcher{lead: s.lead}
	if s.loose != nil {
		m.views = append(m.views, newView(s.loose, &looseClasses, false))
	}
	if s.exact != nil {
		m.views = append(m.views, newView(s.exact, &exactClasses, true))
	}
	return m
}

func newView(x *index, c *classes, all bool) view {
	return view{raw: lane{index: x, class: &c.raw, all: all}, undone: lane{index: x, class: &c.undone, all: all, undo: true}, alike: true}
}

// Write takes the next bytes of the stream and gives the matches that these complete. A
// match that goes on in the next bytes is reported again then, with a later end; it may
// begin before these bytes, and before what Safe had said. p is not kept.
func (m *Matcher) Write(p []byte) []Match {
	m.found = nil
	for len(p) > 0 {
		n := min(len(p), block)
		for i := range m.views {
			m.view(&m.views[i], p[:n])
		}
		m.offset += int64(n)
		p = p[n:]
	}
	return Merge(m.found)
}

// Close tells that the stream has ended, and gives the matches that this completes: an
// escape that was cut off by it is none.
func (m *Matcher) Close() []Match {
	m.found = nil
	for i := range m.views {
		if l := &m.views[i].undone; len(l.pend) > 0 {
			rest := l.pend
			l.pend = nil
			l.unescape(rest, l.at, true, true)
			m.look(l, m.offset)
		}
	}
	return Merge(m.found)
}

// Safe gives the number of bytes, at the end of what was written, that may be the
// beginning of a match. All before them may be passed on, if there was no match in it.
func (m *Matcher) Safe() int {
	var held uint32
	for i := range m.views {
		v := &m.views[i]
		held = max(held, v.raw.held(uint32(m.offset), m.lead))
		if !v.alike {
			held = max(held, v.undone.held(uint32(m.offset), m.lead))
		}
	}
	return int(min(int64(held), m.offset))
}

func (m *Matcher) view(v *view, p []byte) {
	at := uint32(m.offset)
	if v.alike && (bytes.IndexByte(p, '%') >= 0 || bytes.IndexByte(p, '\\') >= 0) {
		v.alike = false
		v.undone.follow(&v.raw)
	}
	v.raw.add(p, at)
	m.look(&v.raw, m.offset+int64(len(p)))
	if !v.alike {
		v.undone.add(p, at)
		m.look(&v.undone, m.offset+int64(len(p)))
		v.alike = v.undone.same(&v.raw)
	}
}

// follow makes l, which is to undo escapes, hold what raw does.
func (l *lane) follow(raw *lane) {
	l.resize(len(raw.buf))
	copy(l.buf, raw.buf)
	for i, from := range raw.from {
		l.from[i], l.to[i] = from, from+1
	}
	l.old = raw.old
}

// same tells whether l holds what raw does.
func (l *lane) same(raw *lane) bool {
	return len(l.pend) == 0 && bytes.Equal(l.buf, raw.buf) && slices.Equal(l.from, raw.from) && !l.escaped(0, len(l.buf))
}

// look gathers the matches of l, where end is the offset after what was added.
func (m *Matcher) look(l *lane, end int64) {
	l.look(func(who id, first, last int) {
		l.place()
		kind := who.kind
		if kind == Plain && l.escaped(first, last) {
			kind = Escaped
		}
		m.found = append(m.found, Match{
			Name: who.name, Form: kind,
			Start: absolute(l.from[first], end), End: absolute(l.end(last-1), end),
		})
		if len(m.found) >= 4096 { // a stream full of a secret
			m.found = Merge(m.found)
		}
	})
}

// absolute gives the offset, at or before end, of which the low half is known. Of the
// beginning of a match that has 4 GiB, it gives a later one.
func absolute(low uint32, end int64) int64 { return end - int64(uint32(end)-low) }
