package decode

import (
	"errors"
	"fmt"
	"io"
	"iter"
)

// MaxDepth is how many encodings are undone. Two is what a proxy that compresses a
// compressed upload makes; nobody makes three by accident.
const MaxDepth = 2

// Options bound what comes out at any depth. A zero is the default.
type Options struct {
	// MaxBytes bounds the decoded bytes; by default 1 GiB.
	MaxBytes int64
	// MaxRatio bounds them by the bytes that came in, after the first 1 MiB; by default
	// 200, where text as repetitive as logs has some 30, and deflate's most is 1032.
	MaxRatio int64
}

// slack is what any body may grow to. It is scanned in milliseconds.
const slack = 1 << 20

// Sink gets what comes out at a depth, from 1, in order. It must not keep p. Its error
// ends the decoding, and is what Write returns.
type Sink func(depth int, p []byte) error

// errStopped ends a decoder of which no more is wanted.
var errStopped = errors.New("the decoder is closed")

// Decoder undoes the encodings of one body. It is for one goroutine at a time, and
// has to be closed.
type Decoder struct {
	options Options
	sink    Sink
	in      []byte // what Write brought and was not read yet
	total   int64  // what Write brought
	ended   bool
	layers  []*layer // the first is the body itself
	names   []string // declared, and not yet begun
	wants   func() bool

	step func() (struct{}, bool) // runs until input is wanted; false at the end
	stop func()
	err  error // how it ended; io.EOF if it did well
}

// New gives a decoder of a body with the Content-Encoding, which may be empty. The error
// is a *Fault.
func New(contentEncoding string, o Options, sink Sink) (*Decoder, error) {
	names, err := declared(contentEncoding)
	if err != nil {
		return nil, err
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 1 << 30
	}
	if o.MaxRatio <= 0 {
		o.MaxRatio = 200
	}
	d := &Decoder{options: o, sink: sink, names: names}
	d.layers = []*layer{{d: d, src: (*body)(d), buf: make([]byte, buffered+magicBytes)}}
	d.step, d.stop = iter.Pull(d.run)
	return d, nil
}

// Write takes the next bytes of the body, and has given what could be decoded to the
// Sink when it returns. The error is a *Fault or the Sink's, and stays.
func (d *Decoder) Write(p []byte) (int, error) {
	if d.err == nil {
		d.in, d.total = p, d.total+int64(len(p))
		d.step()
		d.in = nil
	}
	if d.err != nil {
		return 0, d.failure()
	}
	return len(p), nil
}

// Finish tells that the body has ended, and gives the Sink the rest. The error is that
// of Write; a stream that was cut off is a *Fault.
func (d *Decoder) Finish() error {
	d.ended = true
	if d.err == nil {
		d.step()
	}
	if d.err == io.EOF {
		return nil
	}
	return d.failure()
}

func (d *Decoder) failure() error {
	if d.err == io.EOF {
		return errStopped
	}
	return d.err
}

// Close lets go of what the decoder holds.
func (d *Decoder) Close() {
	if d.err == nil {
		d.err = errStopped
	}
	d.stop()
}

// Settled gives the number of bytes of the body of which all that they hold was given
// to the Sink. It is all of them where nothing is encoded; else, what comes after may
// hold the last 32 KiB (gzip, deflate), 128 KiB (zstd) or nothing (br) of the decoded.
func (d *Decoder) Settled() int64 {
	i := len(d.layers) - 1
	at := d.layers[i].produced
	if i == 0 {
		at = d.total
	}
	for ; i > 0; i-- {
		at = d.layers[i].settled(at)
	}
	return at
}

// run decodes all, in a coroutine that body.Read leaves when input is wanted.
func (d *Decoder) run(yield func(struct{}) bool) {
	d.wants = func() bool { return yield(struct{}{}) }
	defer func() {
		if r := recover(); r != nil { // a decoder's own fault is the stream's to us
			d.fail(&Fault{Kind: Broken, Encoding: d.last().name, Depth: d.depth(), Err: fmt.Errorf("the decoder gave up: %v", r)})
		}
		for _, l := range d.layers {
			l.close()
		}
	}()
	d.fail(d.decode())
}

// fail keeps the first error.
func (d *Decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *Decoder) last() *layer { return d.layers[len(d.layers)-1] }
func (d *Decoder) depth() int   { return len(d.layers) - 1 }

// decode adds the layers as they are known and reads the last one to its end. It gives
// io.EOF if all went well.
func (d *Decoder) decode() error {
	if err := d.deeper(); err != nil {
		return err
	}
	l := d.last()
	err := l.drain()
	if d.err != nil || err == io.EOF || !l.weak {
		return err
	}
	d.layers = d.layers[:len(d.layers)-1] // it was no zlib; what it has read was given
	l.close()
	return d.last().drain()
}

// deeper adds a layer for each encoding that is declared, and then sniffed.
func (d *Decoder) deeper() error {
	for _, name := range d.names {
		if d.last().peek(1) == nil && d.err == nil {
			return nil // nothing, encoded as nothing
		}
		d.add(name, false)
	}
	for {
		name, undoing := sniff(d.last().peek(magicBytes))
		fault := &Fault{Encoding: name, Depth: d.depth() + 1, Sniffed: true}
		switch {
		case d.err != nil:
			return d.err
		case name == "":
			return nil
		case !undoing:
			fault.Kind = Unknown
			return fault
		case d.depth() == MaxDepth && name == zlibName:
			return nil // two bytes of text may look like that
		case d.depth() == MaxDepth:
			fault.Kind = TooDeep
			return fault
		}
		d.add(name, true)
	}
}

func (d *Decoder) add(name string, sniffed bool) {
	d.layers = append(d.layers, &layer{
		d: d, name: name, depth: d.depth() + 1, below: d.last(), buf: make([]byte, buffered+magicBytes),
		sniffed: sniffed, weak: sniffed && name == zlibName,
	})
}

// body reads what Write brings.
type body Decoder

func (b *body) Read(p []byte) (int, error) {
	for len(b.in) == 0 {
		if b.ended {
			return 0, io.EOF
		}
		if !b.wants() {
			return 0, errStopped
		}
	}
	n := copy(p, b.in)
	b.in = b.in[n:]
	return n, nil
}
