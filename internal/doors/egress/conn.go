package egress

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
)

const (
	// guestBuffer is what a connection holds while it waits; a longer head
	// gets a larger buffer.
	guestBuffer = 4 << 10
	// maxLinger and lingerTime bound what is read and thrown away so that an
	// answer gets to a guest that is still sending.
	maxLinger  = 256 << 10
	lingerTime = 500 * time.Millisecond
)

// guestConn is one connection from the guest: a proxy connection that CONNECT may
// turn into a tunnel. All but tunnel and current belong to its one goroutine.
type guestConn struct {
	door *Door
	raw  net.Conn // as accepted
	conn net.Conn // raw, or the TLS over it
	in   *bufio.Reader
	out  *bufio.Writer
	peer string

	// Written under connections.mu, which others read them under.
	tunnel  *authority // what it is a tunnel to
	current *exchange  // the request under way
}

func (d *Door) newConn(raw net.Conn) *guestConn {
	c := &guestConn{door: d, raw: raw, peer: d.options.Peer(raw)}
	c.over(raw)
	return c
}

// serve serves requests until the guest or ctx ends the connection, or tells the
// guest that there is no place where c was not counted.
func (c *guestConn) serve(ctx context.Context, counted bool) {
	defer c.raw.Close()
	if !counted {
		c.raw.SetDeadline(time.Now().Add(answerGrace))
		c.answerError(refuse(http.StatusServiceUnavailable, RuleTooMany, "all connections of this bottle are in use"), nil)
		return
	}
	defer c.door.connections.remove(c)
	for ctx.Err() == nil && c.next(ctx) { // it may have come while closeAll ran
	}
}

// over makes conn what c reads and writes.
func (c *guestConn) over(conn net.Conn) {
	c.conn = conn
	c.in = bufio.NewReaderSize(conn, guestBuffer)
	c.out = bufio.NewWriterSize(conn, guestBuffer)
}

// next serves one request and tells whether another may follow.
func (c *guestConn) next(ctx context.Context) bool {
	h, r, ref := c.read()
	if ref != nil {
		c.refuse(decision.Line{}, ref, nil)
		c.linger()
		return false
	}
	if r == nil {
		return false
	}
	// The writer keeps the error of an answer that could not be written.
	keep := c.dispatch(ctx, h, r) && c.out.Flush() == nil
	if !keep {
		c.linger()
	}
	return keep
}

func (c *guestConn) dispatch(ctx context.Context, h head, r *http.Request) bool {
	var t target
	var ref *refusal
	switch {
	case c.tunnel != nil:
		t, ref = tunnelTarget(h, *c.tunnel)
	case h.method == http.MethodConnect:
		return c.connect(ctx, h, r)
	case strings.HasPrefix(h.target, "/"):
		return c.own(ctx, r)
	default:
		t, ref = proxyTarget(h)
	}
	if ref == nil {
		ref = supported(r)
	}
	if ref != nil {
		c.refuse(t.line(h.method), ref, r)
		return keepable(r)
	}
	return c.exchange(ctx, r, t)
}

// keepable tells whether the connection can go on after a refusal: nothing of the
// request may be left unread, and the guest must not take it for a tunnel.
func keepable(r *http.Request) bool {
	return r != nil && r.Body == http.NoBody && r.Method != http.MethodConnect && !wantsClose(r)
}

// supported refuses what no route can allow.
func supported(r *http.Request) *refusal {
	if r.Method == http.MethodTrace {
		return refuse(http.StatusMethodNotAllowed, RuleMethod, "TRACE would show what the door adds")
	}
	if expect := r.Header.Get("Expect"); expect != "" && !strings.EqualFold(expect, "100-continue") {
		return refuse(http.StatusExpectationFailed, RuleExpectation, "100-continue is the only expectation")
	}
	return nil
}

// read waits for the next request. It gives none where the guest closed or kept
// silent, and a refusal for what is no request.
func (c *guestConn) read() (head, *http.Request, *refusal) {
	limits := &c.door.options.Limits
	c.conn.SetReadDeadline(time.Now().Add(limits.KeepAliveTime))
	if _, err := c.in.Peek(1); err != nil {
		return head{}, nil, nil
	}
	c.conn.SetReadDeadline(time.Now().Add(limits.HeadTime))
	b, in, err := awaitHead(c.in, limits.HeadBytes)
	c.in = in
	if err != nil {
		return head{}, nil, headRefusal(err)
	}
	h, err := parseHead(b)
	if err != nil {
		return h, nil, malformed(err)
	}
	r, err := http.ReadRequest(c.in)
	if err != nil {
		return h, nil, malformed(errMalformed).because(err)
	}
	c.conn.SetDeadline(time.Time{})
	return h, r, nil
}

// headRefusal gives nil for a guest that closed in the middle of a head.
func headRefusal(err error) *refusal {
	switch {
	case errors.Is(err, errHeadTooLarge):
		return refuse(http.StatusRequestHeaderFieldsTooLarge, RuleHeadTooLarge, err.Error())
	case errors.Is(err, errMalformed):
		return malformed(err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, RuleHeadTimeout, "the request head took too long")
	}
	return nil
}

// linger ends the connection so that what was answered arrives: closing with
// unread data would make the kernel throw it away. It reads from under the
// buffer, because a body may still be read from that.
func (c *guestConn) linger() {
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.conn.SetReadDeadline(time.Now().Add(lingerTime))
	io.CopyN(io.Discard, c.conn, maxLinger)
}
