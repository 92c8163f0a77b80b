package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
)

const (
	// maxResponseHead is far above what servers send (8 KiB is common) and
	// bounds memory against a hostile one.
	maxResponseHead = 256 << 10
	// transportBuffer is two TLS records: fewer system calls for bodies.
	transportBuffer = 32 << 10
	// upstreamIdle is below the 60 s after which common servers and load
	// balancers close an idle connection.
	upstreamIdle = 50 * time.Second
	// upstreamPing finds a dead HTTP/2 connection before IdleTime does.
	upstreamPing = 30 * time.Second
	// continueWait is how long an upstream has for its 100 (Continue), as in
	// http.DefaultTransport.
	continueWait = time.Second
)

// upstream is one route made ready: connections that are shared by its requests
// and by no other route's, and the token it adds.
type upstream struct {
	route     *policy.Route
	transport *http.Transport
	connectTo *authority
	field     string // header field of the token; empty for none
	value     string
}

func newUpstream(route *policy.Route, o *Options) (*upstream, error) {
	up := &upstream{route: route}
	if route.Auth != nil {
		var err error
		if up.field, up.value, err = injection(route.Auth, o.Tokens); err != nil {
			return nil, err
		}
	}
	if route.ConnectTo != "" {
		a, err := parseAuthority(route.ConnectTo, 0)
		if err != nil {
			return nil, err
		}
		up.connectTo = &a
	}
	roots := o.Roots
	if route.CAs != "" {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(route.CAs)) {
			return nil, fmt.Errorf("reading the CAs of route %q: there is no certificate", route.Host)
		}
	}
	up.transport = newTransport(roots, o)
	return up, nil
}

// newTransport makes a transport that verifies TLS, takes no proxy from the
// environment, changes no encoding and dials only checked destinations.
func newTransport(roots *x509.CertPool, o *Options) *http.Transport {
	dial := o.Dial
	if o.UpstreamProxy != nil {
		dial = throughProxy(o.UpstreamProxy, o.Dial)
	}
	return &http.Transport{
		Proxy: nil,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, o.Limits.DialTime)
			defer cancel()
			return dialChecked(ctx, dial)
		},
		TLSClientConfig: &tls.Config{
			RootCAs:            roots,
			InsecureSkipVerify: mutation.On(mutation.EgressAnyCert),
			MinVersion:         tls.VersionTLS12,
			ClientSessionCache: tls.NewLRUClientSessionCache(32),
		},
		TLSHandshakeTimeout:    o.Limits.DialTime,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true, // by ALPN, which the own dialler would switch off
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: upstreamPing},
		MaxIdleConnsPerHost:    o.Limits.Connections,
		MaxIdleConns:           o.Limits.Connections,
		IdleConnTimeout:        upstreamIdle,
		ExpectContinueTimeout:  continueWait,
		MaxResponseHeaderBytes: maxResponseHead,
		ReadBufferSize:         transportBuffer,
		WriteBufferSize:        transportBuffer,
	}
}

// inject puts the route's token into a request that goes over verified TLS.
func (up *upstream) inject(out *http.Request) {
	if up.field != "" {
		out.Header[up.field] = []string{up.value}
	}
}

// throughProxy dials by CONNECT through the host's own proxy. It names the
// checked address, not the host, so that the proxy does not resolve again.
func throughProxy(proxy *url.URL, dial DialFunc) DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, proxy.Host)
		if err != nil {
			return nil, fmt.Errorf("reaching the upstream proxy: %w", err)
		}
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		defer stop()
		if err := connectThrough(conn, proxy, address); err != nil {
			conn.Close()
			return nil, fmt.Errorf("going through the upstream proxy: %w", err)
		}
		return conn, nil
	}
}

func connectThrough(conn net.Conn, proxy *url.URL, address string) error {
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{"User-Agent": nil}}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		pair := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		request.Header.Set("Proxy-Authorization", "Basic "+pair)
	}
	if err := request.Write(conn); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	response, err := http.ReadResponse(r, request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || r.Buffered() > 0 {
		return fmt.Errorf("it answered %q with %d bytes", response.Status, r.Buffered())
	}
	return nil
}
