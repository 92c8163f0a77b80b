package docker

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/guestroot"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	units "github.com/docker/go-units"
)

// plan is one guest as the engine is asked for it.
type plan struct {
	base   base
	files  map[string][]byte // to be written below filesDir, by path in the guest
	config container.Config
	host   container.HostConfig
}

// filesDir holds, in the run's disk folder, what is bound into the guest file by
// file.
const filesDir = "files"

// newPlan says everything about the guest but the image's id, which the engine gives.
func (b *Backend) newPlan(s backends.Spec) (plan, error) {
	entries, err := guestroot.Entries(s)
	if err != nil {
		return plan{}, err
	}
	e := b.looked()
	p := plan{files: filesOf(s, entries)}
	if p.base, err = newBase(entries); err != nil {
		return plan{}, err
	}
	p.config = container.Config{
		Hostname:    "bottle",
		User:        "0:0",
		Env:         []string{"PATH=/usr/bin:/bin"},
		Entrypoint:  []string{backends.GuestBinary, "guest", "init"},
		WorkingDir:  "/",
		StopSignal:  "SIGKILL",
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		Labels:      b.labels(s.Run),
	}
	p.host = e.hostConfig(s)
	p.host.Mounts = bindsOf(s, entries)
	return p, nil
}

// hostConfig is what the engine has to hold the guest by.
func (e *engine) hostConfig(s backends.Spec) container.HostConfig {
	noInit := false
	return container.HostConfig{
		Runtime:        e.runtime.name,
		NetworkMode:    networkMode(),
		IpcMode:        "private",
		CgroupnsMode:   "private",
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		LogConfig:      container.LogConfig{Type: "none"},
		CapDrop:        []string{"ALL"},
		CapAdd:         e.capabilities(s.Root),
		SecurityOpt:    []string{"no-new-privileges", "seccomp=" + filter()},
		ReadonlyRootfs: true,
		Tmpfs:          e.tmpfs(s.Limits),
		ShmSize:        shmBytes,
		Init:           &noInit,
		MaskedPaths:    maskedPaths,
		ReadonlyPaths:  readonlyPaths,
		Resources:      e.resources(s.Limits),
	}
}

// tmpfs gives the file systems in memory. With mapped users and control groups of
// version 1 the engine would let the guest write to their files, as far as their
// owners are mapped: there it sees none.
func (e *engine) tmpfs(l policy.Limits) map[string]string {
	all := tmpfs(l)
	if e.root > 0 && e.info.CgroupVersion == "1" {
		all["/sys/fs/cgroup"] = "ro,noexec,nosuid,nodev,size=4096"
	}
	return all
}

func filter() string {
	if mutation.On(mutation.GuestSyscalls) {
		return "unconfined"
	}
	return seccompProfile
}

func networkMode() container.NetworkMode {
	if mutation.On(mutation.GuestNetwork) {
		return "host"
	}
	return "none"
}

