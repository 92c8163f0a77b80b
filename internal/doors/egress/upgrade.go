package egress

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// errNotAsked is an upstream that switches protocols unasked.
var errNotAsked = errors.New("switching protocols without being asked to")

// upgrade joins guest and upstream after both agreed on a WebSocket. It ends when
// either side does: a WebSocket says its good-byes within (RFC 6455, section 7).
func (x *exchange) upgrade(ctx context.Context, out *http.Request, response *http.Response) (int, error) {
	upstream, ok := response.Body.(io.ReadWriteCloser)
	if !ok || !webSocket(x.in) || !strings.EqualFold(response.Header.Get("Upgrade"), "websocket") {
		return x.failed(ctx, errNotAsked)
	}
	x.gone.stop() // from here on, the guest's bytes are the upstream's
	x.answer.final()
	x.clean(response.Header)
	response.Header.Set("Connection", "Upgrade")
	response.Header.Set("Upgrade", "websocket")
	writeHead(x.c.out, response.StatusCode, response.Header)
	if err := x.c.out.Flush(); err != nil {
		return response.StatusCode, errGuestGone
	}
	ended := make(chan error, 2)
	go func() { ended <- x.pump(upstream, spending{x, x.scan(out, x.c.in)}, &x.sent) }()
	go func() { ended <- x.pump(x.c.conn, x.answered(response.Header, upstream), &x.received) }()
	err := <-ended
	upstream.Close()
	x.c.unblock()
	<-ended
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return response.StatusCode, err
}

// pump copies one direction until it ends.
func (x *exchange) pump(to io.Writer, from io.Reader, count *atomic.Int64) error {
	buffer := x.c.door.buffers.Get().(*[]byte)
	defer x.c.door.buffers.Put(buffer)
	for {
		n, err := from.Read(*buffer)
		if n > 0 {
			x.touch()
			if _, werr := to.Write((*buffer)[:n]); werr != nil {
				return werr
			}
			count.Add(int64(n))
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
