package egress

import (
	"io"
	"net/http"
)

// Direction tells which way a stream goes.
type Direction int

// The two directions of a stream.
const (
	Upstream   Direction = iota // from the guest
	Downstream                  // towards the guest
)

// Scanner looks at what passes the door. It sits between the judgement and the
// wire: it sees requests without the agent's dropped credentials and without the
// token that the door adds, so no secret of the host's gets to it. It is called
// concurrently.
type Scanner interface {
	// Request sees a request's head before the verdict, with the body unread.
	// It may edit the header, and sets ContentLength to -1 where Stream will
	// change the body's length. An error refuses the request; its text goes to
	// the log, not to the guest.
	Request(head *http.Request) error
	// Response sees an answer's head before the guest does, with the body
	// unread, and may edit it as Request may. An error withholds the answer.
	Response(head *http.Response) error
	// Stream gives what is passed on in place of stream: a body, or one
	// direction of a WebSocket. An error from reading it breaks the exchange
	// off. Data must be passed on as it comes, not gathered to the end.
	Stream(request *http.Request, d Direction, stream io.Reader) io.Reader
}

// passAll is the Scanner that lets everything through.
type passAll struct{}

func (passAll) Request(*http.Request) error                                     { return nil }
func (passAll) Response(*http.Response) error                                   { return nil }
func (passAll) Stream(_ *http.Request, _ Direction, stream io.Reader) io.Reader { return stream }
