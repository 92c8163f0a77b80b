package doors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
)

// StartOptions say how a sidecar is started. All but UID, GID and Stderr are
// required.
type StartOptions struct {
	Executable string // our binary; everybody may execute it
	// Listeners has one for each door that this sidecar is to serve. It gets
	// copies: the caller closes its own.
	Listeners map[decision.Door]*net.UnixListener
	// Decisions is the decision log, empty and open for appending. The sidecar
	// gets a copy.
	Decisions *os.File
	// UID and GID are what the sidecar runs as; 0 means as the caller.
	UID, GID int
	// Stderr takes what the sidecar prints: a crash, bounded and made harmless.
	// nil discards it.
	Stderr io.Writer
	// Git makes it the sidecar of the git-gate alone, which may run git; nil: it
	// may run nothing, and a git-gate that it serves is closed.
	Git *GitPlace
}

// GitPlace is where the git-gate's sidecar works, and with what.
type GitPlace struct {
	Dir     string   // empty folder of the sidecar's user, on a disk
	Program string   // path of git
	Ports   []uint16 // of the upstreams: nothing else can be connected to by TCP, but a resolver
}

// doors are those that have a listener, in the order of served.
func (o StartOptions) doors() []decision.Door {
	return slices.DeleteFunc(slices.Clone(served), func(d decision.Door) bool { return o.Listeners[d] == nil })
}

// check sees that each kind of sidecar is given its doors, and no others.
func (o StartOptions) check() error {
	given := o.doors()
	onlyGit := slices.Equal(given, []decision.Door{decision.GitGate})
	whole := slices.Contains(given, decision.Egress) && slices.Contains(given, decision.Supervise)
	if o.Git != nil && !onlyGit || o.Git == nil && !whole {
		return fmt.Errorf("starting the sidecar: it is given the doors %v", given)
	}
	return nil
}

// args are the sidecar's, behind its verb; see Main.
func (o StartOptions) args() []string {
	if g := o.Git; g != nil {
		var ports []string
		for _, p := range g.Ports {
			ports = append(ports, strconv.Itoa(int(p)))
		}
		return []string{gitRole, g.Dir, g.Program, o.Executable, strings.Join(ports, ",")}
	}
	var args []string
	for _, d := range o.doors() {
		args = append(args, string(d))
	}
	return args
}

// stopGrace is how long a sidecar may take to end by itself: it closes its
// connections and writes one line.
const stopGrace = 2 * time.Second

// Sidecar is a running sidecar, in the process that started it. It is safe for
// concurrent use.
type Sidecar struct {
	link  *link
	pid   int
	doors []decision.Door // that it serves
	git   bool            // the git-gate alone, with remotes
	kill  func()

	hardened chan struct{} // closed when measures is set
	measures []Measure
	done     chan struct{} // closed when err is set
	err      error

	mu      sync.Mutex
	last    uint64                 // id of an order
	waiting map[uint64]chan answer // of buffer 1
	seen    map[decision.Door]time.Time
	sighted chan struct{} // closed and replaced at each sighting
	ready   bool
	fault   *fault // the sidecar's last words
	stopped bool
}

// newSidecar takes over a started process, of which waited tells the end.
func newSidecar(conn *net.UnixConn, pid int, doors []decision.Door, kill func(), waited <-chan error) *Sidecar {
	s := &Sidecar{
		link: newLink(conn, maxAnswer), pid: pid, doors: doors, kill: kill,
		hardened: make(chan struct{}), done: make(chan struct{}),
		waiting: map[uint64]chan answer{}, seen: map[decision.Door]time.Time{}, sighted: make(chan struct{}),
	}
	silent := make(chan error, 1)
	go func() { silent <- s.read() }()
	go s.follow(silent, waited)
	return s
}

// read takes answers until the sidecar closes its socket or doesn't keep to the
// agreed form.
func (s *Sidecar) read() error {
	for {
		var a answer
		if err := s.link.receive(&a); err != nil {
			return err
		}
		s.take(a)
	}
}

func (s *Sidecar) take(a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case a.ID != 0:
		s.ready = s.ready || a.Ready != nil
		if to := s.waiting[a.ID]; to != nil {
			delete(s.waiting, a.ID)
			to <- a
		}
	case a.Hardened != nil && s.measures == nil:
		s.measures = a.Hardened
		close(s.hardened)
	case a.Seen != nil && slices.Contains(s.doors, a.Seen.Door):
		s.seen[a.Seen.Door] = a.Seen.Time
		close(s.sighted)
		s.sighted = make(chan struct{})
	case a.Fault != nil:
		s.fault = a.Fault
	}
}

// follow waits for the process to end, and ends one that nothing more can be
// heard of.
func (s *Sidecar) follow(silent, waited <-chan error) {
	defer close(s.done)
	defer s.link.conn.Close()
	var err error
	select {
	case err = <-waited:
		<-silent // its last words were read
	case cause := <-silent:
		err = s.end(cause, waited)
	}
	s.err = s.ending(err)
}

// end gives the process the time to end by itself, unless it broke the agreement.
func (s *Sidecar) end(cause error, waited <-chan error) error {
	s.mu.Lock()
	grace := stopGrace
	if !errors.Is(cause, errOver) && !s.stopped {
		grace = 0
	}
	s.mu.Unlock()
	select {
	case err := <-waited:
		return err
	case <-time.After(grace):
		s.kill()
		return errors.Join(cause, <-waited)
	}
}

