package backends

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Given is what a running guest really has, as read from the machine, in the
// terms in which it is compared with what was wanted.
type Given struct {
	Processes  []Process `json:"processes"`
	Interfaces []string  `json:"interfaces"` // network interfaces of its processes' namespaces, sorted
	Shares     []Share   `json:"shares"`     // what of the host it can reach as files, sorted by Target
	Sockets    []string  `json:"sockets"`    // names in the doors folder, sorted
	// Settings are what else of the guest's confinement is the backend's own
	// matter, by name: as a daemon has it, or the kernel.
	Settings map[string]string `json:"settings,omitempty"`
}

// Process is one process of the host that serves the guest.
type Process struct {
	Name          string `json:"name"`
	PID           int    `json:"pid,omitempty"`
	UserID        int    `json:"user_id"`
	NoNewPrivs    bool   `json:"no_new_privs"`
	Seccomp       bool   `json:"seccomp"`        // a filter is in force
	HostNetwork   bool   `json:"host_network"`   // it is in the host's network namespace
	HostUsers     bool   `json:"host_users"`     // it is in the host's user namespace
	HostProcesses bool   `json:"host_processes"` // it is in the host's pid namespace
}

// Share is a piece of the host's files that is mounted for the guest.
type Share struct {
	Target   string `json:"target"`
	ReadOnly bool   `json:"read_only"`
}

// Verify compares what a guest was given with what it was to be given; any
// difference is an error that names both.
func Verify(wanted, given Given) error {
	if err := verifyProcesses(wanted.Processes, given.Processes); err != nil {
		return err
	}
	if w, g := wanted.Interfaces, given.Interfaces; !slices.Equal(w, g) {
		return fmt.Errorf("comparing the guest's network interfaces: wanted [%s], found [%s]", strings.Join(w, " "), strings.Join(g, " "))
	}
	if w, g := wanted.Shares, given.Shares; !slices.Equal(w, g) {
		return fmt.Errorf("comparing the guest's shares: %s", differences(w, g))
	}
	if w, g := wanted.Sockets, given.Sockets; !slices.Equal(w, g) {
		return fmt.Errorf("comparing the guest's sockets: wanted [%s], found [%s]", strings.Join(w, " "), strings.Join(g, " "))
	}
	return verifySettings(wanted.Settings, given.Settings)
}

// verifySettings names the first setting that differs, by name.
func verifySettings(wanted, given map[string]string) error {
	all := maps.Clone(given)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, wanted)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		w, has := wanted[name]
		g, found := given[name]
		if w != g || has != found {
			return fmt.Errorf("comparing the guest's setting %q: wanted %q, found %q", name, w, g)
		}
	}
	return nil
}

// verifyProcesses wants each named process once, as described, and no other.
func verifyProcesses(wanted, given []Process) error {
	if len(wanted) != len(given) {
		return fmt.Errorf("comparing the guest's processes: wanted %d, found %d", len(wanted), len(given))
	}
	for _, w := range wanted {
		i := slices.IndexFunc(given, func(g Process) bool { return g.Name == w.Name })
		if i < 0 {
			return fmt.Errorf("comparing the guest's processes: %q is missing", w.Name)
		}
		g := given[i]
		g.PID = w.PID
		if g != w {
			return fmt.Errorf("comparing process %q (%d): wanted %+v, found %+v", w.Name, given[i].PID, w, g)
		}
	}
	return nil
}

func differences(wanted, given []Share) string {
	var b strings.Builder
	for _, w := range wanted {
		if !slices.Contains(given, w) {
			fmt.Fprintf(&b, "wanted %+v; ", w)
		}
	}
	for _, g := range given {
		if !slices.Contains(wanted, g) {
			fmt.Fprintf(&b, "found %+v; ", g)
		}
	}
	return strings.TrimSuffix(b.String(), "; ")
}
