package doors

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/doors/gitgate"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
)

// The first argument of a sidecar that isn't the egress door's.
const (
	gitRole        = "git"         // serves the git-gate
	gitProgramRole = "git-program" // becomes git, without a network
)

// gitRoom is a GitPlace as the sidecar was told it, before it confined itself.
type gitRoom struct {
	dir, program, executable string
	ports                    []uint16
}

func readGitRoom(args []string) (*gitRoom, error) {
	wrong := func() (*gitRoom, error) {
		return nil, term.Errorf(term.StageUsage, Verb, "reading the arguments: they are not a folder, git, our binary and ports: %q", args)
	}
	if len(args) != 4 {
		return wrong()
	}
	room := &gitRoom{dir: args[0], program: args[1], executable: args[2]}
	for _, path := range args[:3] {
		if !filepath.IsAbs(path) {
			return wrong()
		}
	}
	for p := range strings.SplitSeq(args[3], ",") {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return wrong()
		}
		room.ports = append(room.ports, uint16(n))
	}
	return room, nil
}

// gitServer is the configured sidecar of the git-gate.
type gitServer struct {
	log   *decision.FileLog
	proof *proof
	door  *gitgate.Door
	epoch atomic.Uint64
}

// firstGitID keeps the ids of the git-gate's lines apart from those of the doors
// that share the log.
const firstGitID = 1 << 40

// serveGit serves the git-gate until ctx ends, the supervisor closes the socket pair,
// or the door breaks.
func serveGit(ctx context.Context, in *inherited, l *link, room *gitRoom, first order) error {
	c := first.Configure
	if err := c.check(); err != nil {
		return err
	}
	if c.Git == nil {
		return errors.New("reading the configuration: it declares no git remote")
	}
	log, err := decision.OpenLog(in.decisions, decision.Options{FirstID: firstGitID})
	if err != nil {
		return err
	}
	log.SetPhase(string(term.StageProve))
	s := &gitServer{log: log}
	s.epoch.Store(c.Policy.Epoch)
	s.proof = newProof(c.Nonce, func(seen sighting) error { return l.tell(answer{Seen: &seen}) })
	if s.door, err = s.newDoor(c, room); err != nil {
		return err
	}
	listener := &peerListener{in.listeners[decision.GitGate], decision.GitGate, c.Peers, log, s.epoch.Load}
	doors, ctx := errgroup.WithContext(ctx)
	doors.Go(func() error { return s.door.Serve(ctx, listener) })
	doors.Go(func() error { return obey(ctx, l, func(o order) error { return s.do(ctx, o) }) })
	if err := l.tell(answer{ID: first.ID, Ready: &Ready{}}); err != nil {
		return err
	}
	<-ctx.Done()
	err = within(closeGrace, doors.Wait)
	if errors.Is(err, errOver) {
		err = nil
	}
	return errors.Join(err, log.Close())
}

func (s *gitServer) newDoor(c *wireConfig, room *gitRoom) (*gitgate.Door, error) {
	home := filepath.Join(room.dir, "home")
	o := gitgate.Options{
		Dir: room.dir, Log: s.log, Epoch: s.epoch.Load, Intercept: s.proof.at(decision.GitGate),
		Git:  gitgate.Git{Program: room.program, Home: home, Wrap: []string{room.executable, Verb, gitProgramRole}},
		Peer: func(c net.Conn) string { return c.RemoteAddr().String() },
	}
	for _, r := range c.Git.Remotes {
		repository, err := r.repository()
		if err != nil {
			return nil, err
		}
		o.Repositories = append(o.Repositories, repository)
	}
	judge, err := gitgate.NewJudge(gitgate.JudgeOptions{Known: c.Git.known(), Protected: c.Git.protected()})
	if err != nil {
		return nil, err
	}
	o.Judge = judge
	return gitgate.New(o)
}

func (w *wireGit) known() []secret.Value {
	var known []secret.Value
	for _, k := range w.Known {
		known = append(known, secret.New(k.Name, k.Value))
	}
	return known
}

// protected are the paths that the bottle lets a push change although a forge would
// run them, by repository.
func (w *wireGit) protected() map[string][]string {
	all := map[string][]string{}
	for _, r := range w.Remotes {
		all[r.Name] = r.Protected
	}
	return all
}

func (r wireRemote) repository() (gitgate.Repository, error) {
	upstream, err := gitgate.ParseUpstream(r.URL, r.HostKey)
	if err != nil {
		return gitgate.Repository{}, fmt.Errorf("reading the git remote %q: %w", r.Name, err)
	}
	if upstream.Signer, err = ssh.ParsePrivateKey([]byte(r.Key)); err != nil {
		return gitgate.Repository{}, fmt.Errorf("reading the key of the git remote %q: %w", r.Name, keyError(err))
	}
	repository := gitgate.Repository{Name: r.Name, Upstream: upstream, Also: r.Also}
	if len(r.Push) > 0 {
		repository.Push = &gitgate.PushRules{Refs: r.Push, MaxBytes: r.MaxBytes, HostWorkflows: r.HostWorkflows}
	}
	return repository, nil
}

// keyError doesn't quote the key.
func keyError(err error) error {
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return errors.New("it has a passphrase, and nobody is there to type it")
	}
	return errors.New("it is no private key in PEM")
}

func (s *gitServer) do(ctx context.Context, o order) error {
	switch {
	case o.Workflows != nil:
		return s.door.Workflows(ctx, o.Workflows.Remote, o.Workflows.Commit)
	case o.EndProof:
		s.proof.end()
		return nil
	case o.Swap != nil:
		s.epoch.Store(o.Swap.Epoch)
		if len(o.Swap.Git) == 0 {
			s.door.Shut()
		}
		return nil
	case o.Phase != "":
		s.log.SetPhase(o.Phase)
		return nil
	}
	return errors.New("obeying an order: this sidecar doesn't know it")
}
