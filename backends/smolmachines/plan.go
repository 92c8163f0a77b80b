package smolmachines

import (
	"net/netip"
	"path"

	"github.com/bot-bottle/action/backends"
)

// Verb is the hidden verb of the binary behind which Main stands.
const Verb = "smolvm"

// stageInside is our binary as smolvm starts it in the guest.
const stageInside = "inside"

// plan is what the process that speaks to smolvm is given: data only, made by the
// supervisor and read within the jail.
type plan struct {
	Mode          Mode       `json:"mode"`
	StrictVersion bool       `json:"strict_version"`
	Machine       Machine    `json:"machine"`
	Alias         netip.Addr `json:"alias"`
	Argv          []string   `json:"argv"` // what is started in the guest
}

const gib = 1 << 30

// newPlan says what s is in smolvm's terms.
func newPlan(s backends.Spec, opts Options) plan {
	disk := max(s.Limits.DiskBytes/gib, leastDiskGiB)
	p := plan{Mode: opts.Mode, StrictVersion: opts.StrictVersion, Alias: s.Alias, Machine: Machine{
		Name:       machineName(s.Run),
		CPUs:       min(s.Limits.CPUs, maxCPUs),
		MemoryMiB:  s.Limits.MemoryBytes >> 20,
		StorageGiB: disk - overlayGiB,
		OverlayGiB: overlayGiB,
	}}
	if opts.Mode == ModeAllowlist {
		// The releases of this mode take no folder as an image, and none makes a
		// share read-only but on the guest's word: the image is below the root of
		// smolvm's agent, in which our binary so is as well.
		p.Machine.AllowCIDRs = []string{netip.PrefixFrom(s.Alias, s.Alias.BitLen()).String()}
		p.Argv = []string{path.Join(jailImage, backends.GuestBinary), Verb, stageInside, jailImage, s.Alias.String()}
		return p
	}
	p.Machine.Image = jailImage
	p.Machine.Shares = []Share{{jailShares, path.Dir(backends.GuestBinary)}, {jailEtc, backends.GuestEtc}}
	p.Machine.Sockets = doorSockets()
	p.Argv = []string{backends.GuestBinary, Verb, stageInside}
	return p
}

const (
	// smolvm gives a machine two disks in whole GiB: one for the agent's own root,
	// which nothing of ours writes to, and one for the image's.
	overlayGiB   = 1
	leastDiskGiB = 2
	// maxCPUs is the most that smolvm's VMM supports (MAX_EFFECTIVE_CPUS).
	maxCPUs = 16
)

// socketNames are the sockets that a guest is given.
var socketNames = []string{backends.ControlSocket, backends.EgressSocket, backends.GitGateSocket, backends.SuperviseSocket}

func doorSockets() []Socket {
	var all []Socket
	for _, name := range socketNames {
		all = append(all, Socket{path.Join(jailDoors, name), path.Join(backends.GuestDoors, name)})
	}
	return all
}
