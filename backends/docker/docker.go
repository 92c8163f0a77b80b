// Package docker is the backend that runs a guest in a container of a Docker
// Engine on this host, under gVisor's runsc where that is registered with the
// engine, and else under runc.
//
// What it promises: no network but a loopback of the guest's own; doors by a
// read-only bind of one folder; of the host's files only what package guestroot
// says, read-only; process 1 with four capabilities and the agent with none; a
// system call filter of our own; limits held by control groups. Whatever the
// engine was told is read back from it before the guest starts, and from the host's
// kernel once it runs.
//
// What it does not promise: under runc the host's kernel is the only boundary. A
// hole in it is a way out, which is why such a guest counts as
// policy.IsolationContainer. And whoever may use the engine is root on this host:
// so may this process be.
package docker

import (
	"context"
	"fmt"
	"time"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/policy"
)

// Name is the backend's word in flags, logs and reports.
const Name = "docker"

// landsIn is how long the engine may take with a request whose sender has died. A
// container is made in well under a second; a host that swaps takes tens.
const landsIn = time.Minute

// Options are the host's settings. None of them may come from a job.
type Options struct {
	// Host is where the engine listens, as in $DOCKER_HOST; empty means the usual
	// socket. Only sockets of this host are taken.
	Host string
	// Runner says that a CI runner started this process: then Host, which the job
	// can set, has to be the usual socket.
	Runner bool
	// Runtime is the engine's name of the OCI runtime; empty means the strongest
	// that is registered.
	Runtime string
	// HostID marks containers as this state folder's (ledger.Ledger.HostID).
	HostID string
}

// Backend is the docker backend. See New and Look.
type Backend struct {
	options Options
	engine  *engine // what Look found; nil where nobody has looked
}

// New gives the backend, which has not looked at the engine yet: it can Remove, and
// it can Look.
func New(o Options) *Backend {
	if o.HostID == "" {
		panic("docker: a backend without a host id would own every container")
	}
	return &Backend{options: o}
}

// Name is "docker".
func (*Backend) Name() string { return Name }

// Look asks the engine what it is and gives the backend for that. What is wrong
// with it shows in Checks.
func (b *Backend) Look(ctx context.Context) backends.Backend {
	return &Backend{options: b.options, engine: look(ctx, b.options)}
}

// looked gives what Look found.
func (b *Backend) looked() *engine {
	if b.engine == nil {
		panic("docker: used before Look")
	}
	return b.engine
}

// Isolation is a kernel in user space under runsc, else a container; also before
// Look, since nothing is known then.
func (b *Backend) Isolation() policy.Isolation {
	if b.engine != nil && b.engine.runtime.gvisor {
		return policy.IsolationGVisor
	}
	return policy.IsolationContainer
}

// LandsIn is how long after its request a container can still come about.
func (*Backend) LandsIn() time.Duration { return landsIn }

// Handle names the guest by its run, and the engine that has it. Its user is the
// host's id of the container's root, who calls at the doors.
func (b *Backend) Handle(s backends.Spec) (backends.Handle, error) {
	if s.Run == "" {
		return backends.Handle{}, fmt.Errorf("naming the guest: the run has no id")
	}
	e := b.looked()
	return backends.Handle{Backend: Name, Run: s.Run, UserID: e.root, Engine: e.info.ID}, nil
}

// containerName is the name of the run's container. It is what a later process
// finds it by, but what is found is ours only with our labels.
func containerName(run string) string { return "bb-" + run }

// Labels of our containers.
const (
	labelHost = "bot-bottle.host" // Options.HostID
	labelRun  = "bot-bottle.run"
)

func (b *Backend) labels(run string) map[string]string {
	return map[string]string{labelHost: b.options.HostID, labelRun: run}
}
