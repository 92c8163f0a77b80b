package doors

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/term"
)

// Main is the sidecar: what the hidden verb runs in the process that Start has
// started. In this order it
//
//  1. takes over the files that it inherited, and reads the host's root
//     certificates;
//  2. confines itself: not dumpable, no core file, Landlock (where the kernel has
//     it: nothing but what name resolution reads, no signal and no abstract
//     socket outside), and a list of the system calls that are left; then reads
//     back, for each of its threads, that this and what Start took away holds;
//  3. says so and waits to be configured;
//  4. opens the doors, and serves until the supervisor closes the socket pair.
//
// It returns nil then, and an error where a step fails or a door breaks, which
// the supervisor is told too.
//
// args, those after the verb, are the doors that it serves, in the order of their
// listeners. The git-gate's own sidecar has "git" and its GitPlace, and
// what it runs git by "git-program" and the command line.
func Main(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == gitProgramRole {
		return becomeGit(args[1:])
	}
	r, err := readRole(args)
	if err != nil {
		return err
	}
	in, err := inherit(r.doors)
	if err != nil {
		return err
	}
	l := newLink(in.config, maxOrder)
	defer in.config.Close()
	err = serve(ctx, in, l, r)
	if errors.Is(err, errOver) {
		return nil
	}
	if err != nil {
		l.tell(answer{Fault: faultOf(err)}) // who doesn't hear it sees us end
	}
	return err
}

// tell sends an answer.
func (l *link) tell(a answer) error {
	line, err := encode(a, maxAnswer)
	if err != nil {
		return err
	}
	return l.send(line)
}

// role is what this sidecar is for.
type role struct {
	doors []decision.Door
	git   *gitRoom // nil: it serves no git
}

func readRole(args []string) (role, error) {
	if len(args) > 0 && args[0] == gitRole {
		room, err := readGitRoom(args[1:])
		return role{[]decision.Door{decision.GitGate}, room}, err
	}
	var r role
	for _, a := range args {
		if !slices.Contains(served, decision.Door(a)) {
			return r, term.Errorf(term.StageUsage, Verb, "reading the arguments: %q is no door", a)
		}
		r.doors = append(r.doors, decision.Door(a))
	}
	return r, nil
}

func serve(ctx context.Context, in *inherited, l *link, r role) error {
	roots := systemRoots()
	measures, err := harden(r.git)
	if err != nil {
		return fmt.Errorf("confining the sidecar: %w", err)
	}
	if err := l.tell(answer{Hardened: measures}); err != nil {
		return err
	}
	var first order
	if err := l.receive(&first); err != nil {
		return err // errOver: the launch was given up
	}
	if first.Configure == nil {
		return errors.New("receiving the configuration: the first order is another")
	}
	if r.git != nil {
		return serveGit(ctx, in, l, r.git, first)
	}
	s, err := newServer(in, l, first.Configure, roots)
	if err != nil {
		return err
	}
	return s.run(ctx, first.ID)
}

// systemRoots reads the host's root certificates while files can be read. Without
// any no upstream is verified, unless its route has CAs of its own.
func systemRoots() *x509.CertPool {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return x509.NewCertPool()
	}
	return roots
}

// closeGrace is how long the doors may take to close; the supervisor waits a
// little longer.
const closeGrace = stopGrace * 3 / 4

// within gives the result of do, or an error when it takes too long.
func within(grace time.Duration, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(grace):
		return fmt.Errorf("closing the doors: not done within %v", grace)
	}
}
