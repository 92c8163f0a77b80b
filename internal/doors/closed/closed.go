// Package closed holds the doors that nothing is behind: git-gate in a bottle
// that declares no git remote, and supervise where no approver is configured.
//
// They promise to refuse every request at once, in words that git and an MCP
// client show to whoever uses them, and to write a verdict and an end line for
// each. They read no body, and dial nothing.
package closed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// Refusal is what a closed door answers to every request.
type Refusal struct {
	Door decision.Door
	Rule string // kebab-case and stable, for the decision line
	// ContentType and Body are the answer, whose status is 403.
	ContentType string
	Body        string
}

// GitGate refuses git. Git prints a text/plain body behind "remote: ".
func GitGate() Refusal {
	return Refusal{
		Door:        decision.GitGate,
		Rule:        "no-git-remote",
		ContentType: "text/plain; charset=utf-8",
		Body:        "bot-bottle: no git remote is declared in this bottle\n",
	}
}

// Supervise refuses MCP. Its transport lets an HTTP error carry a JSON-RPC error
// without an id (Model Context Protocol, "Streamable HTTP"); -32000 is the first
// code that JSON-RPC 2.0 leaves to implementations.
func Supervise() Refusal {
	return Refusal{
		Door:        decision.Supervise,
		Rule:        "no-approver",
		ContentType: "application/json",
		Body:        `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"bot-bottle: no approver is configured, so nothing can be asked"}}` + "\n",
	}
}

// Options say what a closed door is made of. Refusal and Log are required.
type Options struct {
	Refusal Refusal
	Log     decision.Log
	Epoch   func() uint64 // of the policy in force, for the lines; nil leaves it out
	// Intercept sees each request first and tells whether it answered; then no
	// lines are written.
	Intercept func(http.ResponseWriter, *http.Request) bool
}

// Bounds of a closed door. A client makes one short request and gives up.
const (
	maxConnections = 16
	maxHeadBytes   = 16 << 10
	headTime       = 10 * time.Second
	keepAliveTime  = 10 * time.Second
	// The bounds of what the guest chose in a line, as at the egress door.
	maxMethod = 32
	maxHost   = 253
	maxPath   = 1024
)

// Serve answers on l until ctx ends, then closes l and every connection and
// returns nil. It returns the error of a listener that breaks. The remote address
// of a connection is the peer in its lines.
func Serve(ctx context.Context, l net.Listener, o Options) error {
	server := &http.Server{
		Handler:           &door{o},
		ReadHeaderTimeout: headTime,
		ReadTimeout:       headTime,
		WriteTimeout:      headTime,
		IdleTimeout:       keepAliveTime,
		MaxHeaderBytes:    maxHeadBytes,
		ErrorLog:          log.New(io.Discard, "", 0), // it would quote the guest
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	defer server.Close()
	err := server.Serve(netutil.LimitListener(l, maxConnections))
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("accepting at the %s door: %w", o.Refusal.Door, err)
}

type door struct{ Options }

// ServeHTTP records the request and refuses it. Where it can't be recorded the
// answer is the same: nothing passes either way.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.Intercept != nil && d.Intercept(w, r) {
		return
	}
	id, err := d.Log.Verdict(d.line(r))
	w.Header().Set("Content-Type", d.Refusal.ContentType)
	w.Header().Set("X-Bot-Bottle-Rule", d.Refusal.Rule)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusForbidden)
	sent, _ := io.WriteString(w, d.Refusal.Body) // the guest may have gone
	if err == nil {
		d.Log.End(id, decision.Line{Door: d.Refusal.Door, Rule: d.Refusal.Rule, Status: http.StatusForbidden, Received: int64(sent)})
	}
}

func (d *door) line(r *http.Request) decision.Line {
	l := decision.Line{
		Door: d.Refusal.Door, Verdict: decision.Refuse, Rule: d.Refusal.Rule, Peer: r.RemoteAddr,
		Method: bounded(r.Method, maxMethod), Host: bounded(r.Host, maxHost), Path: bounded(r.URL.Path, maxPath),
	}
	if d.Epoch != nil {
		l.Epoch = d.Epoch()
	}
	return l
}

func bounded(s string, limit int) string {
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}
