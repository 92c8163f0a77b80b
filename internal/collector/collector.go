// Package collector is the host's half of the proof: recording listeners, sockets
// and files at every place of the host that a guest could reach if its
// confinement were broken. What arrives there is a hit.
//
// # How it is used
//
// Start them, show them alive (Alive), have the guest make the Tries, take what
// they got (Got), and close. All of it is a matter of milliseconds: they are the
// only time that something of ours listens on TCP.
//
// # What it promises
//
// A collector counts as alive only if it has shown a touch of the host's own,
// which carries a token that nobody else knows. Got touches each once more and
// waits for that touch, so that what arrived before is among the hits, and the
// collector was alive to the end. Everything but these touches is a hit, whether
// it carries the boot's nonce or not. What a host can't have, an IPv6 address for
// instance, is listed as absent.
//
// # What it does not promise
//
// Anybody who can connect to the host for that moment can cause a hit, and so
// make a proof fail; nobody can make one hold. There is no collector for vsock:
// there the VMM's own map is the evidence.
package collector

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/bot-bottle/action/internal/guest/probe"
)

// Options say what the collectors wait for and where.
type Options struct {
	// Nonce is of this boot. It is what a try of the guest's sends.
	Nonce string
	// Alias is the bottle's. Nothing listens there by itself, but what listens
	// on all addresses is tried by it.
	Alias netip.Addr
	// Folders are those in which a socket and a file are planted.
	Folders []Folder
}

// Folder is a folder of the host in which a socket and a 0600 file are planted,
// and every path by which the guest would find it if it could. What is planted
// goes with Close; so that it also goes when this process is killed, the folder
// should be one that somebody removes as a whole.
type Folder struct {
	Host  string
	Guest []string // folders in the guest, besides Host itself
}

// Set is a set of collectors. Its methods may be called at the same time, but for
// Close, which comes last.
type Set struct {
	nonce, token string
	mark         string // tells what this set plants; short, because the path of a socket has only 108 bytes
	members      []member
	absent       []probe.Collector

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when anything below changes
	hits    []probe.Hit
	open    map[string]int // by name: arrivals that are being read
	touched map[string]int // by name: own touches that have come
	alive   map[string]bool
	round   int // of touches
}

// member is one collector.
type member interface {
	describe() probe.Collector
	// touch makes the token arrive, or says why it can't. The first round shows
	// that the collector records what a guest would do.
	touch(ctx context.Context, round int) error
	// close ends it and waits until it records no more.
	close()
}

// errAbsent is the reason of a collector that this host can't have.
var errAbsent = errors.New("this host has none")

// Start starts the collectors. Those that every host has must start; the others
// are absent, with the reason, where the host lacks the address or the folder
// can't be written.
func Start(ctx context.Context, o Options) (*Set, error) {
	if o.Nonce == "" || !o.Alias.Is4() {
		panic("collector: starting without a nonce or an alias")
	}
	s := &Set{
		nonce: o.Nonce, token: rand.Text(), mark: strings.ToLower(rand.Text()[:8]), changed: make(chan struct{}),
		open: map[string]int{}, touched: map[string]int{}, alive: map[string]bool{},
	}
	for _, w := range s.wanted(o) {
		m, err := w.start(ctx)
		switch {
		case err == nil:
			s.members = append(s.members, m)
		case absent(err) && w.optional:
			s.absent = append(s.absent, probe.Collector{Name: w.name, Absent: err.Error()})
		default:
			s.Close()
			return nil, fmt.Errorf("starting collector %q: %w", w.name, err)
		}
	}
	return s, nil
}

// want is a collector to be started.
type want struct {
	name     string
	optional bool // hosts without it exist
	start    func(context.Context) (member, error)
}

// Tries gives every try that would reach a collector if there were a path.
func (s *Set) Tries() []probe.Try {
	var all []probe.Try
	for _, m := range s.members {
		all = append(all, m.describe().Tries...)
	}
	return all
}

// Collectors describes all, and those that are absent after them. Alive tells
// whether the last Alive or Got has shown it.
func (s *Set) Collectors() []probe.Collector {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []probe.Collector
	for _, m := range s.members {
		c := m.describe()
		c.Alive = s.alive[c.Name]
		all = append(all, c)
	}
	return append(all, s.absent...)
}

// Alive touches every collector and waits until each has shown its touch, or ctx
// is done. The error names those that have not.
func (s *Set) Alive(ctx context.Context) error { return s.touchAll(ctx) }

// Got touches every collector once more, waits as Alive does, and gives what
// arrived besides our touches since Start. The hits count also where there is an
// error, which means that there may be more.
func (s *Set) Got(ctx context.Context) ([]probe.Hit, error) {
	s.mu.Lock()
	shown := s.round > 0
	s.mu.Unlock()
	if !shown {
		return nil, errors.New("taking what the collectors got: they were not shown alive before")
	}
	err := s.touchAll(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.hits), err
}

func (s *Set) touchAll(ctx context.Context) error {
	s.mu.Lock()
	s.round++
	round := s.round
	clear(s.alive)
	s.mu.Unlock()
	var touches sync.WaitGroup
	errs := make([]error, len(s.members))
	for i, m := range s.members {
		touches.Go(func() {
			name := m.describe().Name
			if errs[i] = m.touch(ctx, round); errs[i] == nil {
				errs[i] = s.await(ctx, name, round)
			}
			if errs[i] != nil {
				errs[i] = fmt.Errorf("touching collector %q: %w", name, errs[i])
			}
		})
	}
	touches.Wait()
	return errors.Join(errs...)
}

// await waits until the collector has shown as many touches as there were rounds,
// and has read everything that came before.
func (s *Set) await(ctx context.Context, name string, round int) error {
	for {
		s.mu.Lock()
		if s.touched[name] >= round && s.open[name] == 0 {
			s.alive[name] = true
			s.mu.Unlock()
			return nil
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for it to show: %w", context.Cause(ctx))
		}
	}
}

// Close ends the collectors and removes what they planted.
func (s *Set) Close() {
	for _, m := range s.members {
		m.close()
	}
	s.members = nil
}

// absent tells whether err means that the host lacks something, rather than that
// something is wrong.
func absent(err error) bool {
	return errors.Is(err, errAbsent) || errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) || lacking(err)
}
