package dlp

import (
	"errors"
	"io"
	"net/http"

	"github.com/bot-bottle/action/internal/dlp/needles"
	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/policy"
)

// chunk is what is read and looked at at once.
const chunk = 32 << 10

// Stream looks at a body, or one direction of a WebSocket.
func (s *Scanner) Stream(route *policy.Route, request *http.Request, d egress.Direction, stream io.Reader) io.Reader {
	if d == egress.Downstream {
		if route.Auth == nil {
			return stream
		}
		return &reader{from: stream, look: &reflected{m: s.tokens.Stream()}}
	}
	if !looks(route, policy.DetectorKnown) && !looks(route, policy.DetectorPatterns) {
		return stream
	}
	l := &outbound{s: s, route: route, m: s.known.Stream()}
	if webSocket(request) {
		return &reader{from: stream, look: &frames{text: l}}
	}
	if encoded(request) {
		return &reader{from: stream, look: newDecoded(l, request.Header.Get("Content-Encoding"))}
	}
	return &reader{from: stream, look: l}
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
	from  io.Reader
	look  looker
	held  []byte
	ready int // of held, that may be passed on
	err   error
}

// Read gives bytes that were looked at.
func (r *reader) Read(p []byte) (int, error) {
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
		r.ready = len(r.held) - min(max(keep, 0), len(r.held))
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

// overlap is what of a stream is looked at again by gitleaks' rules, with what follows
// it.
const overlap = 1 << 10

// outbound looks at what a guest sends.
type outbound struct {
	s     *Scanner
	route *policy.Route
	m     *needles.Matcher
	at    int64  // bytes seen
	tail  []byte // the last of them
	// refuses says that nothing can be made unreadable in its place.
	refuses bool
}

func (o *outbound) see(held []byte, fresh int) (int, error) {
	begin := len(held) - fresh
	o.at += int64(fresh)
	if looks(o.route, policy.DetectorKnown) {
		for _, m := range o.m.Write(held[begin:]) {
			first := int(m.Start - (o.at - int64(len(held))))
			if o.refuses || o.route.OnMatch() != policy.OnMatchRedact || first < -Lead {
				return 0, o.s.knownFound(o.route, m, "the body of the request")
			}
			mask(held[max(0, first):min(len(held), int(m.End-(o.at-int64(len(held)))))])
		}
	}
	if err := o.patterns(held[begin:]); err != nil {
		return 0, err
	}
	return o.m.Safe(), nil
}

func (o *outbound) end(held []byte) error {
	if found := o.m.Close(); len(found) > 0 && looks(o.route, policy.DetectorKnown) {
		return o.s.knownFound(o.route, found[0], "the body of the request")
	}
	return nil
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
		return broken(o.route, err)
	}
	if len(found) > 0 {
		return patternFound(o.route, found[0], "the body of the request")
	}
	o.tail = append(o.tail[:0], text[max(0, len(text)-overlap):]...)
	return nil
}

// reflected masks tokens in what comes back.
type reflected struct {
	m  *needles.Matcher
	at int64
}

func (r *reflected) see(held []byte, fresh int) (int, error) {
	r.at += int64(fresh)
	from := r.at - int64(len(held))
	for _, m := range r.m.Write(held[len(held)-fresh:]) {
		mask(held[max(0, int(m.Start-from)):min(len(held), int(m.End-from))])
	}
	return r.m.Safe(), nil
}

func (r *reflected) end(held []byte) error {
	from := r.at - int64(len(held))
	for _, m := range r.m.Close() {
		mask(held[max(0, int(m.Start-from)):min(len(held), int(m.End-from))])
	}
	return nil
}
