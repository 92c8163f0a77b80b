package runner

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/internal/doors"
	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/guest"
	"github.com/bot-bottle/action/internal/guest/control"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/journal"
)

// User ids on the host that belong to nobody: above those that systemd gives to
// containers (up to 1879048191, systemd's UIDS-GIDS document) and below 2^31,
// which some file systems can't store. Each bottle has three of its own, by its
// alias.
const (
	guestUsers   = 1_900_000_000
	sidecarUsers = 1_920_000_000
	gitUsers     = 1_940_000_000
)

// offset gives the alias's place among those of 127.0.0.0/8.
func offset(alias netip.Addr) int {
	a := alias.As4()
	return int(a[1])<<16 | int(a[2])<<8 | int(a[3])
}

func guestUser(alias netip.Addr) int   { return userFor(guestUsers, alias) }
func sidecarUser(alias netip.Addr) int { return userFor(sidecarUsers, alias) }
func gitUser(alias netip.Addr) int     { return userFor(gitUsers, alias) }

// userFor gives the id to run as: an own one when we are root, else ours.
func userFor(base int, alias netip.Addr) int {
	if uid := os.Getuid(); uid != 0 {
		return uid
	}
	return base + offset(alias)
}

// bootTimeout bounds the time from starting the guest to its call on control.
const bootTimeout = time.Minute

// Started is a guest that has been started and has shown nothing yet. Only its
// Prove leads on.
type Started struct {
	*run
}

// launch takes r from nothing to a started guest whose policy was read back.
func (r *run) launch(ctx context.Context) (*Started, error) {
	for _, step := range []func(context.Context) error{r.leaseAlias, r.makeFolders, r.mintKeys, r.startSidecar, r.checkWorkflows, r.startGuest, r.verifyGiven} {
		if err := step(ctx); err != nil {
			return nil, inStage(term.StageLaunch, err)
		}
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause // a step that doesn't wait may not have noticed
		}
	}
	return &Started{r}, nil
}

func (r *run) leaseAlias(ctx context.Context) error {
	return r.journal.Effect(ctx, kindAlias, runArgs{r.id}, journal.Local, func(ctx context.Context) (err error) {
		r.alias, err = r.deps.Ledger.LeaseAlias(ctx, r.id)
		return err
	})
}