// ending gives the reason for the end of a process that Wait gave err for.
func (s *Sidecar) ending(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.fault != nil && s.ready:
		return s.fault.err(term.StageWork)
	case s.fault != nil:
		return s.fault.err(term.StageLaunch)
	case err != nil:
		return fmt.Errorf("running the sidecar: %w", err)
	case !s.stopped:
		return errors.New("running the sidecar: it ended by itself")
	}
	return nil
}

// PID gives the id of the sidecar's process.
func (s *Sidecar) PID() int { return s.pid }

// Done is closed when the sidecar's process has ended.
func (s *Sidecar) Done() <-chan struct{} { return s.done }

// Err tells, after Done, why the sidecar ended; nil if Stop ended it.
func (s *Sidecar) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Configure waits until the sidecar has confined itself, tells it c, and returns
// when its doors are open. It is called once. A sidecar that can't serve c says
// why, and ends.
func (s *Sidecar) Configure(ctx context.Context, c Config) (Ready, error) {
	select {
	case <-s.hardened:
	case <-s.done:
		return Ready{}, s.gone()
	case <-ctx.Done():
		return Ready{}, fmt.Errorf("waiting for the sidecar to confine itself: %w", context.Cause(ctx))
	}
	w := c.wire()
	if s.git {
		w = c.forGit()
	}
	a, err := s.ask(ctx, order{Configure: w}, term.StageLaunch)
	if err != nil {
		return Ready{}, err
	}
	if a.Ready == nil {
		return Ready{}, errors.New("reading the sidecar's answer: it is none to a configuration")
	}
	ready := *a.Ready
	ready.Hardening = s.measures
	return ready, nil
}

// WaitProof returns when every door that it serves has seen the nonce, with the times at which
// they did. Where ctx ends first the error names the doors that haven't.
func (s *Sidecar) WaitProof(ctx context.Context) (map[decision.Door]time.Time, error) {
	for {
		s.mu.Lock()
		seen, sighted := maps.Clone(s.seen), s.sighted
		s.mu.Unlock()
		if len(seen) == len(s.doors) {
			return seen, nil
		}
		select {
		case <-sighted:
		case <-s.done:
			return seen, s.gone()
		case <-ctx.Done():
			return seen, fmt.Errorf("waiting for %s to see the nonce: %w", s.unseen(seen), context.Cause(ctx))
		}
	}
}

func (s *Sidecar) unseen(seen map[decision.Door]time.Time) string {
	var names []string
	for _, door := range s.doors {
		if _, ok := seen[door]; !ok {
			names = append(names, string(door))
		}
	}
	return strings.Join(names, ", ")
}

// EndProof makes the doors treat the nonce like any other request from now on.
func (s *Sidecar) EndProof(ctx context.Context) error {
	_, err := s.ask(ctx, order{EndProof: true}, term.StageProve)
	return err
}

// Phase names the stage of the job to which the doors' verdicts belong from now on.
func (s *Sidecar) Phase(ctx context.Context, name string) error {
	_, err := s.ask(ctx, order{Phase: name}, term.StageWork)
	return err
}

// Swap replaces the policy whole. When it returns nil, each request is judged by
// p, and what p no longer allows of those under way has been broken off. Where
// there is an error the old policy stays in force.
func (s *Sidecar) Swap(ctx context.Context, p policy.Policy) error {
	p = forDoors(p)
	_, err := s.ask(ctx, order{Swap: &p}, term.StageWork)
	return err
}

// ask sends o and waits for its answer. An answer that is a fault becomes an
// error of the stage.
func (s *Sidecar) ask(ctx context.Context, o order, stage term.Stage) (answer, error) {
	id, to := s.expect()
	defer s.forget(id)
	o.ID = id
	line, err := encode(o, maxOrder)
	if err != nil {
		return answer{}, err
	}
	// It blocks while the sidecar doesn't read. An error means that the sidecar
	// has closed its end, of which Done tells.
	go s.link.send(line)
	select {
	case a := <-to:
		if a.Fault != nil {
			return answer{}, a.Fault.err(stage)
		}
		return a, nil
	case <-s.done:
		return answer{}, s.gone()
	case <-ctx.Done():
		return answer{}, fmt.Errorf("waiting for the sidecar's answer: %w", context.Cause(ctx))
	}
}

// expect gives an order's id and what its answer will be sent to.
func (s *Sidecar) expect() (uint64, <-chan answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to := make(chan answer, 1)
	s.last++
	s.waiting[s.last] = to
	return s.last, to
}

func (s *Sidecar) forget(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, id)
}

// gone is what a caller is told whom the sidecar can't answer any more.
func (s *Sidecar) gone() error {
	if s.err != nil {
		return s.err
	}
	return errors.New("asking the sidecar: it was stopped")
}

// Stop ends the sidecar and waits until its process is gone: it closes the socket
// pair, on which the sidecar ends by itself, and kills it after two seconds or at
// the end of ctx. It gives what Err gives, and may be called again.
func (s *Sidecar) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.link.conn.Close()
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-s.done:
	case <-grace.C:
		s.kill()
	case <-ctx.Done():
		s.kill()
	}
	<-s.done
	return s.err
}
