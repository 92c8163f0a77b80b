package smolmachines

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
)

// paths are the places where smolvm runs. They are within its own root (see
// layout): the same for every run, and short, because the path of a socket has 108
// bytes only.
type paths struct {
	state     string // the home folder: state database, data of machines
	libraries string
	agentRoot string // this bottle's own copy: the VMM shares it with its guest, writable
}

// The places.
const (
	jailBinary    = "/bb/bot-bottle" // ours, as smolvm's parent
	jailPlan      = "/bb/plan.json"
	jailShares    = "/share/bin" // the folder with our binary for the guest
	jailEtc       = "/share/etc"
	jailImage     = "/image"
	jailDoors     = "/doors"
	jailState     = "/state"
	jailSmolvm    = "/smolvm/bin/smolvm"
	jailLibraries = "/smolvm/lib"
	jailAgentRoot = "/smolvm/agent-rootfs" // the host's, read-only
	jailOwnRoot   = "/agent"               // ModeAllowlist: the bottle's own, with the image below it
)

// ownRootName is the bottle's own copy of the agent's root, in the state folder.
const ownRootName = "agent-rootfs"

// jailPaths are the places for a mode. Where a guest's image is part of the agent's
// root, that is put together outside the state folder.
func jailPaths(m Mode) paths {
	p := paths{state: jailState, libraries: jailLibraries, agentRoot: filepath.Join(jailState, ownRootName)}
	if m == ModeAllowlist {
		p.agentRoot = jailOwnRoot
	}
	return p
}

// database is where smolvm keeps its rows, with environment's variables.
func (p paths) database() string {
	return DatabasePath("linux", p.state, func(string) string { return "" })
}

// machineFolder is smolvm's folder of a machine: its name is the first 16 digits of
// the SHA-256 of the machine's (src/agent/manager.rs).
func (p paths) machineFolder(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(p.state, ".cache", "smolvm", "vms", hex.EncodeToString(sum[:])[:16])
}

// runningFile is what the VMM was handed. It is never removed by smolvm.
func (p paths) runningFile(name string) string {
	return filepath.Join(p.machineFolder(name), "agent.config.json")
}