// makeFolders makes the run's own folders: for the supervisor, for the doors, and
// for what the guest writes.
func (r *run) makeFolders(ctx context.Context) error {
	places := r.deps.Places
	root, err := places.ref()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		kind  string
		args  any
		paths []string
	}{
		{kindWorkFolder, runArgs{r.id}, []string{places.workFolder(r.id)}},
		{kindRunFolder, runFolderArgs{runArgs{r.id}, root}, []string{places.runFolder(r.id), places.doors(r.id)}},
		{kindDisk, runArgs{r.id}, []string{places.disk(r.id)}},
	} {
		err := r.journal.Effect(ctx, f.kind, f.args, journal.Local, func(context.Context) error {
			for _, path := range f.paths {
				if err := os.Mkdir(path, 0o700); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// doorSockets names the socket of each door.
var doorSockets = map[decision.Door]string{
	decision.Egress:    backends.EgressSocket,
	decision.GitGate:   backends.GitGateSocket,
	decision.Supervise: backends.SuperviseSocket,
}

// doorPorts are the doors' ports on the alias.
var doorPorts = map[decision.Door]uint16{
	decision.Egress:    decision.EgressPort,
	decision.GitGate:   decision.GitGatePort,
	decision.Supervise: decision.SupervisePort,
}

// listen binds a socket among the doors. The folder above is closed to all
// others, so that the socket's own mode is the second line.
func (r *run) listen(name string) (*net.UnixListener, error) {
	path := filepath.Join(r.deps.Places.doors(r.id), name)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("binding %q: %w", path, err)
	}
	l.SetUnlinkOnClose(false) // the run's folder goes as a whole
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("closing %q to others: %w", path, err)
	}
	return l, nil
}

// startSidecar binds the doors, hands them to the sidecar and gives it the policy
// and the tokens.
func (r *run) startSidecar(ctx context.Context) error {
	listeners, opened := map[decision.Door]*net.UnixListener{}, []*net.UnixListener{}
	defer func() {
		for _, l := range opened {
			l.Close() // the sidecar has its own copy
		}
	}()
	for door, name := range doorSockets {
		l, err := r.listen(name)
		if err != nil {
			return err
		}
		listeners[door], opened = l, append(opened, l)
	}
	if mutation.On(mutation.GuestSocket) {
		if _, err := r.listen("another.sock"); err != nil {
			return err
		}
	}
	decisions, err := os.OpenFile(filepath.Join(r.reportDir, decisionsFile), os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the decision log: %w", err)
	}
	defer decisions.Close()
	options := []doors.StartOptions{{
		Executable: "/proc/self/exe", Listeners: listeners, Decisions: decisions,
		UID: sidecarUser(r.alias), GID: sidecarUser(r.alias), Stderr: r.deps.Log,
	}}
	if len(r.plan.Policy.Git) > 0 {
		git, err := r.gitGate(ctx, listeners, decisions)
		if err != nil {
			return err
		}
		options = append(options, git)
	}
	err = r.journal.Effect(ctx, kindSidecar, runArgs{r.id}, journal.Local, func(ctx context.Context) error { return r.startSidecars(ctx, options) })
	if err != nil {
		return err
	}
	return r.configureSidecar(ctx)
}

// startSidecars starts and records each, and makes one of them.
func (r *run) startSidecars(ctx context.Context, options []doors.StartOptions) error {
	var started []*doors.Sidecar
	for i, o := range options {
		s, err := doors.Start(ctx, o)
		if err != nil {
			return err // those that were started end with us, by their sockets
		}
		started = append(started, s)
		r.sidecar = doors.NewGroup(started...)
		record, err := confine.RecordOf(s.PID(), 0)
		if err != nil {
			return fmt.Errorf("recording the sidecar's process: %w", err)
		}
		if err := confine.WriteRecord(filepath.Join(r.deps.Places.workFolder(r.id), sidecarRecords[i]), record); err != nil {
			return err
		}
	}
	return nil
}

// nonceBytes is enough that no guest can guess it.
const nonceBytes = 16

func newNonce() string {
	b := make([]byte, nonceBytes)
	rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

func (r *run) configureSidecar(ctx context.Context) error {
	handle, err := r.handle()
	if err != nil {
		return err
	}
	r.nonce, r.canary = newNonce(), r.newCanary()
	ready, err := r.sidecar.Configure(ctx, doors.Config{
		Policy: r.plan.Policy,
		Tokens: r.plan.tokens(),
		Known:  append(r.plan.inGuest(), r.canary.known()),
		Nonce:  r.nonce,
		Peers:  []int{handle.UserID},

		Resolver: r.plan.Resolver,
		Prices:   r.deps.Prices,
		Git:      r.gitConfig(),
	})
	if err != nil {
		return fmt.Errorf("configuring the sidecar: %w", err)
	}
	r.ready = ready
	return nil
}

// startGuest boots the guest and waits for its call on control.
func (r *run) startGuest(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bootTimeout, fmt.Errorf("the guest has not called within %v", bootTimeout))
	defer cancel()
	listener, err := r.listen(backends.ControlSocket)
	if err != nil {
		return err
	}
	defer listener.Close()
	spec, err := r.guestSpec()
	if err != nil {
		return err
	}
	handle, err := r.handle()
	if err != nil {
		return err
	}
	err = r.journal.Effect(ctx, kindGuest, handle, backends.LandsIn(r.backend), func(ctx context.Context) error {
		err := r.boot(ctx, spec, handle)
		if backends.IsAnswered(err) {
			return journal.Over(err)
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.connect(ctx, listener, handle.UserID)
}

// handle names the guest, before and after there is one.
func (r *run) handle() (backends.Handle, error) {
	return r.backend.Handle(r.plan.spec(r.deps, r.id, r.alias))
}

func (r *run) boot(ctx context.Context, spec backends.Spec, handle backends.Handle) (err error) {
	if err := r.backend.Create(ctx, spec, handle); err != nil {
		return err
	}
	r.guest, err = r.backend.Start(ctx, spec, handle)
	return err
}

// guestSpec is the plan's guest with what only the launch knows.
func (r *run) guestSpec() (backends.Spec, error) {
	spec := r.plan.spec(r.deps, r.id, r.alias)
	trust, err := guest.TrustStore([]byte(r.ready.CAPEM))
	if err != nil {
		return spec, fmt.Errorf("making the trust store for Java: %w", err)
	}
	spec.Files = map[string][]byte{caFile: []byte(r.ready.CAPEM), trustFile: trust}
	return spec, nil
}

// Files below backends.GuestEtc.
const (
	caFile    = "ca.pem"
	trustFile = "ca.p12"
)

// connect takes the guest's one call on control, of the host's user caller. A guest
// that dies before it calls ends the wait.
func (r *run) connect(ctx context.Context, listener *net.UnixListener, caller int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-r.guest.Done():
			cancel(fmt.Errorf("the guest ended before it called: %w", orUnknown(r.guest.Err())))
		case <-ctx.Done():
		}
	}()
	conn, err := control.Accept(ctx, listener, func(_, uid int) error {
		if uid != caller {
			return fmt.Errorf("user %d called instead of %d", uid, caller)
		}
		return nil
	})
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("waiting for the guest's call: %w", err)
	}
	r.control = conn
	return r.control.Setup(ctx, r.setup())
}

// setup is what process 1 of the guest brings up.
func (r *run) setup() guest.Setup {
	s := guest.Setup{
		Alias: r.alias.String(),
		Tasks: r.tasks(),
		Owned: []guest.Owned{
			{Path: backends.GuestHome, UID: backends.AgentID, GID: backends.AgentID},
			{Path: backends.GuestWorkspace, UID: backends.AgentID, GID: backends.AgentID},
		},
	}
	for door, port := range doorPorts {
		s.Forwards = append(s.Forwards, guest.Forward{Port: port, Socket: path.Join(backends.GuestDoors, doorSockets[door])})
	}
	return s
}

// tasks is the limit that process 1 is to hold; 0 where the backend does.
func (r *run) tasks() int {
	if backends.HoldsTasks(r.guest) || mutation.On(mutation.LimitPIDs) {
		return 0
	}
	return r.plan.Policy.Limits.WithDefaults().PIDs
}

func orUnknown(err error) error {
	if err == nil {
		return fmt.Errorf("without a reason")
	}
	return err
}

// verifyGiven compares what the running guest has with what it was to be given.
func (r *run) verifyGiven(ctx context.Context) error {
	given, err := r.guest.Given(ctx)
	if err != nil {
		return fmt.Errorf("reading what the guest was given: %w", err)
	}
	r.given = given
	if mutation.On(mutation.GivenUnread) {
		return nil
	}
	return backends.Verify(r.guest.Wanted(), given)
}

// inStage gives err the stage where it has none of its own.
func inStage(stage term.Stage, err error) error {
	if err == nil || term.StageOf(err, "") != "" {
		return err
	}
	return &term.Error{Stage: stage, Err: err}
}
