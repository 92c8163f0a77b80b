package egress

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/action/internal/policy"
)

// smallBody is how long a body of known length may be to travel with its head in
// one write, which saves a record on kept-alive connections.
const smallBody = 2 << 10

// answer writes what the guest gets. Informational responses come from other
// goroutines than the final one, and may not come after it.
type answer struct {
	modern bool // the guest speaks HTTP/1.1

	mu   sync.Mutex
	w    *bufio.Writer
	over bool // the final response has begun
}

func newAnswer(w *bufio.Writer, r *http.Request) *answer {
	return &answer{w: w, modern: r.ProtoAtLeast(1, 1)}
}

// inform sends an informational (1xx) response.
func (a *answer) inform(code int, header http.Header) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over || !a.modern {
		return nil
	}
	header = header.Clone()
	dropHopByHop(header)
	writeHead(a.w, code, header)
	return a.w.Flush()
}

// final keeps informational responses from coming any more.
func (a *answer) final() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
}

func writeHead(w *bufio.Writer, code int, header http.Header) {
	fmt.Fprintf(w, "HTTP/1.1 %03d %s\r\n", code, http.StatusText(code))
	header.Write(w) // the error is the writer's, which Flush gives
	w.WriteString("\r\n")
}

// respond passes the upstream's answer on as it comes.
func (x *exchange) respond(response *http.Response) error {
	x.answer.final()
	header := response.Header
	x.clean(header)
	framing := x.frame(response, header)
	if !x.keep() || framing == untilClose {
		header.Set("Connection", "close")
	}
	writeHead(x.c.out, response.StatusCode, header)
	if framing == noBody {
		return x.c.out.Flush()
	}
	if framing != byLength || response.ContentLength > smallBody {
		if err := x.c.out.Flush(); err != nil {
			return err
		}
	}
	stream := x.answered(response.Header, x.metered(response))
	defer stream.Close()
	return x.deliver(stream, response, framing)
}

// answered gives the upstream's bytes as the guest may have them.
func (x *exchange) answered(header http.Header, stream io.Reader) scanned {
	return scanned{x, x.c.door.options.Scanner.Stream(x.decision.Route, header, Downstream, struct{ io.Reader }{stream}, x.warned.add)}
}

// clean removes from an answer's header or trailer what is not for the guest.
func (x *exchange) clean(header http.Header) {
	dropHopByHop(header)
	if x.decision.Route.Auth != nil && !listed(x.decision.Route, "cookie") {
		delete(header, "Set-Cookie") // a session that our token opened is not the guest's
	}
}

// framing is how the end of a body is told (RFC 9112, section 6.3).
type framing int

const (
	noBody framing = iota
	byLength
	chunked
	untilClose
)

// frame chooses the framing of an answer and writes its fields to header.
func (x *exchange) frame(response *http.Response, header http.Header) framing {
	length := response.ContentLength
	known := length >= 0
	switch code := response.StatusCode; {
	case x.in.Method == http.MethodHead || code == http.StatusNotModified:
		if known && (length > 0 || x.in.Method == http.MethodHead) {
			header.Set("Content-Length", strconv.FormatInt(length, 10))
		}
		return noBody
	case code == http.StatusNoContent:
		return noBody
	case known && len(response.Trailer) == 0:
		header.Set("Content-Length", strconv.FormatInt(length, 10))
		return byLength
	case !x.in.ProtoAtLeast(1, 1):
		return untilClose
	}
	header.Set("Transfer-Encoding", "chunked")
	for name := range response.Trailer {
		header.Add("Trailer", name)
	}
	return chunked
}

// deliver copies a body to the guest and flushes whenever the upstream pauses.
// It gives an error unless the whole body arrived.
func (x *exchange) deliver(stream io.Reader, response *http.Response, f framing) error {
	buffer := x.c.door.buffers.Get().(*[]byte)
	defer x.c.door.buffers.Put(buffer)
	w := bodyWriter{x.c.out, f}
	for {
		n, err := stream.Read(*buffer)
		if n > 0 {
			x.touch()
			x.received.Add(int64(n))
			if werr := w.write((*buffer)[:n]); werr != nil {
				return errGuestGone
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if f == byLength && x.received.Load() != response.ContentLength {
		return io.ErrUnexpectedEOF
	}
	x.clean(response.Trailer)
	if err := x.c.door.options.Scanner.Answer(x.decision.Route, response.Trailer); err != nil {
		return x.withhold(err)
	}
	return w.end(response.Trailer)
}

type bodyWriter struct {
	w *bufio.Writer
	framing
}

func (b bodyWriter) write(p []byte) error {
	if b.framing == chunked {
		fmt.Fprintf(b.w, "%x\r\n", len(p))
	}
	b.w.Write(p)
	if b.framing == chunked {
		b.w.WriteString("\r\n")
	}
	return b.w.Flush()
}

func (b bodyWriter) end(trailer http.Header) error {
	if b.framing == chunked {
		b.w.WriteString("0\r\n")
		trailer.Write(b.w)
		b.w.WriteString("\r\n")
	}
	return b.w.Flush()
}

// answerError answers with a refusal and gives the length of the body.
func (c *guestConn) answerError(ref *refusal, r *http.Request) int64 {
	header, body := ref.response(r)
	if c.answerWhole(r, ref.status, header, body, keepable(r)) != nil {
		return 0
	}
	return int64(len(body))
}

// answerWhole writes a whole answer of the door's own. r may be nil.
func (c *guestConn) answerWhole(r *http.Request, status int, header http.Header, body []byte, keep bool) error {
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if !keep {
		header.Set("Connection", "close")
	}
	c.conn.SetWriteDeadline(time.Now().Add(c.door.options.Limits.HeadTime)) // it may not be reading
	writeHead(c.out, status, header)
	if r == nil || r.Method != http.MethodHead {
		c.out.Write(body)
	}
	return c.out.Flush()
}

// declaredTrailer gives the trailer fields that a request announces and that may
// go on, without values yet.
func declaredTrailer(in *http.Request, route *policy.Route) http.Header {
	if len(in.Trailer) == 0 {
		return nil
	}
	trailer := http.Header{}
	for name := range in.Trailer {
		trailer[name] = nil
	}
	dropHopByHop(trailer)
	dropOverrides(trailer)
	dropCredentialFields(trailer, route)
	for name := range trailer {
		if strings.Contains(fieldName(name), "method") { // an override that was not judged
			delete(trailer, name)
		}
	}
	return trailer
}
