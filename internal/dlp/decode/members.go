package decode

import (
	"compress/gzip"
	"errors"
	"io"
)

// errTrailing says that something that is no member comes after those of a gzip.
var errTrailing = errors.New("no member of a gzip comes next")

// members reads the members of a gzip (RFC 1952, 2.2). gzip.Reader would look for the next
// one before it gives the last bytes of one.
type members struct {
	z     *gzip.Reader
	below *layer
	ended bool // a member has, and whether there is another is not known
}

func newMembers(below *layer) (*members, error) {
	z, err := gzip.NewReader(below)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return &members{z: z, below: below}, nil
}

// Read gives errTrailing after the last member if there is more.
func (m *members) Read(p []byte) (int, error) {
	if m.ended {
		if m.below.peek(1) == nil {
			return 0, io.EOF
		}
		if err := m.z.Reset(m.below); err != nil {
			return 0, errTrailing
		}
		m.z.Multistream(false)
		m.ended = false
	}
	n, err := m.z.Read(p)
	if err == io.EOF {
		m.ended = true
		err = nil
	}
	return n, err
}
