package decode

import (
	"compress/flate"
	"compress/zlib"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

const (
	// buffered is more than any decoder but zstd gives at once, so that a read which
	// doesn't fill it has emptied the decoder.
	buffered = 64 << 10

	// maxWindow is what RFC 8878 wants each decoder of zstd to bear.
	maxWindow = 8 << 20

	// symbol is more than the bytes of one symbol of deflate (48 bits), of which the
	// decoder may have given only a part.
	symbol = 8
)

// layer is what comes out at one depth; its decoder reads from the layer below.
type layer struct {
	d       *Decoder
	name    string
	depth   int // 0 is the body itself
	below   *layer
	src     io.Reader // the decoder; made when it is first read
	sniffed bool
	weak    bool // the two bytes that tell of it may be chance

	buf      []byte
	r, w     int
	err      error // after buf
	produced int64 // bytes given to the Sink
	handed   int64 // of them, bytes read by the layer above
	marks    []mark
}

// mark says that of the layer below, in bytes are settled once out bytes of this are.
type mark struct{ out, in int64 }

// fill reads the next bytes and gives them to the Sink.
func (l *layer) fill() {
	if l.err != nil {
		return
	}
	if l.src == nil {
		if l.src, l.err = l.decoder(); l.err != nil {
			l.err = l.failure(l.err)
			return
		}
	}
	l.r, l.w = 0, copy(l.buf, l.buf[l.r:l.w])
	n, err := l.src.Read(l.buf[l.w:])
	fresh := l.buf[l.w : l.w+n]
	full := len(fresh) == len(l.buf)-l.w
	l.w += n
	l.produced += int64(n)
	if n > 0 && l.depth > 0 {
		if l.err = l.give(fresh); l.err != nil {
			l.d.fail(l.err)
			return
		}
	}
	switch {
	case err != nil:
		l.err = l.failure(err)
	case !full: // else the decoder may hold more
		l.mark()
	}
}

// give gives p to the Sink, if it is within the bounds.
func (l *layer) give(p []byte) error {
	o := l.d.options
	if l.produced > o.MaxBytes || l.produced > slack && l.produced/o.MaxRatio > l.d.total {
		return l.fault(TooLarge, fmt.Errorf("%d bytes hold more than %d", l.d.total, l.produced-1))
	}
	return l.d.sink(l.depth, p)
}

func (l *layer) fault(kind Kind, err error) error {
	return &Fault{Kind: kind, Encoding: l.name, Depth: l.depth, Sniffed: l.sniffed, Err: err}
}

// failure makes a decoder's error one of ours. What is below may have failed before,
// and only the first error counts; that of a weak layer is none.
func (l *layer) failure(err error) error {
	switch {
	case l.depth == 0, l.d.err != nil:
		return err
	case err == io.EOF && l.below.peek(1) == nil:
		if l.d.err == nil {
			l.marks = append(l.marks, mark{l.produced, l.below.handed})
		}
		return io.EOF
	case err == io.EOF, err == errTrailing:
		err = l.fault(Trailing, nil)
	default:
		err = l.fault(Broken, err)
	}
	if !l.weak {
		l.d.fail(err)
	}
	return err
}

// mark notes what is settled below, after the decoder has given all it could.
func (l *layer) mark() {
	if l.depth == 0 {
		return
	}
	in := l.below.handed
	if l.name != brotliName && l.name != zstdName {
		in -= symbol
	}
	l.marks = append(l.marks, mark{l.produced, in})
	if len(l.marks) > 64 { // fewer marks only settle later
		l.marks = append(l.marks[:1], l.marks[33:]...)
	}
}

// settled gives how many bytes of the layer below are, when out bytes of this one are.
func (l *layer) settled(out int64) int64 {
	for len(l.marks) > 1 && l.marks[1].out <= out {
		l.marks = l.marks[1:]
	}
	if len(l.marks) == 0 || l.marks[0].out > out {
		return 0
	}
	return max(0, l.marks[0].in)
}

// Read gives bytes to the decoder of the layer above.
func (l *layer) Read(p []byte) (int, error) {
	for l.r == l.w {
		if l.err != nil {
			return 0, l.err
		}
		l.fill()
	}
	n := copy(p, l.buf[l.r:l.w])
	l.r += n
	l.handed += int64(n)
	return n, nil
}

// ReadByte is what makes decoders read no more than they need.
func (l *layer) ReadByte() (byte, error) {
	for l.r == l.w {
		if l.err != nil {
			return 0, l.err
		}
		l.fill()
	}
	l.r++
	l.handed++
	return l.buf[l.r-1], nil
}

// peek gives the next n bytes, at most magicBytes, without handing them out, or what there
// is before the end; nil is none.
func (l *layer) peek(n int) []byte {
	for l.w-l.r < n && l.err == nil {
		l.fill()
	}
	if l.r == l.w {
		return nil
	}
	return l.buf[l.r:min(l.w, l.r+n)]
}

// drain reads to the end, for the Sink alone.
func (l *layer) drain() error {
	for l.err == nil {
		l.r = l.w
		l.fill()
	}
	return l.err
}

// decoder makes the decoder, which may read a header.
func (l *layer) decoder() (io.Reader, error) {
	switch l.name {
	case gzipName:
		return newMembers(l.below)
	case zlibName:
		return zlib.NewReader(l.below)
	case deflateName:
		if isZlib(l.below.peek(2)) {
			return zlib.NewReader(l.below)
		}
		return flate.NewReader(l.below), nil
	case brotliName:
		return brotli.NewReader(l.below), nil
	case zstdName:
		return zstd.NewReader(l.below, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	}
	return nil, fmt.Errorf("no decoder is called %q", l.name)
}

func (l *layer) close() {
	if z, ok := l.src.(*zstd.Decoder); ok {
		z.Close()
	}
}
