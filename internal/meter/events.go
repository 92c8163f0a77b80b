package meter

import "bytes"

// events takes the data out of a stream of server-sent events (WHATWG HTML, section
// 9.2), as it comes. Lines end with CR, LF or both.
type events struct {
	data  func([]byte) // a piece of an event's data
	ended func()       // the event is complete

	name    []byte // of the field, as far as it was read
	in      place  // of the line
	cr      bool   // the byte before was a CR
	hasData bool
}

// place is a part of a line.
type place byte

const (
	inName place = iota
	inData
	inOther
)

var dataField = []byte("data")

func (e *events) write(p []byte) {
	for len(p) > 0 {
		if e.in != inName {
			n := bytes.IndexAny(p, "\r\n")
			if n < 0 {
				n = len(p)
			}
			if e.in == inData {
				e.data(p[:n])
			}
			p = p[n:]
		}
		if len(p) > 0 {
			e.step(p[0])
			p = p[1:]
		}
	}
}

// step takes one byte: of a field's name, or the end of a line.
func (e *events) step(c byte) {
	wasCR := e.cr
	e.cr = c == '\r'
	switch {
	case c == '\n' && wasCR: // the line has ended
	case c == '\n' || c == '\r':
		e.endLine()
	case c == ':' && bytes.Equal(e.name, dataField):
		e.in = inData
	case c == ':' || len(e.name) == len(dataField):
		e.in = inOther
	default:
		e.name = append(e.name, c)
	}
}

func (e *events) endLine() {
	switch {
	case e.in == inData:
		e.data([]byte("\n"))
		e.hasData = true
	case e.in == inName && len(e.name) == 0 && e.hasData:
		e.ended()
		e.hasData = false
	}
	e.in, e.name = inName, e.name[:0]
}