// capabilities are those of the guest's process 1, and the most that root in the
// guest can have. It needs them to become the agent (SETUID, SETGID), to take from
// the agent what it could ever have (SETPCAP), and to end it (KILL). Root has more
// only where they are worth nothing on the host (see checkRoot).
func (e *engine) capabilities(root bool) []string {
	caps := []string{"KILL", "SETGID", "SETPCAP", "SETUID"}
	if root {
		caps = append(caps, "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "NET_BIND_SERVICE", "SETFCAP", "SYS_CHROOT")
	}
	slices.Sort(caps)
	return caps
}

// capabilityNumbers are those of <linux/capability.h>.
var capabilityNumbers = map[string]int{
	"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8,
	"NET_BIND_SERVICE": 10, "SYS_CHROOT": 18, "SETFCAP": 31,
}

// capabilitySet is the set as /proc/PID/status has it (proc(5)).
func capabilitySet(names []string) string {
	var set uint64
	for _, name := range names {
		set |= 1 << capabilityNumbers[name]
	}
	return fmt.Sprintf("%016x", set)
}

// Tasks that are not the agent's: the threads of process 1, and under gVisor those
// of the sandbox, which has a few for each task of the guest.
const (
	initTasks         = 64
	sandboxTasks      = 512
	tasksPerSandboxed = 4
)

// openFiles is how many files each process may have open: enough for builds, and
// within what every engine may itself, which can't raise it.
const openFiles = 16384

func (e *engine) resources(l policy.Limits) container.Resources {
	tasks := int64(l.PIDs) + initTasks
	if e.runtime.gvisor {
		tasks = tasksPerSandboxed*int64(l.PIDs) + sandboxTasks
	}
	return container.Resources{
		Memory:     l.MemoryBytes,
		MemorySwap: l.MemoryBytes, // both together: no swap
		NanoCPUs:   int64(min(l.CPUs, e.info.NCPU)) * 1e9,
		PidsLimit:  &tasks,
		Ulimits:    []*units.Ulimit{{Name: "core"}, {Name: "nofile", Soft: openFiles, Hard: openFiles}},
	}
}

// maskedPaths and readonlyPaths of the kernel's file systems tell about the host, or
// change it. They are Docker's own defaults and a few more.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/config.gz", "/proc/interrupts", "/proc/kallsyms", "/proc/kcore", "/proc/keys", "/proc/key-users",
		"/proc/kmsg", "/proc/kpagecgroup", "/proc/kpagecount", "/proc/kpageflags", "/proc/latency_stats", "/proc/modules", "/proc/sched_debug",
		"/proc/scsi", "/proc/sysvipc", "/proc/timer_list", "/proc/timer_stats", "/proc/vmallocinfo",
		"/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/bpf", "/sys/kernel/debug", "/sys/kernel/tracing",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// shmBytes is the size of /dev/shm.
const shmBytes = 64 << 20

// writable is a place that the guest can write to. It is memory: the engine has no
// limit on what a container writes to a disk that works on every file system.
type writable struct {
	path  string
	mode  string
	owner int
	parts int64 // of the disk limit, in sixteenths
}

var writables = []writable{
	{backends.GuestWorkspace, "0755", backends.AgentID, 8},
	{backends.GuestHome, "0755", backends.AgentID, 4},
	{"/tmp", "1777", 0, 1},
	{"/var/tmp", "1777", 0, 1},
	{"/run", "0755", 0, 1},
	{"/root", "0700", 0, 1},
}

const allParts = 16

func writablePaths() []string {
	var paths []string
	for _, w := range writables {
		paths = append(paths, w.path)
	}
	return paths
}

// tmpfs gives each place its size. Where the guest can't have as much memory as disk
// the memory limit holds all of them together, and each may have it all; else the
// disk limit is shared out.
func tmpfs(l policy.Limits) map[string]string {
	all := map[string]string{}
	for _, w := range writables {
		size := l.DiskBytes / allParts * w.parts
		if heldByMemory(l) {
			size = l.DiskBytes
		}
		all[w.path] = fmt.Sprintf("rw,exec,nosuid,nodev,size=%d,mode=%s,uid=%d,gid=%d", size, w.mode, w.owner, w.owner)
	}
	return all
}

func heldByMemory(l policy.Limits) bool { return l.MemoryBytes <= l.DiskBytes }

// filesOf are the files of the guest that are ours: the made-up part of its /etc,
// what Spec.Files has, and an empty resolv.conf where Docker would put the host's.
func filesOf(s backends.Spec, entries []guestroot.Entry) map[string][]byte {
	files := map[string][]byte{"/etc/resolv.conf": nil}
	for _, e := range entries {
		if e.Kind == guestroot.KindFile {
			files[e.Target] = e.Data
		}
	}
	for name, data := range s.Files {
		files[filepath.Join(backends.GuestEtc, name)] = data
	}
	return files
}

// bindsOf are the guest's shares, all read-only and none with what is mounted below
// it on the host.
func bindsOf(s backends.Spec, entries []guestroot.Entry) []mount.Mount {
	sources := map[string]string{backends.GuestBinary: s.Executable, backends.GuestDoors: s.Doors}
	for _, e := range entries {
		if e.Kind == guestroot.KindBind {
			sources[e.Target] = e.Source
		}
	}
	for target := range filesOf(s, entries) {
		sources[target] = filePath(s, target)
	}
	var binds []mount.Mount
	for target, source := range sources {
		binds = append(binds, mount.Mount{
			Type: mount.TypeBind, Source: source, Target: target, ReadOnly: true,
			BindOptions: &mount.BindOptions{Propagation: mount.PropagationRPrivate, NonRecursive: true},
		})
	}
	slices.SortFunc(binds, func(a, b mount.Mount) int { return strings.Compare(a.Target, b.Target) })
	return binds
}

// filePath is where the file of the guest is on the host.
func filePath(s backends.Spec, target string) string { return filepath.Join(s.Disk, filesDir, target) }

// held says for each limit how it is held.
func (e *engine) held(l policy.Limits) map[string]string {
	h := map[string]string{
		"memory": "control group, without swap",
		"cpus":   "control group, as a quota of time",
		"pids":   "control group, " + strconv.Itoa(initTasks) + " more for process 1",
		"disk":   "size of each file system in memory, which share it out; it counts as memory",
	}
	if heldByMemory(l) {
		h["disk"] = "the memory limit, which is lower: what the guest writes is memory"
	}
	if e.runtime.gvisor {
		h["pids"] = "RLIMIT_NPROC, held by gVisor; control group for the sandbox"
	}
	return h
}
