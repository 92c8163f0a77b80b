package dlp

import (
	"errors"
	"net/http"
	"strings"

	"github.com/bot-bottle/action/internal/dlp/decode"
	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/policy"
)

// Bounds of bodies with an encoding.
const (
	maxRatio   = 64      // of what is undone to what came: logs reach some 30
	maxWaiting = 1 << 20 // what of a body may hang on what comes next
	maxUndoing = 16      // bodies at once, whose decoders may have 20 MiB each
)

// encodingOf gives the encodings of a body, of all fields that name some (RFC 9110,
// section 5.3); empty: none.
func encodingOf(header http.Header) string {
	encoding := strings.Join(header.Values("Content-Encoding"), ",")
	if strings.EqualFold(strings.TrimSpace(encoding), "identity") {
		return ""
	}
	return encoding
}

// checkEncoding refuses an encoding that can't be undone.
func checkEncoding(route *policy.Route, encoding string) error {
	d, err := decode.New(encoding, decode.Options{}, func(int, []byte) error { return nil })
	if err != nil {
		return unreadable(route, err)
	}
	d.Close()
	return nil
}

// body looks at a body. Where it declares no encoding, its first bytes tell whether it has
// one.
type body struct {
	s        *Scanner
	route    *policy.Route
	encoding string // that is declared
	warn     func(string)
	look     looker // nil until it is known
}

func (b *body) see(held []byte, fresh int) (int, error) {
	if b.look != nil {
		return b.look.see(held, fresh)
	}
	begins := decode.Begins(held)
	if b.encoding == "" && begins == decode.Undecided {
		return len(held), nil
	}
	if err := b.choose(begins); err != nil {
		return 0, err
	}
	return b.look.see(held, len(held))
}

func (b *body) choose(begins decode.Beginning) error {
	if b.encoding == "" && (begins == decode.Plain || begins == decode.Undecided) {
		b.look = b.s.outbound(b.route, b.warn)
		return nil
	}
	e, err := b.s.encoded(b.route, b.encoding)
	if err != nil {
		return err
	}
	e.wholly = b.encoding == "" && begins == decode.Perhaps
	b.look = e
	return nil
}

// end looks at what was held while it was not known how the body begins.
func (b *body) end(held []byte) error {
	if b.look == nil {
		if err := b.choose(decode.Undecided); err != nil {
			return err
		}
		if _, err := b.look.see(held, len(held)); err != nil {
			return err
		}
	}
	return b.look.end(held)
}

func (b *body) close() {
	if e, ok := b.look.(*encoded); ok {
		e.close()
	}
}

// encoded looks at a body with encodings: at what is undone, at each depth, and for known
// secrets at what is sent, too, which has names and comments of its own.
type encoded struct {
	s       *Scanner
	route   *policy.Route
	sent    *outbound
	wholly  bool                       // what is sent may also be no more than it seems
	undone  [decode.MaxDepth]*outbound // by depth, less one
	decoder *decode.Decoder
	came    int64 // bytes of the body
	clear   int64 // those that may be passed on
	closed  bool
}

func (s *Scanner) encoded(route *policy.Route, encoding string) (*encoded, error) {
	e := &encoded{s: s, route: route, sent: s.outbound(route, nil)}
	e.sent.refuses = true // what is compressed can't be changed in its place
	for i := range e.undone {
		e.undone[i] = s.outbound(route, nil)
		e.undone[i].refuses = true
	}
	var err error
	e.decoder, err = decode.New(encoding, decode.Options{MaxRatio: maxRatio}, func(depth int, p []byte) error {
		_, err := e.undone[depth-1].see(p, len(p))
		return err
	})
	if err != nil {
		return nil, unreadable(route, err)
	}
	if s.undoing.Add(1) > maxUndoing {
		e.close()
		return nil, unreadable(route, errors.New("too many bodies with an encoding come at once"))
	}
	return e, nil
}

func (e *encoded) see(held []byte, fresh int) (int, error) {
	keep, err := e.look(held, fresh)
	if err != nil {
		return 0, err
	}
	e.came += int64(fresh)
	if _, err := e.decoder.Write(held[len(held)-fresh:]); err != nil {
		return 0, e.fault(err)
	}
	if !e.begun() {
		e.clear = e.decoder.Settled()
	}
	if keep = max(keep, int(e.came-e.clear)); keep > maxWaiting {
		return 0, unreadable(e.route, errors.New("too much of the body hangs on what comes next"))
	}
	return keep, nil
}

// look looks at the bytes as they are sent.
func (e *encoded) look(held []byte, fresh int) (int, error) {
	if e.wholly {
		return e.sent.see(held, fresh)
	}
	return e.sent.known(held, fresh)
}

// begun tells whether what is undone may end in the beginning of a secret.
func (e *encoded) begun() bool {
	for _, o := range e.undone {
		if o.safe() > 0 {
			return true
		}
	}
	return false
}

func (e *encoded) end([]byte) error {
	if err := e.decoder.Finish(); err != nil {
		return e.fault(err)
	}
	for _, o := range append(e.undone[:], e.sent) {
		if err := o.end(nil); err != nil {
			return err
		}
	}
	return nil
}

// fault makes a decoder's error a refusal. It may be that of what has looked.
func (e *encoded) fault(err error) error {
	if _, found := errors.AsType[*egress.Withheld](err); found {
		return err
	}
	return unreadable(e.route, err)
}

func (e *encoded) close() {
	if !e.closed {
		e.closed = true
		e.decoder.Close()
		e.s.undoing.Add(-1)
	}
}
