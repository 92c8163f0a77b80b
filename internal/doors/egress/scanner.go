package egress

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/bot-bottle/action/internal/policy"
)

// Direction tells which way a stream goes.
type Direction int

// The two directions of a stream.
const (
	Upstream   Direction = iota // from the guest
	Downstream                  // towards the guest
)

// Scanner looks at what passes the door by a route. It sits between the judgement and
// the wire: it sees requests without the agent's dropped credentials and without the
// token that the door adds, so no secret of the host's gets to it. It is called
// concurrently. An error that is a *Withheld says what the guest is told.
type Scanner interface {
	// Request sees a request's head before the verdict, with the body unread.
	// It may edit the header, and sets ContentLength to -1 where Stream will
	// change the body's length. An error refuses the request; its text goes to
	// the log, not to the guest.
	Request(route *policy.Route, head *http.Request) error
	// Trailer sees the fields behind a body before they go out. An error breaks the
	// exchange off.
	Trailer(route *policy.Route, trailer http.Header) error
	// Whole gives what is sent in place of the body of a request to a model, which
	// doesn't go through Stream. An error refuses the request.
	Whole(route *policy.Route, body []byte) ([]byte, error)
	// Answer sees the fields of an answer before the guest does, those of its head
	// and of its trailer, and may edit them. An error withholds the answer.
	Answer(route *policy.Route, fields http.Header) error
	// Stream gives what is passed on in place of stream: a body, or one
	// direction of a WebSocket, with the header of the request or of the answer. It
	// calls warn with a rule, as those of refusals are called, for what passes and is
	// to be told. An error from reading it breaks the exchange off. Data must be passed on as it comes, not gathered to the end. Where what
	// is given for a body is an io.Closer, it is closed when no more is
	// wanted of it, perhaps while a Read hangs.
	Stream(route *policy.Route, header http.Header, d Direction, stream io.Reader, warn func(rule string)) io.Reader
}

// Withheld is why a Scanner lets something not pass. Rule, Message and Hint are for the
// guest, and hold nothing of what was found; Detail is for the log alone.
type Withheld struct {
	Rule, Message, Hint string
	Detail              error
}

// Error gives the detail.
func (w *Withheld) Error() string { return w.Detail.Error() }

// Unwrap gives the detail.
func (w *Withheld) Unwrap() error { return w.Detail }

func (w *Withheld) refusal() *refusal {
	ref := refuse(http.StatusForbidden, w.Rule, w.Message).because(w.Detail)
	ref.hint, ref.lasting = w.Hint, true
	return ref
}

// withheldBy is the refusal by a Scanner's error.
func withheldBy(err error, message string) *refusal {
	if w, ok := errors.AsType[*Withheld](err); ok {
		return w.refusal()
	}
	return refuse(http.StatusForbidden, RuleScanner, message).because(err)
}

// scanned reads what the Scanner gives, and ends the exchange by its error.
type scanned struct {
	x      *exchange
	stream io.Reader
}

func (s scanned) Read(p []byte) (int, error) {
	n, err := s.stream.Read(p)
	return n, s.x.withhold(err)
}

// Close lets the Scanner's stream go.
func (s scanned) Close() error {
	if c, ok := s.stream.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// warnings gathers the rules that a Scanner warns of. Both directions may.
type warnings struct {
	mu    sync.Mutex
	rules []string
}

func (w *warnings) add(rule string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.rules, rule) {
		w.rules = append(w.rules, rule)
	}
}

func (w *warnings) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.rules)
}

// withhold ends the exchange if err is the Scanner's: the transport would tell another.
func (x *exchange) withhold(err error) error {
	if _, ok := errors.AsType[*Withheld](err); ok {
		x.cancel(err)
	}
	return err
}

// passAll is the Scanner that lets everything through.
type passAll struct{}

func (passAll) Request(*policy.Route, *http.Request) error         { return nil }
func (passAll) Trailer(*policy.Route, http.Header) error           { return nil }
func (passAll) Whole(_ *policy.Route, body []byte) ([]byte, error) { return body, nil }
func (passAll) Answer(*policy.Route, http.Header) error            { return nil }
func (passAll) Stream(_ *policy.Route, _ http.Header, _ Direction, stream io.Reader, _ func(string)) io.Reader {
	return stream
}
