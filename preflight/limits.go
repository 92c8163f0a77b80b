package preflight

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
)

var (
	cgroupMemory = Entry{"cgroup-memory", Warn, "The control group of this process allows less memory than the bottle may use, so that the kernel can end the job without a word.",
		[]Remedy{{"nixos", "raise serviceConfig.MemoryMax of the runner's service, or lower the bottle's limits.memory"}, {"", "raise the memory limit of the runner's service or container, or lower the bottle's limits.memory"}}}
	cgroupPIDs = Entry{"cgroup-pids", Warn, "The control group of this process allows so few tasks that a guest may not start.",
		[]Remedy{{"nixos", "raise serviceConfig.TasksMax of the runner's service"}, {"", "raise TasksMax of the runner's service, or --pids-limit of its container"}}}
	memoryLow = Entry{"memory-low", Warn, "Less memory is available than the bottle may use.",
		[]Remedy{{"", "end what else runs here, give the runner fewer jobs at once, or lower the bottle's limits.memory"}}}
	cpusFew = Entry{"cpus-few", Warn, "The bottle asks for more processors than this process may use.",
		[]Remedy{{"", "lower the bottle's limits.cpus"}}}
)

// sparePIDs are the tasks that a bottle needs at least: those of the supervisor,
// the sidecar, the sandbox and some of an agent's.
const sparePIDs = 256

// ControlGroup asks for limits on this process and its children, in the unified
// hierarchy (the kernel's cgroup-v2 document), that a guest of need bytes of
// memory doesn't fit in.
func ControlGroup(h Host, need int64) Check {
	return Check{ID: "cgroup", Subject: "control group", Run: func(context.Context) Finding {
		group := h.controlGroup()
		memory, tasks := h.lowest(group, "memory.max"), h.lowest(group, "pids.max")
		switch {
		case memory >= 0 && memory < need:
			return h.Found(cgroupMemory, fmt.Sprintf("%d MiB are allowed, the bottle may use %d MiB", memory>>20, need>>20))
		case tasks >= 0 && tasks < sparePIDs:
			return h.Found(cgroupPIDs, fmt.Sprintf("%d tasks are allowed", tasks))
		case memory >= 0:
			return Passed(fmt.Sprintf("%d MiB are allowed", memory>>20))
		}
		return Passed("no limit on memory")
	}}
}

// lowest gives the least of a limit in group and the groups above it, or -1.
func (h Host) lowest(group, file string) int64 {
	least := int64(-1)
	for at := path.Clean("/" + group); ; at = path.Dir(at) {
		n, err := strconv.ParseInt(h.read(path.Join("/sys/fs/cgroup", at, file)), 10, 64) // or "max"
		if err == nil && (least < 0 || n < least) {
			least = n
		}
		if at == "/" {
			return least
		}
	}
}

// Memory asks whether the need bytes that a guest may use are available.
func Memory(h Host, need int64) Check {
	return Check{ID: "memory", Subject: "memory", Run: func(context.Context) Finding {
		available, ok := h.available()
		if !ok {
			return Passed("the host doesn't tell")
		}
		if available < need {
			return h.Found(memoryLow, fmt.Sprintf("%d MiB are available, the bottle may use %d MiB", available>>20, need>>20))
		}
		return Passed(fmt.Sprintf("%d MiB available", available>>20))
	}}
}

// available reads MemAvailable of /proc/meminfo, which is in KiB (proc(5)).
func (h Host) available() (int64, bool) {
	for line := range strings.Lines(h.read("/proc/meminfo")) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n << 10, err == nil
		}
	}
	return 0, false
}

// Processors asks whether need processors are among the have that this process
// may use.
func Processors(h Host, need, have int) Check {
	return Check{ID: "cpus", Subject: "processors", Run: func(context.Context) Finding {
		if need > have {
			return h.Found(cpusFew, fmt.Sprintf("the bottle asks for %d, there are %d", need, have))
		}
		return Passed(fmt.Sprintf("%d of %d", need, have))
	}}
}
