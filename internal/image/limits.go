package image

import (
	"fmt"
	"io"

	"github.com/bot-bottle/action/internal/term"
)

// Limits bound an image while it is unpacked. A zero field is its default.
type Limits struct {
	Bytes   int64 // of all layers together, uncompressed, as tar streams
	Entries int   // of all layers together
	Layers  int
}

// Large tool images have a few hundred thousand files in some ten gigabytes;
// Docker itself stops at 127 layers.
const (
	defaultBytes   = 32 << 30
	defaultEntries = 2_000_000
	defaultLayers  = 127
)

// Bounds of one name: those of Linux file systems (path_resolution(7), NAME_MAX,
// PATH_MAX), and a depth that nobody's tree has.
const (
	maxName  = 255
	maxPath  = 4095
	maxDepth = 128
)

func (l Limits) withDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = defaultBytes
	}
	if l.Entries == 0 {
		l.Entries = defaultEntries
	}
	if l.Layers == 0 {
		l.Layers = defaultLayers
	}
	return l
}

// errTooLarge is what a stream gives that has passed its bound.
type errTooLarge struct{ limit int64 }

func (e errTooLarge) Error() string {
	return fmt.Sprintf("it has more than %s", term.Bytes(e.limit))
}

// budget is what is left of Limits.
type budget struct {
	limits   Limits
	bytes    int64
	count    int
	progress func(int64) // told of bytes; may be nil
}

// reader passes on what r gives until the bytes are used up.
func (b *budget) reader(r io.Reader) io.Reader { return &boundedReader{r, b} }

func (b *budget) entry() error {
	if b.count++; b.count > b.limits.Entries {
		return fmt.Errorf("it has more than %d entries", b.limits.Entries)
	}
	return nil
}

type boundedReader struct {
	r io.Reader
	b *budget
}

func (r *boundedReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if r.b.bytes += int64(n); r.b.bytes > r.b.limits.Bytes {
		return 0, errTooLarge{r.b.limits.Bytes}
	}
	if r.b.progress != nil {
		r.b.progress(r.b.bytes)
	}
	return n, err
}
