package gvisor

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/hostproc"
	"github.com/bot-bottle/action/internal/confine"
)

// Names of the host's processes that serve a guest, from their argv[0].
const (
	gofer   = "runsc-gofer"
	sandbox = "runsc-sandbox"
)

// Given reads what the guest has from the proc files of its processes.
func (g *guest) Given(context.Context) (backends.Given, error) {
	var given backends.Given
	pids, err := hostproc.Descendants(g.process.Record().Inner.PID)
	if err != nil {
		return given, err
	}
	for _, pid := range pids {
		name := hostproc.Argv0(pid)
		if name != gofer && name != sandbox {
			continue
		}
		p, err := hostproc.Read(name, pid)
		if err != nil {
			return given, fmt.Errorf("reading process %d (%s): %w", pid, name, err)
		}
		given.Processes = append(given.Processes, p)
		if name == sandbox {
			given.Interfaces, err = hostproc.Interfaces(pid)
		} else {
			given.Shares, err = shares(pid)
		}
		if err != nil {
			return given, err
		}
	}
	given.Sockets, err = hostproc.Names(g.spec.Doors)
	return given, err
}

// shares lists the mounts of the gofer's file system, which is the guest's root.
func shares(pid int) ([]backends.Share, error) {
	mounts, err := hostproc.Mounts(pid)
	var found []backends.Share
	for _, m := range mounts {
		found = append(found, backends.Share{Target: m.Target, ReadOnly: m.ReadOnly})
	}
	slices.SortFunc(found, byTarget)
	return found, err
}

// wantedShares are the root, what the layout binds below it, and our own places;
// all read-only, because what the guest writes goes to the overlay.
func wantedShares(l layout) []backends.Share {
	wanted := []backends.Share{
		{Target: "/", ReadOnly: true},
		{Target: filepath.Dir(backends.GuestBinary), ReadOnly: true},
		{Target: backends.GuestBinary, ReadOnly: true},
		{Target: backends.GuestDoors, ReadOnly: true},
		{Target: backends.GuestEtc, ReadOnly: true},
	}
	for _, e := range l.confine.Root {
		target, ok := strings.CutPrefix(e.Target, helperRootfs+"/")
		if e.Kind == confine.KindBind && ok {
			wanted = append(wanted, backends.Share{Target: "/" + target, ReadOnly: true})
		}
	}
	slices.SortFunc(wanted, byTarget)
	return wanted
}

func byTarget(a, b backends.Share) int { return strings.Compare(a.Target, b.Target) }
