package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/hostproc"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
)

// Names of the host's processes that serve a guest, from their argv[0].
const (
	initProcess = "bot-bottle"    // under runc: process 1 itself
	sandbox     = "runsc-sandbox" // under gVisor
	gofer       = "runsc-gofer"
)

// nobody is whom runsc makes its sandbox, where that opens no file of the host
// itself (runsc/sandbox of gVisor, --directfs=false).
const nobody = 65534

// Given reads what the guest has from the engine, and from the proc files of its
// processes as far as this user may.
func (g *guest) Given(ctx context.Context) (given backends.Given, err error) {
	found, err := g.client.ContainerInspect(ctx, g.id)
	if err != nil {
		return given, fmt.Errorf("reading the container: %w", err)
	}
	if found.State == nil || found.State.Pid <= 1 || found.Config == nil || found.HostConfig == nil {
		return given, errors.New("reading the container: it doesn't run")
	}
	given.Settings = settings(found.Config, found.HostConfig)
	if given.Processes, err = g.processes(found.State.Pid); err != nil {
		return given, err
	}
	if given.Interfaces, err = hostproc.Interfaces(found.State.Pid); err != nil {
		return given, err
	}
	if given.Shares, err = g.shares(found, given.Processes); err != nil {
		return given, err
	}
	if given.Sockets, err = hostproc.Names(g.spec.Doors); err != nil {
		return given, err
	}
	return given, g.addMachine(found.State.Pid, given.Settings)
}

