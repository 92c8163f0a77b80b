package runner

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"path/filepath"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/collector"
	"github.com/bot-bottle/action/internal/guest/probe"
)

// What a trial may know of the guest that it is made in.

// Alias is the bottle's address in its guest.
func (p *Proven) Alias() netip.Addr { return p.alias }

// GuestCA is where the certificate of the egress door lies in the guest.
func (p *Proven) GuestCA() string { return path.Join(backends.GuestEtc, caFile) }

// Errnos is the backend's table of what is not there.
func (p *Proven) Errnos() probe.Errnos { return p.guest.Errnos() }

// Backend is the name of what runs the guest.
func (p *Proven) Backend() string { return p.backend.Name() }

// RunID is the job's.
func (p *Proven) RunID() string { return p.id }

// Decisions is the path of what the doors wrote down.
func (p *Proven) Decisions() string { return filepath.Join(p.reportDir, decisionsFile) }

// Folders are those of the host that are mounted in, or lie beside what is: where
// something can be planted that the guest must not reach.
func (p *Proven) Folders() []collector.Folder {
	return []collector.Folder{
		{Host: p.deps.Places.runFolder(p.id), Guest: []string{path.Dir(backends.GuestDoors)}},
		{Host: p.deps.Places.disk(p.id), Guest: []string{"/", backends.GuestWorkspace}},
	}
}

// Recheck compares once more what the running guest has with what it was to be
// given, and tells what the sidecar could not confine of itself.
func (p *Proven) Recheck(ctx context.Context) error {
	given, err := p.guest.Given(ctx)
	if err != nil {
		return fmt.Errorf("reading what the guest was given: %w", err)
	}
	if err := backends.Verify(p.guest.Wanted(), given); err != nil {
		return err
	}
	for _, m := range p.ready.Hardening {
		if !m.Held {
			return fmt.Errorf("the sidecar is not confined by %s: %s", m.Name, m.Detail)
		}
	}
	return nil
}
