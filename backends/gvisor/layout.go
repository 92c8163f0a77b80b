package gvisor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/guestroot"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/internal/mutation"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Places in the helper's own root (see confine.Spec.Root).
const (
	helperBinary = "/bin/bot-bottle"
	helperState  = "/runsc"  // runsc --root
	helperBundle = "/bundle" // config.json
	helperDisk   = "/disk"   // the file behind what the guest writes
	helperDoors  = "/doors"
	helperEtc    = "/etc-files"
	helperRootfs = "/rootfs"
)

// devices are the host's device nodes that runsc itself needs. The guest gets
// gVisor's own.
var devices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

// layout is everything that the helper is given to start one guest.
type layout struct {
	confine confine.Spec
	oci     *specs.Spec
}

func newLayout(s backends.Spec, image []guestroot.Entry) (layout, error) {
	l := layout{oci: ociSpec(s)}
	config, err := marshalOCI(l.oci)
	if err != nil {
		return layout{}, err
	}
	root := []confine.Entry{
		{Kind: confine.KindProc, Target: "/proc"},
		{Kind: confine.KindBind, Source: s.Executable, Target: helperBinary},
		{Kind: confine.KindDir, Target: helperState, Mode: 0o700},
		{Kind: confine.KindDir, Target: "/tmp", Mode: 0o700},
		{Kind: confine.KindFile, Target: helperBundle + "/config.json", Data: config},
		{Kind: confine.KindBind, Source: s.Disk, Target: helperDisk, Writable: true},
		{Kind: confine.KindBind, Source: s.Doors, Target: helperDoors},
		{Kind: confine.KindDir, Target: helperEtc},
	}
	for _, d := range devices {
		root = append(root, confine.Entry{Kind: confine.KindBind, Source: d, Target: d, Device: true, Writable: true})
	}
	for name, data := range s.Files {
		root = append(root, confine.Entry{Kind: confine.KindFile, Target: filepath.Join(helperEtc, name), Data: data})
	}
	l.confine = confine.Spec{
		Exe:         helperBinary,
		Argv:        runscArgs(s),
		Env:         []string{},
		Root:        append(root, inHelper(image)...),
		UserID:      s.UserID,
		CPUs:        processors(s.Limits.CPUs, s.Alias.As4()[3]),
		MemoryBytes: s.Limits.MemoryBytes,
	}
	return l, nil
}

// kinds are confine's words for guestroot's.
var kinds = map[guestroot.Kind]confine.EntryKind{
	guestroot.KindDir: confine.KindDir, guestroot.KindFile: confine.KindFile,
	guestroot.KindSymlink: confine.KindSymlink, guestroot.KindBind: confine.KindBind,
}

// inHelper puts the guest's root where the helper has it.
func inHelper(image []guestroot.Entry) []confine.Entry {
	var entries []confine.Entry
	for _, e := range image {
		entries = append(entries, confine.Entry{Kind: kinds[e.Kind], Target: helperRootfs + e.Target, Source: e.Source, Data: e.Data, Mode: e.Mode})
	}
	return entries
}

func marshalOCI(s *specs.Spec) ([]byte, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encoding the guest's configuration: %w", err)
	}
	return b, nil
}

// runscArgs starts the guest attached: it lives no longer than this command.
func runscArgs(s backends.Spec) []string {
	network := "none"
	if mutation.On(mutation.GuestNetwork) {
		network = "host"
	}
	return []string{
		"runsc",
		"--root=" + helperState,
		"--rootless",       // no host privilege is there to be used
		"--ignore-cgroups", // limits are held by confine and by the sentry
		"--network=" + network,
		"--platform=systrap",
		"--host-uds=open",  // the doors
		"--directfs=false", // the sandbox opens no file of the host itself
		fmt.Sprintf("--overlay2=root:dir=%s,size=%d", helperDisk, diskBytes(s)),
		"run", "--bundle=" + helperBundle, "bb-" + s.Run,
	}
}

// ociSpec is the guest as runsc is told it (OCI runtime-spec 1.0).
func ociSpec(s backends.Spec) *specs.Spec {
	caps := initCapabilities(s.Root)
	return &specs.Spec{
		Version:  "1.0.2",
		Hostname: "bottle",
		Root:     &specs.Root{Path: helperRootfs}, // writable: the overlay takes what is written
		Process: &specs.Process{
			Args:            []string{backends.GuestBinary, "guest", "init"},
			Env:             []string{"PATH=/usr/bin:/bin"},
			Cwd:             "/",
			NoNewPrivileges: true,
			Capabilities:    &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
			Rlimits:         []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 65536, Hard: 65536}, {Type: "RLIMIT_CORE"}},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs"},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=1777", "size=64m"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"ro"}},
			{Destination: filepath.Dir(backends.GuestBinary), Type: "bind", Source: filepath.Dir(helperBinary), Options: []string{"rbind", "ro"}},
			{Destination: backends.GuestDoors, Type: "bind", Source: helperDoors, Options: []string{"bind", "ro"}},
			{Destination: backends.GuestEtc, Type: "bind", Source: helperEtc, Options: []string{"bind", "ro"}},
		},
		Linux: &specs.Linux{Namespaces: namespaces()},
	}
}

func diskBytes(s backends.Spec) int64 {
	if mutation.On(mutation.LimitDisk) {
		return 1 << 40
	}
	return s.Limits.DiskBytes
}

// namespaces are those that runsc makes for the sandbox, in addition to the ones
// that it is confined in.
func namespaces() []specs.LinuxNamespace {
	all := []specs.LinuxNamespace{
		{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.MountNamespace},
	}
	if mutation.On(mutation.GuestNetwork) {
		return all
	}
	return append(all, specs.LinuxNamespace{Type: specs.NetworkNamespace})
}

// initCapabilities are those of the guest's process 1, and the most that root in
// the guest can have: process 1 keeps to itself those to become another user (see
// guest.Command). They are worth nothing outside the sandbox. SYS_ADMIN is never among
// them: with it the limit on tasks would not hold. Nor would it with SYS_RESOURCE,
// which process 1 has for itself alone: it has to outlive a guest that has taken all
// tasks there are, and its runtime ends it when a thread can't be had.
func initCapabilities(root bool) []string {
	caps := []string{"CAP_CHOWN", "CAP_KILL", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_RESOURCE"}
	if root {
		caps = append(caps, "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SYS_CHROOT")
	}
	return caps
}

// processors picks n of the host's processors, beginning at a place that differs
// from bottle to bottle so that they don't all crowd on the first. None means
// that n is all of them.
func processors(n int, seed byte) []int {
	all := allowedProcessors()
	if n >= len(all) {
		return nil
	}
	picked := make([]int, n)
	for i := range picked {
		picked[i] = all[(int(seed)*n+i)%len(all)]
	}
	slices.Sort(picked)
	return picked
}

// cpuList parses a list as in /proc/self/status, "0-3,8" (proc(5)).
func cpuList(s string) []int {
	var cpus []int
	for part := range strings.SplitSeq(strings.TrimSpace(s), ",") {
		low, high, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(low)
		if err != nil {
			continue
		}
		to := from
		if isRange {
			to, _ = strconv.Atoi(high)
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// allowedProcessors are those that this process may use.
func allowedProcessors() []int {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			return cpuList(list)
		}
	}
	all := make([]int, runtime.NumCPU())
	for i := range all {
		all[i] = i
	}
	return all
}
