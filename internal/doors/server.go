package doors

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/bot-bottle/action/internal/doors/closed"
	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
)

// server is the configured sidecar: the doors of one bottle.
type server struct {
	link      *link
	log       *decision.FileLog
	listeners map[decision.Door]net.Listener
	proof     *proof
	ca        *egress.CA
	egress    *egress.Door
	unusable  []string // secrets that it can't look for
	epoch     atomic.Uint64
}

func newServer(in *inherited, l *link, c *wireConfig, roots *x509.CertPool) (*server, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	log, err := decision.OpenLog(in.decisions, decision.Options{})
	if err != nil {
		return nil, err
	}
	log.SetPhase(string(term.StageProve))
	s := &server{link: l, log: log, listeners: map[decision.Door]net.Listener{}}
	s.epoch.Store(c.Policy.Epoch)
	for door, listener := range in.listeners {
		s.listeners[door] = &peerListener{listener, door, c.Peers, log, s.epoch.Load}
	}
	s.proof = newProof(c.Nonce, func(seen sighting) error { return l.tell(answer{Seen: &seen}) })
	if s.ca, err = egress.NewCA("bot-bottle " + c.Policy.Bottle); err != nil {
		return nil, err
	}
	s.egress, err = s.newEgress(c, roots)
	return s, err
}

func (s *server) newEgress(c *wireConfig, roots *x509.CertPool) (*egress.Door, error) {
	proxy, err := c.proxy()
	if err != nil {
		return nil, err
	}
	scanner, err := c.scanner()
	if err != nil {
		return nil, err
	}
	s.unusable = scanner.Unusable()
	return egress.New(egress.Options{
		Scanner:       scanner,
		Policy:        c.Policy,
		Tokens:        c.tokens(),
		CA:            s.ca,
		Log:           s.log,
		Roots:         roots,
		UpstreamProxy: proxy,
		Resolver:      c.resolver(),
		Prices:        c.Prices,
		Intercept:     s.proof.at(decision.Egress),
		Peer:          func(c net.Conn) string { return c.RemoteAddr().String() },
	})
}

// run opens the doors, answers the order id, by which s was configured, and
// serves until ctx ends, the supervisor closes the socket pair, or a door breaks.
func (s *server) run(ctx context.Context, id uint64) error {
	doors, ctx := errgroup.WithContext(ctx)
	doors.Go(func() error { return s.egress.Serve(ctx, s.listeners[decision.Egress]) })
	for _, refusal := range []closed.Refusal{closed.GitGate(), closed.Supervise()} {
		if s.listeners[refusal.Door] == nil {
			continue // another sidecar has it
		}
		doors.Go(func() error { return closed.Serve(ctx, s.listeners[refusal.Door], s.closed(refusal)) })
	}
	doors.Go(func() error { return obey(ctx, s.link, s.do) })
	if err := s.link.tell(answer{ID: id, Ready: &Ready{CAPEM: string(s.ca.CertPEM()), Unusable: s.unusable}}); err != nil {
		return err
	}
	<-ctx.Done()
	err := within(closeGrace, doors.Wait)
	if errors.Is(err, errOver) {
		err = nil
	}
	return errors.Join(err, s.log.Close())
}

func (s *server) closed(refusal closed.Refusal) closed.Options {
	return closed.Options{Refusal: refusal, Log: s.log, Epoch: s.epoch.Load, Intercept: s.proof.at(refusal.Door)}
}

// obey carries orders out until there is an error, at the latest errOver.
func obey(ctx context.Context, l *link, do func(order) error) error {
	stop := context.AfterFunc(ctx, func() { l.conn.CloseRead() })
	defer stop()
	for {
		var o order
		if err := l.receive(&o); err != nil {
			return err
		}
		a := answer{ID: o.ID}
		if err := do(o); err != nil {
			a.Fault = faultOf(err)
		}
		if err := l.tell(a); err != nil {
			return err
		}
	}
}

func (s *server) do(o order) error {
	switch {
	case o.EndProof:
		s.proof.end()
		return nil
	case o.Swap != nil:
		return s.swap(*o.Swap)
	case o.Phase != "":
		s.log.SetPhase(o.Phase)
		return nil
	}
	return errors.New("obeying an order: this sidecar doesn't know it")
}

func (s *server) swap(p policy.Policy) error {
	if err := s.egress.Swap(p); err != nil {
		return fmt.Errorf("swapping the policy: %w", err)
	}
	s.epoch.Store(p.Epoch)
	return nil
}
