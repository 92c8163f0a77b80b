package smolmachines

import (
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
	Mode          Mode     `json:"mode"`
	StrictVersion bool     `json:"strict_version"`
	Machine       Machine  `json:"machine"`
	Argv          []string `json:"argv"` // what is started in the guest
}

const gib = 1 << 30

// newPlan says what s is in smolvm's terms.
func newPlan(s backends.Spec, opts Options) plan {
	disk := max(s.Limits.DiskBytes/gib, leastDiskGiB)
	m := Machine{
		Name:       machineName(s.Run),
		CPUs:       min(s.Limits.CPUs, maxCPUs),
		MemoryMiB:  s.Limits.MemoryBytes >> 20,
		StorageGiB: disk - overlayGiB,
		OverlayGiB: overlayGiB,
		Image:      jailImage,
		Shares:     []Share{{jailShares, path.Dir(backends.GuestBinary)}, {jailEtc, backends.GuestEtc}},
		Sockets:    doorSockets(),
	}
	return plan{Mode: opts.Mode, StrictVersion: opts.StrictVersion, Machine: m, Argv: []string{backends.GuestBinary, Verb, stageInside}}
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
