package dlp

import (
	"errors"
	"io"
	"net/http"

	"github.com/bot-bottle/action/internal/dlp/decode"
	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
)

var errInjection = errors.New("several phrases of an injection")

// Answer makes the door's tokens unreadable in fields of an answer.
func (s *Scanner) Answer(route *policy.Route, fields http.Header) error {
	if !addsToken(route) {
		return nil
	}
	for _, values := range fields {
		for i, value := range values {
			m := s.tokens.Stream()
			if found := append(m.Write([]byte(value)), m.Close()...); len(found) > 0 {
				values[i] = string(masked([]byte(value), found))
			}
		}
	}
	return nil
}

// addsToken tells whether the door adds one, which may come back.
func addsToken(route *policy.Route) bool {
	return route.Auth != nil && !mutation.On(mutation.DLPTokens)
}

// answer looks at the body of an answer, or what comes by a WebSocket.
type answer struct {
	tokens    *reflected // nil: the door adds none
	injection *injection // nil: it is not looked for
}

// answered gives a stream towards the guest.
func (s *Scanner) answered(route *policy.Route, header http.Header, stream io.Reader, warn func(string)) io.Reader {
	a := &answer{}
	if addsToken(route) {
		a.tokens = &reflected{place{m: s.tokens.Stream()}}
	}
	if looksForInjection(route, header) {
		a.injection = &injection{route: route, warn: warn}
	}
	switch encoding := encodingOf(header); {
	case a.tokens == nil && a.injection == nil:
		return stream
	case encoding != "" && !webSocket(header):
		return &reader{from: stream, look: &packedAnswer{s: s, answer: a, encoding: encoding}}
	}
	return &reader{from: stream, look: a}
}

func (a *answer) see(held []byte, fresh int) (keep int, err error) {
	if a.tokens != nil {
		keep = a.tokens.see(held, fresh)
	}
	if a.injection != nil {
		err = a.injection.see(held[len(held)-fresh:])
	}
	return keep, err
}

func (a *answer) end(held []byte) error {
	if a.tokens != nil {
		a.tokens.end(held)
	}
	return nil
}

// packedAnswer looks at an answer with an encoding. Upstreams were asked for none where
// the door adds a token, so that nothing is lost by refusing what can't be looked into;
// all others pass as if it weren't looked for injections.
type packedAnswer struct {
	*answer
	s        *Scanner
	encoding string
	decoder  *decode.Decoder // nil until the first bytes
	came     int64
	blind    bool // the rest passes unseen
}

// maxAnswers is how many answers with an encoding are undone at once.
const maxAnswers = 64

var (
	errReflected = errors.New("the door's token is in an answer with an encoding")
	errAnswers   = errors.New("too many answers with an encoding come at once")
)

func (p *packedAnswer) see(held []byte, fresh int) (int, error) {
	if p.blind {
		return 0, nil
	}
	if p.decoder == nil {
		if err := p.open(); err != nil {
			return 0, p.fault(err)
		}
	}
	p.came += int64(fresh)
	if _, err := p.decoder.Write(held[len(held)-fresh:]); err != nil {
		return 0, p.fault(err)
	}
	if p.tokens == nil {
		return 0, nil
	}
	if p.tokens.safe() > 0 {
		return len(held), tooLong(len(held))
	}
	keep := int(p.came - p.decoder.Settled())
	return keep, tooLong(keep)
}

func (p *packedAnswer) open() (err error) {
	if p.s.answers.Add(1) > maxAnswers {
		p.s.answers.Add(-1)
		return errAnswers
	}
	p.decoder, err = decode.New(p.encoding, decode.Options{MaxRatio: maxAnswerRatio}, p.look)
	if err != nil {
		p.s.answers.Add(-1)
	}
	return err
}

// maxAnswerRatio is more than that of requests: a host may send what it likes.
const maxAnswerRatio = 200

// look looks at what is undone. Each depth holds the whole of the one before, so that
// looking at all of them as one text misses nothing but what lies across.
func (p *packedAnswer) look(_ int, text []byte) error {
	if p.tokens != nil {
		if found := p.tokens.write(text, len(text)); len(found) > 0 {
			return &egress.Withheld{Rule: RuleToken, Message: "the answer holds the token that the door adds", Detail: errReflected}
		}
	}
	if p.injection != nil {
		return p.injection.see(text)
	}
	return nil
}

func (p *packedAnswer) end([]byte) error {
	if p.blind || p.decoder == nil {
		return nil
	}
	if err := p.decoder.Finish(); err != nil {
		return p.fault(err)
	}
	if p.tokens != nil && len(p.tokens.m.Close()) > 0 {
		return &egress.Withheld{Rule: RuleToken, Message: "the answer holds the token that the door adds", Detail: errReflected}
	}
	return nil
}

// fault is what becomes of an answer that can't be looked into.
func (p *packedAnswer) fault(err error) error {
	if _, found := errors.AsType[*egress.Withheld](err); found {
		return err
	}
	if p.tokens == nil {
		p.blind = true
		return nil
	}
	return &egress.Withheld{Rule: RuleToken, Message: "the answer can't be looked into for the token that the door adds", Detail: err}
}

func tooLong(keep int) error {
	if keep <= maxWaiting {
		return nil
	}
	return &egress.Withheld{Rule: RuleToken, Message: "too much of the answer hangs on what comes next", Detail: errReflected}
}

func (p *packedAnswer) close() {
	if p.decoder != nil {
		p.decoder.Close()
		p.decoder, p.blind = nil, true
		p.s.answers.Add(-1)
	}
}
