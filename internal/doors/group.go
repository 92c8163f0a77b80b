package doors

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/policy"
)

// Group is the sidecars of one bottle, as one: the doors' own, and the git-gate's
// where the bottle declares a remote. It is safe for concurrent use.
type Group struct {
	all  []*Sidecar
	done chan struct{} // closed when the first has ended
}

// NewGroup makes one of running sidecars.
func NewGroup(all ...*Sidecar) *Group {
	g := &Group{all: all, done: make(chan struct{})}
	ended := make(chan struct{}, len(all))
	for _, s := range all {
		go func() {
			<-s.Done()
			ended <- struct{}{}
		}()
	}
	go func() {
		<-ended
		close(g.done)
	}()
	return g
}

// each does the same for all, side by side, and gives all their errors.
func (g *Group) each(do func(i int, s *Sidecar) error) error {
	errs := make(chan error, len(g.all))
	for i, s := range g.all {
		go func() { errs <- do(i, s) }()
	}
	var all []error
	for range g.all {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// PIDs gives the ids of the processes, in the order of NewGroup.
func (g *Group) PIDs() []int {
	var pids []int
	for _, s := range g.all {
		pids = append(pids, s.PID())
	}
	return pids
}

// Configure configures all, as Sidecar.Configure. A measure holds where it does in
// each.
func (g *Group) Configure(ctx context.Context, c Config) (Ready, error) {
	list := make([]Ready, len(g.all))
	err := g.each(func(i int, s *Sidecar) (err error) {
		list[i], err = s.Configure(ctx, c)
		return err
	})
	if err != nil {
		return Ready{}, err
	}
	ready := list[0]
	ready.Hardening = slices.Clone(ready.Hardening)
	for _, other := range list[1:] {
		ready.Hardening = together(ready.Hardening, other.Hardening)
	}
	return ready, nil
}

// together keeps of each measure the one that doesn't hold.
func together(a, b []Measure) []Measure {
	for i, m := range a {
		for _, n := range b {
			if m.Name == n.Name && m.Held && !n.Held {
				a[i] = n
			}
		}
	}
	return a
}

// WaitProof returns when every door has seen the nonce, as Sidecar.WaitProof.
func (g *Group) WaitProof(ctx context.Context) (map[decision.Door]time.Time, error) {
	list := make([]map[decision.Door]time.Time, len(g.all))
	err := g.each(func(i int, s *Sidecar) (err error) {
		list[i], err = s.WaitProof(ctx)
		return err
	})
	seen := map[decision.Door]time.Time{}
	for _, one := range list {
		maps.Copy(seen, one)
	}
	return seen, err
}

// EndProof ends the proof at all doors.
func (g *Group) EndProof(ctx context.Context) error {
	return g.each(func(_ int, s *Sidecar) error { return s.EndProof(ctx) })
}

// Phase names the stage of the job to which verdicts belong from now on.
func (g *Group) Phase(ctx context.Context, name string) error {
	return g.each(func(_ int, s *Sidecar) error { return s.Phase(ctx, name) })
}

// Swap replaces the policy whole, as Sidecar.Swap.
func (g *Group) Swap(ctx context.Context, p policy.Policy) error {
	return g.each(func(_ int, s *Sidecar) error { return s.Swap(ctx, p) })
}

// Done is closed when the first sidecar has ended: the others serve a bottle that is
// broken.
func (g *Group) Done() <-chan struct{} { return g.done }

// Err tells, after Done, why the sidecars ended; nil if Stop ended them.
func (g *Group) Err() error {
	var errs []error
	for _, s := range g.all {
		errs = append(errs, s.Err())
	}
	return errors.Join(errs...)
}

// Stop ends all, as Sidecar.Stop.
func (g *Group) Stop(ctx context.Context) error {
	return g.each(func(_ int, s *Sidecar) error { return s.Stop(ctx) })
}
