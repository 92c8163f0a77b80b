package smolmachines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/hostproc"
	"github.com/bot-bottle/action/internal/confine"
)

// vmmName is what the VMM's process is called in reports.
const vmmName = "smolvm-vmm"

// ErrNoVMM means that the process which smolvm named as the VMM isn't there.
var ErrNoVMM = errors.New("the VMM's process is not there")

// Given reads from the kernel what the VMM, and so the guest, has. That the row and
// what the VMM was handed are as planned was seen before our process was started
// in the guest.
func (g *guest) Given(context.Context) (backends.Given, error) {
	var given backends.Given
	pid, err := g.findVMM()
	if err != nil {
		return given, err
	}
	if err := verifyEnvironment(pid, g.form.environment(jailPaths(g.form.Mode))); err != nil {
		return given, err
	}
	p, err := hostproc.Read(vmmName, pid)
	if err != nil {
		return given, fmt.Errorf("reading the VMM's process %d: %w", pid, err)
	}
	given.Processes = []backends.Process{p}
	if given.Interfaces, err = hostproc.Interfaces(pid); err != nil {
		return given, err
	}
	if given.Shares, err = shares(pid); err != nil {
		return given, err
	}
	given.Sockets, err = hostproc.Names(g.spec.Doors)
	if !slices.Contains(given.Sockets, backends.ControlSocket) { // its name stays in the guest, and leads nowhere any more
		given.Sockets = append(given.Sockets, backends.ControlSocket)
		slices.Sort(given.Sockets)
	}
	return given, err
}

// Wanted is one process with nothing, in a jail whose mounts are those that were
// asked for.
func (g *guest) Wanted() backends.Given {
	uid := g.handle.UserID
	if os.Getuid() != 0 {
		uid = os.Getuid()
	}
	return backends.Given{
		Processes:  []backends.Process{{Name: vmmName, UserID: uid, NoNewPrivs: g.form.VMMHardening, Seccomp: g.form.VMMHardening}},
		Interfaces: []string{"lo"},
		Sockets:    slices.Sorted(slices.Values(socketNames)),
		Shares:     wantedShares(g.root),
	}
}

// findVMM gives the host's id of the process that is the VMM in the jail.
func (g *guest) findVMM() (int, error) {
	pids, err := hostproc.Descendants(g.process.Record().Inner.PID)
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		if innerPID(pid) == g.vmm {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("looking for process %d of smolvm's jail: %w", g.vmm, ErrNoVMM)
}

// innerPID gives the id of a process in the innermost pid namespace that it is in:
// the last of NSpid in /proc/PID/status (proc(5)); 0 where it is gone.
func innerPID(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(ids)
			inner, _ := strconv.Atoi(fields[len(fields)-1])
			return inner
		}
	}
	return 0
}

// ownVariables are what smolvm sets for its VMM by itself (src/agent/manager.rs). The
// variable of the marker by which the guest's agent says that it is ready has a name
// as its value.
var ownVariables = []string{
	"SMOLVM_BOOT_WATCH_PARENT=0",
	"LD_LIBRARY_PATH=" + jailLibraries + ":" + path.Dir(jailSmolvm) + ":" + path.Dir(jailSmolvm) + "/lib",
}

const markerVariable = "SMOLVM_READY_MARKER="

func isOwnVariable(v string) bool {
	return slices.Contains(ownVariables, v) || strings.HasPrefix(v, markerVariable)
}

// verifyEnvironment wants no variable in the VMM's environment but ours: some of
// them open ways out (SMOLVM_GUEST_HOST_SERVICE, SMOLVM_PUBLISH_ADDR), others load
// code.
func verifyEnvironment(pid int, wanted []string) error {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return fmt.Errorf("reading the VMM's environment: %w", err)
	}
	var d differences
	for v := range bytes.SplitSeq(bytes.TrimRight(b, "\x00"), []byte{0}) {
		if !slices.Contains(wanted, string(v)) && !isOwnVariable(string(v)) {
			name, _, _ := strings.Cut(string(v), "=")
			d = append(d, fmt.Sprintf("found %.60q", name))
		}
	}
	return d.err("the VMM's environment")
}

// shares lists the mounts that the VMM sees; what isn't there, it can't give to the
// guest.
func shares(pid int) ([]backends.Share, error) {
	mounts, err := hostproc.Mounts(pid)
	var found []backends.Share
	for _, m := range mounts {
		found = append(found, backends.Share{Target: m.Target, ReadOnly: m.ReadOnly})
	}
	slices.SortFunc(found, byTarget)
	return found, err
}

// wantedShares are the mounts of the jail: its root in memory, proc, and each bind.
func wantedShares(root []confine.Entry) []backends.Share {
	wanted := []backends.Share{{Target: "/"}}
	for _, e := range root {
		if e.Kind == confine.KindBind || e.Kind == confine.KindProc {
			wanted = append(wanted, backends.Share{Target: e.Target, ReadOnly: e.Kind == confine.KindBind && !e.Writable})
		}
	}
	slices.SortFunc(wanted, byTarget)
	return wanted
}

func byTarget(a, b backends.Share) int { return strings.Compare(a.Target, b.Target) }
