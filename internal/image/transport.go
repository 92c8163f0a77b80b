package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/term"
)

// guarded is how a registry is spoken to. What it answers can name other servers
// (redirects, where to get a token, other places of a layer), so that whom we
// speak to is not the bottle's choice alone. It allows plain HTTP only to the
// registry itself and only on loopback, bounds what is read, and gives up a
// registry that says nothing for too long.
type guarded struct {
	base     http.RoundTripper
	registry string        // host, and port if there is one
	stall    time.Duration // for an answer, and for each part of one
	layer    int64         // bytes of one layer as it is sent
}

// maxDocument bounds what is no layer: manifests, tokens, errors.
const maxDocument = 8 << 20

// stallTimeout is what a registry gets to say something: some fetch what they are
// asked for from another first.
const stallTimeout = 2 * time.Minute

// errSilent ends a pull from a registry that says nothing.
var errSilent = errors.New("the registry has said nothing for too long")

// broken is an error of the network, in the midst of an answer.
type broken struct{ error }

func (b broken) Unwrap() error { return b.error }

// RoundTrip asks (http.RoundTripper).
func (g *guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.allowed(req.URL); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(g.stall, func() { cancel(errSilent) })
	resp, err := g.base.RoundTrip(req.WithContext(ctx))
	timer.Stop()
	if err != nil {
		err = because(ctx, err)
		cancel(nil)
		return nil, err
	}
	most := int64(maxDocument)
	if resp.StatusCode == http.StatusOK && ofBlob(req) {
		most = g.layer
	}
	resp.Body = &body{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, timer: timer, stall: g.stall, left: most, most: most}
	return resp, nil
}

func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (g *guarded) allowed(u *url.URL) error {
	if mutation.On(mutation.ImagePlainHTTP) || u.Scheme == "https" || u.Scheme == "http" && u.Host == g.registry && isLoopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("asking %q: plain HTTP is spoken to a registry on this host only", u.Scheme+"://"+u.Host)
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// ofBlob tells whether a request is for a blob, or where one's redirects led.
func ofBlob(req *http.Request) bool {
	for req.Response != nil && req.Response.Request != nil {
		req = req.Response.Request
	}
	return strings.Contains(req.URL.Path, "/blobs/")
}

// body is an answer that has to go on and to end.
type body struct {
	io.ReadCloser
	ctx        context.Context
	cancel     context.CancelCauseFunc
	timer      *time.Timer
	stall      time.Duration
	left, most int64
}

// Read reads, and fails where the registry stalls or has no end.
func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the registry's answer has more than %s", term.Bytes(b.most))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = broken{because(b.ctx, err)}
	}
	return n, err
}

// Close ends the answer.
func (b *body) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}
