package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
)

// Resolver finds the addresses of an absolute name (one with a trailing dot).
// *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// DialFunc connects to an address of the form "ip:port", as net.Dialer does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

const (
	// resolvedFor is how long addresses are used again: short, because the
	// resolver's time to live is not known here.
	resolvedFor = 30 * time.Second
	// maxResolved bounds the names that are remembered; a guest may ask for
	// any number under a wildcard.
	maxResolved = 512
	// maxAddresses is how many addresses of a name are tried.
	maxAddresses = 8
	// staggered is how long one address has before the next is tried beside it
	// (RFC 8305, section 5).
	staggered = 250 * time.Millisecond
)

// addressBook resolves names and remembers what it found for a short while. What
// it gives is unchecked.
type addressBook struct {
	resolver Resolver
	timeout  time.Duration
	now      func() time.Time

	mu    sync.Mutex
	known map[string]resolved
}

type resolved struct {
	addresses []netip.Addr
	until     time.Time
}

func (b *addressBook) lookup(ctx context.Context, host policy.Host) ([]netip.Addr, error) {
	if ip, ok := host.Addr(); ok {
		return []netip.Addr{ip}, nil
	}
	name := host.String()
	b.mu.Lock()
	known, found := b.known[name]
	b.mu.Unlock()
	if found && b.now().Before(known.until) {
		return known.addresses, nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	// The dot keeps the host's search domains out of it.
	addresses, err := b.resolver.LookupNetIP(ctx, "ip", name+".")
	if err == nil && len(addresses) == 0 {
		err = errors.New("it has no address")
	}
	if err != nil {
		return nil, fmt.Errorf("resolving %q: %w", name, err)
	}
	b.remember(name, addresses)
	return addresses, nil
}

func (b *addressBook) remember(name string, addresses []netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.known) >= maxResolved {
		clear(b.known)
	}
	b.known[name] = resolved{addresses, b.now().Add(resolvedFor)}
}

// destination is where a connection may go: addresses that were checked.
type destination []netip.AddrPort

// destination resolves the place that route's requests for a are sent to, and
// checks every address. One that may not be reached refuses all: a name that
// mixes public and other addresses is how rebinding looks.
func (b *addressBook) destination(ctx context.Context, up *upstream, a authority) (destination, *refusal) {
	if up.connectTo != nil {
		a = *up.connectTo
	}
	addresses, err := b.lookup(ctx, a.host)
	if err != nil {
		return nil, refuse(http.StatusBadGateway, RuleUnresolved, "the host's resolver gives no address for this name").because(err)
	}
	var to destination
	for _, ip := range addresses {
		if err := addressAllowed(up.route, ip); err != nil {
			return nil, refuse(http.StatusForbidden, RuleAddress, "the name resolves to an address that this route may not reach").because(err)
		}
		if len(to) < maxAddresses {
			to = append(to, netip.AddrPortFrom(ip.Unmap(), a.port))
		}
	}
	return to, nil
}

func addressAllowed(route *policy.Route, ip netip.Addr) error {
	if mutation.On(mutation.EgressAddresses) {
		return nil
	}
	return policy.AddressAllowed(route, ip)
}

type destinationKey struct{}

func withDestination(ctx context.Context, to destination) context.Context {
	return context.WithValue(ctx, destinationKey{}, to)
}

// dialChecked connects to what withDestination put into ctx, and to nothing else.
func dialChecked(ctx context.Context, dial DialFunc) (net.Conn, error) {
	to, ok := ctx.Value(destinationKey{}).(destination)
	if !ok {
		return nil, errors.New("dialling without a checked destination")
	}
	return dialAny(ctx, dial, to)
}

// dialAny takes the first address that answers, giving each a head start.
func dialAny(ctx context.Context, dial DialFunc, to destination) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan dialled, len(to))
	var failed []error
	started := 0
	next := func() {
		if started < len(to) {
			address := to[started].String()
			go func() {
				conn, err := dial(ctx, "tcp", address)
				results <- dialled{conn, err}
			}()
			started++
		}
	}
	for next(); len(failed) < len(to); {
		select {
		case r := <-results:
			if r.err == nil {
				go closeRest(results, started-len(failed)-1)
				return r.conn, nil
			}
			failed = append(failed, r.err)
			next()
		case <-time.After(staggered):
			next()
		}
	}
	return nil, errors.Join(failed...)
}

type dialled struct {
	conn net.Conn
	err  error
}

// closeRest closes connections that came about after the first.
func closeRest(results <-chan dialled, count int) {
	for range count {
		if r := <-results; r.err == nil {
			r.conn.Close()
		}
	}
}
