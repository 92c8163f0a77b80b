// Package gvisor is the backend that runs a guest under gVisor's runsc, which
// the binary carries. It needs no daemon, no account and no root: Linux and
// usable user namespaces are enough.
//
// One mode serves root and everybody else alike. The helper runs confined (see
// internal/confine) with a user id that has no rights on the host: the caller's
// own, or, where root starts it, one that belongs to nobody. Neither the sandbox
// nor the gofer ever holds a capability on the host, so that what the guest can
// read is what that user can read, and the death of one process takes all.
package gvisor

import (
	"fmt"
	"path/filepath"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/policy"
)

// Name is the backend's word in flags, logs and reports.
const Name = "gvisor"

// Backend is the gvisor backend. Its zero value is not usable: see New.
type Backend struct {
	runs string
}

// New gives the backend, which keeps the record of a guest's processes in the
// run's folder below runs, beside the ledger: whoever reads the one finds the
// other.
func New(runs string) *Backend {
	if !filepath.IsAbs(runs) {
		panic(fmt.Sprintf("gvisor: %q is not absolute", runs))
	}
	return &Backend{runs: runs}
}

// Name is "gvisor".
func (*Backend) Name() string { return Name }

// Isolation is a kernel in user space.
func (*Backend) Isolation() policy.Isolation { return policy.IsolationGVisor }

// Handle names the guest by its run.
func (*Backend) Handle(s backends.Spec) (backends.Handle, error) {
	if s.Run == "" {
		return backends.Handle{}, fmt.Errorf("naming the guest: the run has no id")
	}
	return backends.Handle{Backend: Name, Run: s.Run, UserID: s.UserID}, nil
}
