// Package backends holds the seam between a job and what runs its guest.
//
// A backend creates and removes a guest; it has no way of its own to run
// anything in it. The guest's process 1 dials the control socket by itself, and
// commands, streams and the workspace go over that one connection, on every
// backend alike. Package backendtest is the kit that each backend has to pass.
package backends

import (
	"context"
	"net/netip"

	"github.com/bot-bottle/action/internal/guest/probe"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/preflight"
)

// Places inside every guest, whatever the backend.
const (
	GuestBinary    = "/bottle/bin/bot-bottle" // our static binary, read-only
	GuestDoors     = "/bottle/doors"          // the folder with the door sockets
	GuestEtc       = "/bottle/etc"            // what Spec.Files holds, read-only
	GuestHome      = "/home/agent"
	GuestWorkspace = "/workspace"
	AgentUser      = "agent"
	AgentID        = 1000 // user and group id of AgentUser
)

// Sockets in the doors folder, the only ones that a guest is given.
const (
	ControlSocket   = "control.sock"
	EgressSocket    = "egress.sock"
	GitGateSocket   = "git-gate.sock"
	SuperviseSocket = "supervise.sock"
)

// Spec describes one guest. It is the same for every backend.
type Spec struct {
	Run        string            // run id
	Alias      netip.Addr        // loopback address of the bottle in its guest
	Doors      string            // host folder with the door sockets, nothing else
	Disk       string            // host folder on a disk, for what the guest writes
	Executable string            // our static binary on the host
	UserID     int               // host user and group id to run as when we are root
	Image      policy.Image      // what the guest's file system is made from
	Isolation  policy.Isolation  // weakest acceptable
	Limits     policy.Limits     // complete: see policy.Limits.WithDefaults
	Root       bool              // root in the guest keeps the capabilities to install software
	Files      map[string][]byte // files below GuestEtc, by name; world-readable
}

// Handle names a guest to whoever has to remove it. It is what the obligation
// keeps: typed ids, never a path or a command.
type Handle struct {
	Backend string `json:"backend"`
	Run     string `json:"run"`
	UserID  int    `json:"user_id"` // the host's id of who calls at the doors
	// Engine is the random id of the daemon that has the guest, where one has.
	Engine string `json:"engine,omitempty"`
}

// Backend runs guests of one kind.
type Backend interface {
	// Name is the word in flags, logs and reports.
	Name() string
	// Isolation is what the backend gives.
	Isolation() policy.Isolation
	// Checks are what has to hold on this host for spec; what the backend
	// can't give, a limit for instance, fails here.
	Checks(Spec) []preflight.Check
	// Handle is pure: the same for the same Spec, before anything exists.
	Handle(Spec) (Handle, error)
	// Create makes what the guest needs, without running code of it.
	Create(context.Context, Spec, Handle) error
	// Start boots the guest. It returns when the guest's own processes run
	// or are about to; that it has come up shows at the control socket.
	Start(context.Context, Spec, Handle) (Guest, error)
	// Remove makes the guest absent: processes, mounts and files seen gone.
	// It is nil if they were so already, and works in any process.
	Remove(context.Context, Handle) error
}

// Guest is a started guest, in the process that started it.
type Guest interface {
	// Given reads from the machine what the running guest really has. It is
	// called once the guest has dialled control.
	Given(context.Context) (Given, error)
	// Wanted is what Given has to be.
	Wanted() Given
	// Done is closed when the guest is gone.
	Done() <-chan struct{}
	// Err tells, after Done, why; nil where it ended by itself.
	Err() error
	// Errnos says with which errors what is not there fails in this guest.
	Errnos() probe.Errnos
	// Held says for each limit how it is held ("memory": "watched every 20ms").
	Held() map[string]string
}
