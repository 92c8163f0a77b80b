package gvisor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bot-bottle/action/backends"
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
	pids, err := descendants(g.process.Record().Inner.PID)
	if err != nil {
		return given, err
	}
	for _, pid := range pids {
		name := argv0(pid)
		if name != gofer && name != sandbox {
			continue
		}
		p, err := readProcess(name, pid)
		if err != nil {
			return given, fmt.Errorf("reading process %d (%s): %w", pid, name, err)
		}
		given.Processes = append(given.Processes, p)
		if name == sandbox {
			given.Interfaces, err = interfaces(pid)
		} else {
			given.Shares, err = shares(pid)
		}
		if err != nil {
			return given, err
		}
	}
	given.Sockets, err = sockets(g.spec.Doors)
	return given, err
}

// descendants gives the ids of all processes below pid, which is one of ours.
func descendants(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	children := map[int][]int{}
	for _, e := range entries {
		if child, err := strconv.Atoi(e.Name()); err == nil {
			if parent, ok := parentOf(child); ok {
				children[parent] = append(children[parent], child)
			}
		}
	}
	var all []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		all = append(all, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return all, nil
}

// parentOf reads PPid of /proc/PID/status; false where the process is gone.
func parentOf(pid int) (int, bool) {
	fields, err := statusFields(pid)
	if err != nil {
		return 0, false
	}
	parent, err := strconv.Atoi(fields["PPid"])
	return parent, err == nil
}

func statusFields(pid int) (map[string]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields, nil
}

func argv0(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	name, _, _ := strings.Cut(string(b), "\x00")
	return filepath.Base(name)
}

func readProcess(name string, pid int) (backends.Process, error) {
	fields, err := statusFields(pid)
	if err != nil {
		return backends.Process{}, err
	}
	uid, err := strconv.Atoi(strings.Fields(fields["Uid"] + " ")[1])
	if err != nil {
		return backends.Process{}, fmt.Errorf("reading its user: %w", err)
	}
	p := backends.Process{Name: name, PID: pid, UserID: uid, NoNewPrivs: fields["NoNewPrivs"] == "1", Seccomp: fields["Seccomp"] == "2"}
	for ns, same := range map[string]*bool{"net": &p.HostNetwork, "user": &p.HostUsers, "pid": &p.HostProcesses} {
		if *same, err = sameNamespace(pid, ns); err != nil {
			return p, err
		}
	}
	return p, nil
}

// sameNamespace compares the namespace of pid with ours (namespaces(7)).
func sameNamespace(pid int, kind string) (bool, error) {
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
	if err != nil {
		return false, fmt.Errorf("reading its %s namespace: %w", kind, err)
	}
	ours, err := os.Readlink("/proc/self/ns/" + kind)
	if err != nil {
		return false, fmt.Errorf("reading our %s namespace: %w", kind, err)
	}
	return theirs == ours, nil
}

// interfaces lists those of pid's network namespace: the lines of net/dev after
// its two heading lines, up to the colon (proc(5)).
func interfaces(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
	if err != nil {
		return nil, fmt.Errorf("reading the guest's network interfaces: %w", err)
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// shares lists the mounts of the gofer's file system below the guest's root, from
// its mountinfo (proc(5)).
func shares(pid int) ([]backends.Share, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return nil, fmt.Errorf("reading the guest's shares: %w", err)
	}
	var found []backends.Share
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) < 6 {
			continue
		}
		found = append(found, backends.Share{Target: fields[4], ReadOnly: strings.HasPrefix(fields[5]+",", "ro,")})
	}
	slices.SortFunc(found, byTarget)
	return found, nil
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

func sockets(doors string) ([]string, error) {
	entries, err := os.ReadDir(doors)
	if err != nil {
		return nil, fmt.Errorf("listing the doors: %w", err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, nil
}
