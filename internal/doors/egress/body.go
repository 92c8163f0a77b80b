package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// bodyBuffer is what is moved at once: two TLS records.
const bodyBuffer = 32 << 10

// errBodyClosed is what a body gives after the exchange is over.
var errBodyClosed = errors.New("the request is over")

// requestBody is the guest's body on its way upstream. The transport reads it
// from a goroutine of its own, perhaps beyond the end of the exchange.
type requestBody struct {
	x      *exchange
	stream io.Reader   // the guest's body, through the scanner
	looked io.Closer   // the scanner's part of it
	to     http.Header // trailer of the outgoing request; nil for none

	mu     sync.Mutex
	asked  bool // 100 (Continue) was sent, if there was need
	atEnd  bool
	closed bool
}

// attachBody gives out the guest's body, or begins to watch for the guest's
// leaving where there is none.
func (x *exchange) attachBody(out *http.Request) {
	if x.in.Body == http.NoBody {
		x.gone.start()
		return
	}
	x.body = &requestBody{x: x, to: declaredTrailer(x.in, x.decision.Route)}
	looked := x.scan(out, struct{ io.Reader }{guestBody{x.body}}) // whose Close is ours
	x.body.stream, x.body.looked = spending{x, looked}, looked
	out.Body, out.Trailer = x.body, x.body.to
}

// scan gives the guest's bytes as they may leave. What goes to a model was looked at
// whole.
func (x *exchange) scan(out *http.Request, stream io.Reader) io.ReadCloser {
	if x.call != nil {
		return io.NopCloser(stream)
	}
	return scanned{x, x.c.door.options.Scanner.Stream(x.decision.Route, out.Header, Upstream, stream, x.warned.add)}
}

// Read passes the scanned body on.
func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.stream.Read(p)
	if err == io.EOF { // the trailer goes out next
		if withheld := b.x.withhold(b.x.c.door.options.Scanner.Trailer(b.x.decision.Route, b.to)); withheld != nil {
			return 0, withheld
		}
		if spent := b.x.spend(fieldsSize(b.to)); spent != nil {
			return 0, spent
		}
	}
	b.x.sent.Add(int64(n))
	return n, err
}

// Close keeps later reads from the guest's connection.
func (b *requestBody) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	return b.looked.Close()
}

func (b *requestBody) ended() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.atEnd
}

// guestBody is the same body before the scanner.
type guestBody struct{ *requestBody }

// Read reads from the guest. The first read asks for the body, if the guest
// waits to be asked; the end of it fills in the trailer.
func (b guestBody) Read(p []byte) (int, error) {
	if err := b.ask(); err != nil {
		return 0, err
	}
	n, err := b.x.in.Body.Read(p)
	b.x.touch()
	switch {
	case err == io.EOF:
		b.finish()
	case isGone(err):
		b.x.cancel(errGuestGone)
	case err != nil:
		b.x.cancel(errBadBody)
	}
	return n, err
}

// isGone tells a connection that ended from a body that is malformed.
func isGone(err error) bool {
	_, ofNetwork := errors.AsType[net.Error](err)
	return ofNetwork || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

func (b guestBody) ask() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errBodyClosed
	}
	if b.asked || b.x.in.Header.Get("Expect") == "" {
		return nil
	}
	b.asked = true
	return b.x.answer.inform(http.StatusContinue, nil)
}

func (b guestBody) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.atEnd {
		return
	}
	b.atEnd = true
	for name := range b.to {
		b.to[name] = b.x.in.Trailer[name]
	}
	b.x.gone.start()
}

// watch notices that the guest has closed its connection while the door waits
// for the upstream. It reads ahead at most one buffer, of a next request.
type watch struct {
	c    *guestConn
	lost func()

	mu      sync.Mutex
	stopped bool
	done    chan struct{} // nil until started
}

// start begins to watch; the request body has to be at its end.
func (w *watch) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || w.done != nil {
		return
	}
	w.done = make(chan struct{})
	go func() {
		defer close(w.done)
		if _, err := w.c.in.Peek(1); err != nil && !w.ending() {
			w.lost()
		}
	}()
}

func (w *watch) ending() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped
}

// stop ends the watch, so that the connection can be read again. It may be
// called more than once.
func (w *watch) stop() {
	w.mu.Lock()
	w.stopped = true
	done := w.done
	w.mu.Unlock()
	if done == nil {
		return
	}
	w.c.conn.SetReadDeadline(longAgo)
	<-done
	w.c.conn.SetReadDeadline(time.Time{})
}

// longAgo is a deadline that ends a read at once.
var longAgo = time.Unix(1, 0)

// answerGrace is what a guest has for taking the last of an answer when an
// exchange is broken off.
const answerGrace = time.Second

// unblock ends the reads and, soon, the writes of a broken-off exchange.
func (c *guestConn) unblock() {
	c.conn.SetReadDeadline(longAgo)
	c.conn.SetWriteDeadline(time.Now().Add(answerGrace))
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error" // how crypto/tls reports the peer's alert
}

func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" || errors.Is(err, context.DeadlineExceeded)
}
