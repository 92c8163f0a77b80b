package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
)

// tlsHandshake is the first byte of a TLS record that opens a handshake (RFC
// 8446, section 5.1).
const tlsHandshake = 0x16

// connect opens a tunnel: it answers CONNECT, takes the guest's TLS with a
// certificate of the bottle's CA, and leaves c reading requests inside. An opened
// tunnel has no line of its own, because nothing passes by it; a refused one has.
func (c *guestConn) connect(ctx context.Context, h head, r *http.Request) bool {
	a, ref := tunnelAuthority(h, r)
	if ref == nil {
		ref = c.listed(a)
	}
	if ref != nil {
		c.refuse(a.line(h.method), ref, r)
		return false
	}
	c.conn.SetDeadline(time.Now().Add(c.door.options.Limits.HeadTime))
	if _, err := c.out.WriteString("HTTP/1.1 200 Connection established\r\n\r\n"); err != nil || c.out.Flush() != nil {
		return false
	}
	c.door.connections.opened(c, a)
	if ref := c.handshake(ctx, a); ref != nil {
		if ctx.Err() != nil {
			return false
		}
		// The guest waits for TLS: there is no way to tell it more than the end.
		c.record(a.line(h.method), ref, func() int64 { return 0 })
		return false
	}
	return true
}

func tunnelAuthority(h head, r *http.Request) (authority, *refusal) {
	a, err := parseAuthority(h.target, 0)
	if err != nil {
		return authority{}, malformed(err)
	}
	if r.Body != http.NoBody {
		return a, malformed(errors.New("CONNECT has no body"))
	}
	return a, checkHost(h, a, a.port)
}

func (c *guestConn) listed(a authority) *refusal {
	d := c.door.current().connect(a)
	if d.Allowed {
		return nil
	}
	return notAllowed(d, a)
}

// notAllowed tells the guest which route is missing, and how to add it.
func notAllowed(d policy.Decision, a authority) *refusal {
	message := "no route of this bottle lists " + a.String()
	if d.Route != nil {
		message = "the route " + d.RouteName + " does not allow this request"
	}
	ref := refuse(http.StatusForbidden, d.Rule, message)
	ref.hint = d.Hint
	return ref
}

// handshake takes the guest's TLS for a, within the deadline that connect set.
func (c *guestConn) handshake(ctx context.Context, a authority) *refusal {
	first, err := c.in.Peek(1)
	if err != nil {
		return refuse(0, RuleHandshake, "").because(err)
	}
	if first[0] != tlsHandshake {
		return refuse(0, RuleNotTLS, "")
	}
	var named *refusal
	config, err := c.tlsConfig(a)
	if err != nil {
		return refuse(0, RuleHandshake, "").because(err)
	}
	secured := tls.Server(c.unread(), &tls.Config{
		// Asked before anything else, for resumed sessions too.
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if named = checkServerName(hello.ServerName, a); named != nil {
				return nil, errors.New(named.rule)
			}
			return config, nil
		},
	})
	if err := secured.HandshakeContext(ctx); err != nil {
		if named != nil {
			return named
		}
		return refuse(0, RuleHandshake, "").because(err)
	}
	secured.SetDeadline(time.Time{})
	c.over(secured)
	return nil
}

func (c *guestConn) tlsConfig(a authority) (*tls.Config, error) {
	certificate, err := c.door.options.CA.leafFor(a.host.String(), c.door.options.Limits.Certificates)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates:                []tls.Certificate{*certificate},
		NextProtos:                  []string{"http/1.1"},
		MinVersion:                  tls.VersionTLS12,
		SessionTicketsDisabled:      true, // a ticket would be for one tunnel only
		DynamicRecordSizingDisabled: true, // it is for slow links; this one is local
	}, nil
}

// checkServerName compares the handshake's server name with the tunnel's host.
// For an address there is none (RFC 6066, section 3).
func checkServerName(name string, a authority) *refusal {
	if mutation.On(mutation.EgressAnyName) {
		return nil
	}
	if name == "" {
		if _, isAddress := a.host.Addr(); isAddress {
			return nil
		}
		return refuse(0, RuleNoServerName, "")
	}
	if host, err := policy.CanonicalHost(name); err != nil || host != a.host {
		return refuse(0, RuleServerNameMismatch, "")
	}
	return nil
}

// unread gives the connection with what was buffered of it put back.
func (c *guestConn) unread() net.Conn {
	b, _ := c.in.Peek(c.in.Buffered())
	return &prefixed{Conn: c.conn, prefix: b}
}

// prefixed is a connection that first gives prefix.
type prefixed struct {
	net.Conn
	prefix []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.prefix) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.prefix)
	p.prefix = p.prefix[n:]
	return n, nil
}

// CloseWrite passes the end of the guest's reading on where the connection can.
func (p *prefixed) CloseWrite() error {
	if half, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
