package meter

import "strings"

// Meter reads the body of one answer of a model's API. It is for one goroutine.
type Meter struct {
	dialect dialect
	found   document
	scanner scanner
	events  events

	form  form
	bytes int64

	model  string
	usage  Usage
	whole  bool // a document had all of it
	untrue bool // something that was said can't be true
}

// form is what an answer's body is.
type form byte

const (
	unknown form = iota
	oneBody
	stream
	coded
)

// New makes a meter for an answer in wire's format that came in a content coding; ""
// and "identity" are none. Of a format or coding that it doesn't know, everything is
// estimated, and it knows no coding: who asks a model for an answer asks for none.
func New(wire Wire, coding string) *Meter {
	m := &Meter{dialect: dialects[wire]}
	if coding != "" && !strings.EqualFold(coding, "identity") {
		m.form = coded
	}
	m.found = document{watch: m.dialect.watch, limit: MaxTokens}
	m.scanner = scanner{found: m.found.take, ended: m.endDocument}
	m.events = events{data: m.scanner.write, ended: m.nextEvent}
	return m
}

// Write reads the next piece of the body, without a content coding. It never fails.
func (m *Meter) Write(p []byte) (int, error) {
	m.bytes += int64(len(p))
	rest := p
	if m.form == unknown {
		rest = m.begin(p)
	}
	switch m.form {
	case oneBody:
		m.scanner.write(rest)
	case stream:
		m.events.write(rest)
	}
	return len(p), nil
}

// begin tells documents from events by the first byte that is no white space: no field
// of an event begins like JSON.
func (m *Meter) begin(p []byte) []byte {
	for i, c := range p {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case '{', '[':
			m.form = oneBody
		default:
			m.form = stream
		}
		return p[i:]
	}
	return nil
}

func (m *Meter) nextEvent() {
	m.scanner.reset()
	m.found.reset()
}

// endDocument takes what one whole document said.
func (m *Meter) endDocument() {
	d := &m.found
	if m.dialect.usage == nil {
		return
	}
	if m.model == "" {
		m.model = d.model
	}
	u, ok := m.dialect.usage(d)
	if d.untrue || !ok {
		m.untrue = true
	} else {
		m.usage = m.usage.largest(u)
		m.whole = m.whole || m.dialect.final(d, m.form == stream)
	}
	d.reset()
}

// Model gives what the upstream called the model, "" if it didn't.
func (m *Meter) Model() string { return m.model }

// Bytes is how much was written.
func (m *Meter) Bytes() int64 { return m.bytes }

// Usage tells what the call took that r asked for. Complete says that the answer came
// to its end.
func (m *Meter) Usage(r Request, complete bool) Usage {
	if complete && m.whole && !m.untrue && !m.torn() && m.usage.plausible(r.Bytes, m.bytes) {
		return m.usage
	}
	estimate := Estimate(r.Bytes, m.bytes)
	if m.form != stream && (m.form == coded || !complete || m.torn()) {
		// Nobody knows how long the answer was, or would have been: a model goes on
		// with what nobody waits for.
		estimate = estimate.largest(r.Most())
	}
	switch {
	case m.untrue:
		return estimate
	case complete && m.whole: // it is too little
		return estimate.largest(m.usage)
	}
	return m.atLeast(estimate, r.Bytes)
}

// torn tells of a document that doesn't end.
func (m *Meter) torn() bool { return m.form == oneBody && !m.scanner.over }

// atLeast keeps to what was said of the input, which comes first in a stream, unless
// it is too little for what was sent, and takes the larger number for the output.
func (m *Meter) atLeast(estimate Usage, sent int64) Usage {
	u := m.usage
	if u.read() == 0 || u.read() < sent/bytesOfAToken {
		u.Input = max(u.Input, estimate.Input)
	}
	u.Output = max(u.Output, estimate.Output)
	u.Estimated = true
	return u
}