// processes describes the process that the engine knows, and under gVisor its gofer,
// which has the same parent.
func (g *guest) processes(pid int) ([]backends.Process, error) {
	pids := []int{pid}
	if g.engine.runtime.gvisor {
		parent, _ := hostproc.Parent(pid)
		children, err := hostproc.Descendants(parent)
		if err != nil {
			return nil, err
		}
		for _, child := range children {
			if p, _ := hostproc.Parent(child); p == parent && child != pid {
				pids = append(pids, child)
			}
		}
	}
	var all []backends.Process
	for _, pid := range pids {
		p, err := g.process(pid)
		if err != nil {
			return nil, fmt.Errorf("reading process %d: %w", pid, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// process describes one. Who is in the engine's group and not root may not see its
// network namespace: there the engine's word stands, which is among the settings, and
// that it has no interface but a loopback.
func (g *guest) process(pid int) (backends.Process, error) {
	name := hostproc.Argv0(pid)
	p, err := hostproc.Read(name, pid)
	if errors.Is(err, fs.ErrPermission) && os.Getuid() != 0 {
		return hostproc.ReadPublic(name, pid)
	}
	return p, err
}

// addMachine adds what the kernel says of the process pid: the limits that it is
// held to, and under runc, where it is process 1 of the guest, its capabilities.
func (g *guest) addMachine(pid int, s map[string]string) error {
	if !g.spec.Limits.BestEffort {
		l, err := hostproc.Limits(pid)
		if err != nil {
			return err
		}
		s[inForce] = limitWords(l)
	}
	if g.engine.runtime.gvisor {
		return nil // its capabilities are the sentry's matter
	}
	// Of all threads: process 1 starts commands on threads that gave theirs up, and
	// its first may be one of them.
	sets, err := hostproc.Capabilities(pid, "CapPrm", "CapBnd", "CapAmb")
	if err != nil {
		return fmt.Errorf("reading process %d: %w", pid, err)
	}
	s[capabilities] = words(sets)
	return nil
}

// Names of settings that are read from the kernel.
const (
	inForce      = "limits in force"
	capabilities = "capabilities of process 1"
)

func limitWords(l hostproc.CgroupLimits) string {
	return fmt.Sprintf("%d bytes, %d tasks, %d thousandths of a processor", l.MemoryBytes, l.Tasks, l.MilliCPUs)
}

// wantedLimits are those that were asked for; the kernel counts memory in pages.
func (g *guest) wantedLimits() hostproc.CgroupLimits {
	r := g.plan.host.Resources
	page := int64(os.Getpagesize())
	return hostproc.CgroupLimits{MemoryBytes: r.Memory / page * page, Tasks: *r.PidsLimit, MilliCPUs: r.NanoCPUs / 1e6}
}

// shares lists what of the host's file systems the guest has mounted.
func (g *guest) shares(found container.InspectResponse, processes []backends.Process) ([]backends.Share, error) {
	pid := found.State.Pid
	if g.engine.runtime.gvisor {
		i := slices.IndexFunc(processes, func(p backends.Process) bool { return p.Name == gofer })
		if i < 0 {
			return nil, fmt.Errorf("reading the guest's shares: there is no process %q", gofer)
		}
		pid = processes[i].PID
	}
	mounts, err := hostproc.Mounts(pid)
	if errors.Is(err, fs.ErrPermission) && os.Getuid() != 0 {
		return engineShares(found), nil
	}
	if err != nil {
		return nil, err
	}
	ours, err := hostproc.Mounts(os.Getpid())
	if err != nil {
		return nil, err
	}
	return hostShares(mounts, ours), nil
}

// ownTypes are the file systems that the kernel makes anew for a guest. One that the
// host has mounted too was not.
var ownTypes = []string{"proc", "sysfs", "tmpfs", "devpts", "mqueue"}

// hostShares are the mounts of what may be the host's. Control groups are one file
// system for all, of which the guest sees its own part; they count where it can
// write.
func hostShares(mounts, host []hostproc.Mount) []backends.Share {
	devices := map[string]bool{}
	for _, m := range host {
		devices[m.Device] = true
	}
	var shares []backends.Share
	for _, m := range mounts {
		own := slices.Contains(ownTypes, m.Type) && !devices[m.Device]
		if !own && !(strings.HasPrefix(m.Type, "cgroup") && m.ReadOnly) && !plainDevice(m) {
			shares = append(shares, backends.Share{Target: m.Target, ReadOnly: m.ReadOnly})
		}
	}
	slices.SortFunc(shares, byTarget)
	return shares
}

// plainDevice tells whether m is a device node that every guest has: in a user
// namespace, where none can be made, runc binds the host's own.
func plainDevice(m hostproc.Mount) bool {
	return m.Type == "devtmpfs" && slices.Contains([]string{"/null", "/zero", "/full", "/random", "/urandom", "/tty"}, m.Root)
}

// engineShares are the mounts by the engine's word, for whom the kernel doesn't tell
// it: who is in the engine's group and not root.
func engineShares(found container.InspectResponse) []backends.Share {
	shares := []backends.Share{{Target: "/", ReadOnly: found.HostConfig.ReadonlyRootfs}}
	for _, m := range found.Mounts {
		if m.Type != mount.TypeTmpfs {
			shares = append(shares, backends.Share{Target: m.Destination, ReadOnly: !m.RW})
		}
	}
	slices.SortFunc(shares, byTarget)
	return shares
}

func byTarget(a, b backends.Share) int { return strings.Compare(a.Target, b.Target) }

// Wanted is what was asked for, one process of the container's root with four
// capabilities or gVisor's two, a loopback, and the binds.
func (g *guest) Wanted() backends.Given {
	w := backends.Given{
		Interfaces: []string{"lo"},
		Sockets:    []string{backends.EgressSocket, backends.GitGateSocket, backends.SuperviseSocket},
		Shares:     []backends.Share{{Target: "/", ReadOnly: true}},
		Settings:   maps.Clone(settings(&g.plan.config, &g.plan.host)),
	}
	for _, m := range g.plan.host.Mounts {
		w.Shares = append(w.Shares, backends.Share{Target: m.Target, ReadOnly: true})
	}
	slices.SortFunc(w.Shares, byTarget)
	if !g.spec.Limits.BestEffort {
		w.Settings[inForce] = limitWords(g.wantedLimits())
	}
	if g.engine.runtime.gvisor {
		w.Processes = []backends.Process{
			{Name: sandbox, UserID: nobody, NoNewPrivs: true, Seccomp: true},
			{Name: gofer, UserID: g.engine.root, NoNewPrivs: true, Seccomp: true, HostUsers: g.engine.root == 0},
		}
		return w
	}
	w.Processes = []backends.Process{{Name: initProcess, UserID: g.engine.root, NoNewPrivs: true, Seccomp: true, HostUsers: g.engine.root == 0}}
	set := capabilitySet(g.engine.capabilities(g.spec.Root))
	w.Settings[capabilities] = words([]string{set, set, capabilitySet(nil)})
	return w
}

// watch tells whether the process pid still runs, from now on; a later process with
// its number is another.
func watch(pid int) (alive func() bool) {
	process, err := confine.RefOf(pid)
	if err != nil {
		return func() bool { return false } // it has just ended
	}
	return process.Alive
}
