package dlp

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/bot-bottle/action/internal/dlp/needles"
	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/policy"
)

// chunk is what is read and looked at at once.
const chunk = 32 << 10

// maxHeld bounds what is held back because it may be the beginning of a secret: between
// two of its letters anything may stand, as long as somebody likes.
const maxHeld = 64 << 10

// Stream looks at a body, or one direction of a WebSocket.
func (s *Scanner) Stream(route *policy.Route, header http.Header, d egress.Direction, stream io.Reader, warn func(string)) io.Reader {
	switch {
	case d == egress.Downstream:
		return s.answered(route, header, stream, warn)
	case !looksAtAll(route) && !route.WarnsOfEntropy():
		return stream
	case webSocket(header):
		return &reader{from: stream, look: s.frames(route, warn)}
	case !looksAtAll(route):
		return &reader{from: stream, look: s.outbound(route, warn)} // as it is: nothing is refused
	}
	return &reader{from: stream, look: &body{s: s, route: route, encoding: encodingOf(header), warn: warn}}
}

// looker looks at the bytes of a stream, in their order. It may change held, which is
// all that it was given and that was not passed on, and whose last bytes are new. It
// says how many bytes at the end may not be passed on yet.
type looker interface {
	see(held []byte, fresh int) (keep int, err error)
	end(held []byte) error // the stream is over
}

// reader passes on what its looker lets pass.
type reader struct {
	mu     sync.Mutex
	closed atomic.Bool
	from   io.Reader
	look   looker
	held   []byte
	ready  int // of held, that may be passed on
	err    error
}

// Close lets go of what the looker holds, at once or when the Read that hangs is over.
func (r *reader) Close() error {
	r.closed.Store(true)
	r.letGo()
	return nil
}

func (r *reader) letGo() {
	if !r.closed.Load() || !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = errClosed
	}
	if l, ok := r.look.(interface{ close() }); ok {
		l.close()
	}
}

// errClosed is what a stream gives after Close.
var errClosed = errors.New("the stream is closed")

// Read gives bytes that were looked at.
func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	n, err := r.read(p)
	r.mu.Unlock()
	r.letGo() // Close may have come in between
	return n, err
}

func (r *reader) read(p []byte) (int, error) {
	for r.ready == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.held[:r.ready])
	r.held = append(r.held[:0], r.held[n:]...)
	r.ready -= n
	return n, nil
}

// fill reads once, and looks.
func (r *reader) fill() {
	before := len(r.held)
	r.held = append(r.held, make([]byte, chunk)...)
	n, err := r.from.Read(r.held[before:])
	r.held = r.held[:before+n]
	if n > 0 {
		keep, seen := r.look.see(r.held, n)
		if seen != nil {
			r.held, r.err = nil, seen
			return
		}
		r.ready = len(r.held) - min(keep, len(r.held))
	}
	if err == nil {
		return
	}
	if errors.Is(err, io.EOF) {
		if seen := r.look.end(r.held); seen != nil {
			r.held, r.ready, r.err = nil, 0, seen
			return
		}
		r.ready = len(r.held)
	}
	r.err = err
}

// place finds matches in what is held of a stream.
type place struct {
	m  *needles.Matcher
	at int64 // bytes seen
}

// write takes the fresh bytes of held, and gives the matches that these complete.
func (p *place) write(held []byte, fresh int) []needles.Match {
	p.at += int64(fresh)
	return p.m.Write(held[len(held)-fresh:])
}

// safe gives how many bytes at the end may be the beginning of a match.
func (p *place) safe() int { return min(p.m.Safe(), maxHeld) }

// missed gives how many bytes of a match were passed on before.
func (p *place) missed(m needles.Match, held []byte) int {
	return int(max(0, p.at-int64(len(held))-m.Start))
}

// mask makes a match unreadable, as far as it is held.
func (p *place) mask(m needles.Match, held []byte) {
	from := p.at - int64(len(held))
	mask(held[max(0, m.Start-from):max(0, m.End-from)])
}

// overlap is what of a stream is looked at again by gitleaks' rules, with what follows
// it: a private key has some 3 KiB.
const overlap = 4 << 10

// outbound looks at what a guest sends.
type outbound struct {
	place
	s     *Scanner
	route *policy.Route
	tail  []byte // the last of what was seen
	// refuses says that nothing can be made unreadable in its place.
	refuses bool
	entropy *entropy // nil: it is not looked for
}

// outbound looks at a text; with warn, which may be nil, also for what looks random.
func (s *Scanner) outbound(route *policy.Route, warn func(string)) *outbound {
	o := &outbound{place: place{m: s.known.Stream()}, s: s, route: route}
	if warn != nil && route.WarnsOfEntropy() {
		o.entropy = &entropy{warn: warn}
	}
	return o
}

const inBody = "the body of the request"

func (o *outbound) see(held []byte, fresh int) (keep int, err error) {
	if o.entropy != nil {
		o.entropy.see(held[len(held)-fresh:])
	}
	if keep, err = o.known(held, fresh); err == nil {
		err = o.patterns(held[len(held)-fresh:])
	}
	return keep, err
}

// known looks for the run's secrets. One of which more than Lead has been passed on can't
// be made unreadable any more.
func (o *outbound) known(held []byte, fresh int) (keep int, err error) {
	if !looks(o.route, policy.DetectorKnown) {
		return 0, nil
	}
	for _, m := range o.write(held, fresh) {
		if o.refuses || o.route.OnMatch() != policy.OnMatchRedact || o.missed(m, held) > Lead {
			if err := o.s.decideKnown(o.route, []needles.Match{m}, inBody); err != nil {
				return 0, err
			}
			continue
		}
		o.mask(m, held)
	}
	return o.safe(), nil
}

func (o *outbound) end([]byte) error {
	return o.s.decideKnown(o.route, o.m.Close(), inBody)
}

// patterns looks at fresh bytes and those before them. What is found is refused: of a
// stream, the beginning may have gone.
func (o *outbound) patterns(fresh []byte) error {
	if !looks(o.route, policy.DetectorPatterns) {
		return nil
	}
	text := append(o.tail, fresh...)
	found, err := o.s.rules(text)
	if err != nil {
		return broken(err)
	}
	if err := o.s.decidePatterns(o.route, found, inBody); err != nil {
		return err
	}
	o.tail = append(o.tail[:0], text[max(0, len(text)-overlap):]...)
	return nil
}

// reflected masks tokens in what comes back.
type reflected struct{ place }

func (r *reflected) see(held []byte, fresh int) (keep int) {
	for _, m := range r.write(held, fresh) {
		r.mask(m, held)
	}
	return r.safe()
}

func (r *reflected) end(held []byte) {
	for _, m := range r.m.Close() {
		r.mask(m, held)
	}
}
