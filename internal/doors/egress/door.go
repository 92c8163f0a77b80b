package egress

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/meter"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

// Options say what a door is made of. Policy, CA and Log are required.
type Options struct {
	Policy policy.Policy
	// Tokens holds the value of every Auth.TokenName of the policy, and of
	// policies that may be swapped in.
	Tokens map[string]secret.Value
	CA     *CA
	Log    decision.Log

	// Resolver is asked for absolute names; nil means the host's, in Go.
	Resolver Resolver
	// Dial connects to checked addresses; nil means net.Dialer.
	Dial DialFunc
	// Roots verify upstreams without CAs of their own; nil means the host's.
	Roots *x509.CertPool
	// UpstreamProxy, "http://[user:password@]host:port", is the host's own way
	// out, by CONNECT. It is given the checked address, never the name, because
	// a proxy that resolves again could reach what was just refused.
	UpstreamProxy *url.URL
	// Prices say what a model's tokens cost, for limits.cost and the end lines.
	Prices meter.Prices
	// Scanner looks at what passes; nil passes all.
	Scanner Scanner
	// Intercept sees requests for the door itself ("GET /…" outside a tunnel)
	// before they are refused, and tells whether it answered. Its answers are
	// buffered, and no decision lines are written for them. It is called
	// concurrently.
	Intercept func(http.ResponseWriter, *http.Request) bool
	// Peer describes what connected, for Line.Peer; nil leaves it empty.
	Peer   func(net.Conn) string
	Limits Limits
}

// Door is the egress door of one bottle.
type Door struct {
	options     Options
	addresses   *addressBook
	connections *connections
	budget      budget
	judging     chan struct{} // holds one for each model request that is being judged
	modelBytes  atomic.Int64  // of model requests, being judged or on their way
	buffers     sync.Pool     // of *[]byte of bodyBuffer bytes

	mu    sync.RWMutex // held for writing by Swap alone
	rules *ruleset
}

// Reasons for which a request under way is broken off.
var (
	errIdle      = errors.New("no byte moved")
	errGuestGone = errors.New("the guest closed its connection")
	errBadBody   = errors.New("the request body is malformed")
	errSwapped   = errors.New("the policy no longer allows it")
	errClosing   = errors.New("the door is closing")
)

// New makes a door. The error says what of the policy can't be served: a route
// that does not compile, a token that is missing or no header can carry, a CA
// that can't be read.
func New(o Options) (*Door, error) {
	if o.CA == nil || o.Log == nil {
		panic("egress: CA and Log are required")
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	d := &Door{
		options:     o,
		addresses:   &addressBook{resolver: o.Resolver, timeout: o.Limits.DialTime, now: time.Now, known: map[string]resolved{}},
		connections: newConnections(o.Limits.Connections),
		judging:     make(chan struct{}, modelJudges),
	}
	d.buffers.New = func() any { b := make([]byte, bodyBuffer); return &b }
	rules, err := newRuleset(o.Policy, &d.options)
	if err != nil {
		return nil, fmt.Errorf("preparing the egress door: %w", err)
	}
	d.rules = rules
	return d, nil
}

func (o *Options) complete() error {
	o.Limits = o.Limits.withDefaults()
	if o.Resolver == nil {
		o.Resolver = &net.Resolver{PreferGo: true}
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Scanner == nil {
		o.Scanner = passAll{}
	}
	if o.Peer == nil {
		o.Peer = func(net.Conn) string { return "" }
	}
	if p := o.UpstreamProxy; p != nil && (p.Scheme != "http" || p.Port() == "") {
		return fmt.Errorf("reading upstream proxy %q: it is not of the form http://host:port", p.Redacted())
	}
	return nil
}

// Serve serves connections from l until ctx ends, then closes l and every
// connection, and returns nil when all have ended. It returns the error of a
// listener that breaks. A door serves one listener. Connections that have a
// CloseWrite method get their last answer whole even if the guest still sends.
func (d *Door) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(ctx, func() {
		l.Close()
		d.connections.closeAll()
	})
	var serving sync.WaitGroup
	defer func() {
		cancel(errClosing)
		stop()
		l.Close()
		d.connections.closeAll()
		serving.Wait()
		d.current().retire()
	}()
	for {
		raw, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				raw.Close()
			}
			return nil
		}
		if err != nil {
			if err = waitIfTemporary(ctx, err); err != nil {
				return fmt.Errorf("accepting at the egress door: %w", err)
			}
			continue
		}
		// Counted here, in the order they came in, so that it is the oldest one
		// that gives way.
		c := d.newConn(raw)
		counted := d.connections.add(c)
		serving.Go(func() { c.serve(ctx, counted) })
	}
}

// acceptPause lets descriptors come free when there are none (EMFILE).
const acceptPause = 10 * time.Millisecond

func waitIfTemporary(ctx context.Context, err error) error {
	//lint:ignore SA1019 it is what accept(2)'s EMFILE and ECONNABORTED have in common, as in net/http
	if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Temporary() {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(acceptPause):
	}
	return nil
}

// Swap replaces the policy whole. Its epoch has to be higher than that of the
// one in force, which stays where there is an error. When Swap returns, every
// request is judged by the new policy, and what it no longer allows of requests
// under way and open tunnels has been broken off.
func (d *Door) Swap(p policy.Policy) error {
	rules, err := newRuleset(p, &d.options)
	if err != nil {
		return fmt.Errorf("preparing policy epoch %d: %w", p.Epoch, err)
	}
	d.mu.Lock()
	old := d.rules
	if rules.epoch <= old.epoch {
		d.mu.Unlock()
		return fmt.Errorf("swapping policy epoch %d: epoch %d is in force", rules.epoch, old.epoch)
	}
	d.rules = rules
	d.connections.judgeAgain(rules)
	d.mu.Unlock()
	old.retire()
	return nil
}

func (d *Door) current() *ruleset {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.rules
}
