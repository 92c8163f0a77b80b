package smolmachines

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/guestroot"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/internal/mutation"
)

// kvmDevice is how the VMM reaches the processor's virtualisation.
const kvmDevice = "/dev/kvm"

// devices are those that smolvm and its VMM may open.
var devices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", kvmDevice}

// vmmOverheadBytes is what smolvm and its VMM use beside the guest's memory.
const vmmOverheadBytes = 512 << 20

// jail is the root in which smolvm runs for s, and what it runs there first: our
// own binary at the given stage.
func jail(s backends.Spec, i installation, p plan, stage string) (confine.Spec, error) {
	body, err := json.Marshal(p)
	if err != nil {
		return confine.Spec{}, fmt.Errorf("encoding the machine's plan: %w", err)
	}
	root, err := systemEntries(s)
	if err != nil {
		return confine.Spec{}, err
	}
	root = append(root,
		confine.Entry{Kind: confine.KindBind, Source: s.Executable, Target: jailBinary},
		confine.Entry{Kind: confine.KindFile, Target: jailPlan, Data: body},
		confine.Entry{Kind: confine.KindBind, Source: i.binary, Target: jailSmolvm},
		confine.Entry{Kind: confine.KindBind, Source: i.libraries, Target: jailLibraries},
		confine.Entry{Kind: confine.KindBind, Source: i.agentRoot, Target: jailAgentRoot})
	spec := confine.Spec{Exe: jailBinary, Argv: []string{"bot-bottle", Verb, stage}, Env: mutation.Environ(), UserID: s.UserID}
	if stage == stageVersion {
		spec.Root = root
		return spec, nil
	}
	ours, err := guestEntries(s, p.Mode, stage)
	spec.Root = append(root, ours...)
	spec.MemoryBytes = s.Limits.MemoryBytes + vmmOverheadBytes
	return spec, err
}

// systemEntries are the host's programs and libraries, which smolvm needs as any
// program does, and which are read-only here.
func systemEntries(s backends.Spec) ([]confine.Entry, error) {
	entries := []confine.Entry{{Kind: confine.KindProc, Target: "/proc"}}
	for _, d := range devices {
		if info, err := os.Stat(d); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			entries = append(entries, confine.Entry{Kind: confine.KindBind, Source: d, Target: d, Device: true, Writable: true})
		}
	}
	if info, err := os.Stat("/nix/store"); err == nil && info.IsDir() {
		return append(entries,
			confine.Entry{Kind: confine.KindDir, Target: "/tmp", Mode: 0o700},
			confine.Entry{Kind: confine.KindBind, Source: "/nix/store", Target: "/nix/store"}), nil
	}
	tools, err := guestroot.Entries(backends.Spec{Alias: s.Alias})
	if err != nil {
		return nil, fmt.Errorf("collecting the host's programs for smolvm: %w", err)
	}
	return append(entries, inJail("", tools)...), nil
}

// guestEntries are what the guest is made of: the folder for what is written, the
// doors, its image and our files for it.
func guestEntries(s backends.Spec, mode Mode, stage string) ([]confine.Entry, error) {
	entries := []confine.Entry{
		{Kind: confine.KindBind, Source: s.Doors, Target: jailDoors},
		{Kind: confine.KindBind, Source: s.Disk, Target: jailState, Writable: true},
	}
	image, binary, etc := jailImage, jailShares+"/bot-bottle", jailEtc
	if mode == ModeAllowlist {
		if stage == stageCreate {
			return entries, nil // the copy of the agent's root is made there
		}
		entries = append(entries, confine.Entry{Kind: confine.KindBind, Source: filepath.Join(s.Disk, ownRootName), Target: jailOwnRoot, Writable: true})
		image = jailOwnRoot + jailImage
		binary, etc = image+backends.GuestBinary, image+backends.GuestEtc
	}
	from, err := guestroot.Entries(s)
	if err != nil {
		return nil, err
	}
	entries = append(entries, inJail(image, from)...)
	entries = append(entries,
		confine.Entry{Kind: confine.KindBind, Source: s.Executable, Target: binary},
		confine.Entry{Kind: confine.KindDir, Target: etc})
	for name, data := range s.Files {
		entries = append(entries, confine.Entry{Kind: confine.KindFile, Target: filepath.Join(etc, name), Data: data})
	}
	return entries, nil
}

// kinds are confine's words for guestroot's.
var kinds = map[guestroot.Kind]confine.EntryKind{
	guestroot.KindDir: confine.KindDir, guestroot.KindFile: confine.KindFile,
	guestroot.KindSymlink: confine.KindSymlink, guestroot.KindBind: confine.KindBind,
}

// inJail puts entries of a guest's root below dir. Its proc is the kernel's in the
// system's own root, and made by the guest in the image's.
func inJail(dir string, from []guestroot.Entry) []confine.Entry {
	var entries []confine.Entry
	for _, e := range from {
		if dir == "" && (e.Target == "/proc" || e.Target == "/dev") {
			continue
		}
		target := filepath.Join("/", dir, e.Target)
		entries = append(entries, confine.Entry{Kind: kinds[e.Kind], Target: target, Source: e.Source, Data: e.Data, Mode: e.Mode})
	}
	return entries
}
