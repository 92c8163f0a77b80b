package smolmachines

import (
	"fmt"
	"slices"
	"strconv"
)

// Share is a folder of smolvm's host that is mounted into the guest, read-only.
type Share struct {
	Host  string `json:"host"`
	Guest string `json:"guest"`
}

// Socket is a Unix socket of smolvm's host that the guest finds at another path.
type Socket struct {
	Host  string `json:"host"`
	Guest string `json:"guest"`
}

// Machine is what one guest is to be, in smolvm's terms. What it doesn't name is
// to be absent.
type Machine struct {
	Name       string   `json:"name"`
	CPUs       int      `json:"cpus"`
	MemoryMiB  int64    `json:"memory_mib"`
	StorageGiB int64    `json:"storage_gib"`
	OverlayGiB int64    `json:"overlay_gib"`
	Image      string   `json:"image,omitempty"`       // a folder; none: the guest runs in the agent's root itself
	Shares     []Share  `json:"shares,omitempty"`      // with an image only
	Sockets    []Socket `json:"sockets,omitempty"`     // ModeSocket
	AllowCIDRs []string `json:"allow_cidrs,omitempty"` // ModeAllowlist
}

// network tells whether the guest has a network of any kind.
func (m Machine) network() bool { return len(m.AllowCIDRs) > 0 }

// namedArgs puts the machine's name where f has it for create, update and delete.
func (f Form) namedArgs(verb, name string) []string {
	if f.NameFlag {
		return []string{"machine", verb, "--name", name}
	}
	return []string{"machine", verb, name}
}

// createArgs are the arguments that create m. The name is always given: without
// one smolvm makes one up.
func (f Form) createArgs(m Machine) []string {
	args := append(f.namedArgs("create", m.Name),
		"--cpus", strconv.Itoa(m.CPUs),
		"--mem", strconv.FormatInt(m.MemoryMiB, 10),
		"--storage", strconv.FormatInt(m.StorageGiB, 10),
		"--overlay", strconv.FormatInt(m.OverlayGiB, 10))
	if m.Image != "" {
		args = append(args, "--image", m.Image)
	}
	for _, s := range m.Shares {
		args = append(args, "--volume", s.Host+":"+s.Guest+":ro")
	}
	for _, s := range m.Sockets {
		args = append(args, "--mount-socket", s.Host+":"+s.Guest)
	}
	for _, c := range m.AllowCIDRs {
		args = append(args, "--allow-cidr", c)
	}
	return args
}

// startArgs start the machine. Without a name smolvm would make and start one
// called "default".
func (f Form) startArgs(name string) []string { return []string{"machine", "start", "--name", name} }

// execArgs run argv in the guest, as its root. Exec has only the long form of the
// name in every release.
func (f Form) execArgs(name string, argv []string) []string {
	return slices.Concat([]string{"machine", "exec", "--name", name, "--"}, argv)
}

// check says what of m the release has no words for.
func (f Form) check(m Machine) error {
	switch {
	case m.Image != "" && !f.LocalImage:
		return fmt.Errorf("smolvm %s takes no folder as an image", f.Version)
	case len(m.Sockets) > 0 && !f.MountSocket:
		return fmt.Errorf("smolvm %s mounts no sockets", f.Version)
	case len(m.Shares) > 0 && m.Image == "":
		return fmt.Errorf("smolvm %s mounts shares only for an image", f.Version)
	}
	return nil
}

// environment is all that smolvm and its VMM get of one. Whatever else smolvm
// reads (SMOLVM_*, XDG_*, LD_*, *_PROXY, SSH_AUTH_SOCK) is so unset.
func (f Form) environment(p paths) []string {
	env := []string{
		"PATH=/usr/bin:/usr/sbin:/bin:/sbin",
		"HOME=" + p.state,
		"SMOLVM_LIB_DIR=" + p.libraries,
		"SMOLVM_AGENT_ROOTFS=" + p.agentRoot,
		// As root, which it is in its user namespace, smolvm would give the VMM
		// another user id; there is none. The variable is harmless where unknown.
		"SMOLVM_VM_UID_DROP=off",
	}
	if f.DataDir {
		env = append(env, "SMOLVM_DATA_DIR="+p.state)
	}
	if f.VMMHardening {
		env = append(env, "SMOLVM_SECCOMP=enforce", "SMOLVM_LANDLOCK=enforce")
	}
	return env
}
