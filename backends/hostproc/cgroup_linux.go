package hostproc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroupRoot is where every distribution mounts control groups (cgroups(7)).
const cgroupRoot = "/sys/fs/cgroup"

// CgroupLimits are the limits of the control groups that a process is in, as the
// kernel has them; 0 means none.
type CgroupLimits struct {
	MemoryBytes int64
	Tasks       int64
	MilliCPUs   int64 // thousandths of a processor
}

// Limits reads the limits of the process pid, in control groups of either version.
func Limits(pid int) (l CgroupLimits, err error) {
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return l, fmt.Errorf("reading the control groups of process %d: %w", pid, err)
	}
	groups := parseCgroups(string(table))
	var quota, period string
	for _, f := range []struct {
		controller, v1, v2 string
		into               *string
		number             *int64
	}{
		{"memory", "memory.limit_in_bytes", "memory.max", nil, &l.MemoryBytes},
		{"pids", "pids.max", "pids.max", nil, &l.Tasks},
		{"cpu", "cpu.cfs_quota_us", "cpu.max", &quota, nil},
		{"cpu", "cpu.cfs_period_us", "cpu.max", &period, nil},
	} {
		text, err := groups.read(f.controller, f.v1, f.v2)
		if err != nil {
			return l, fmt.Errorf("reading the limits of process %d: %w", pid, err)
		}
		if f.into != nil {
			*f.into = text
		} else if *f.number, err = limit(text); err != nil {
			return l, fmt.Errorf("reading the limits of process %d: %w", pid, err)
		}
	}
	if q, p, isV2 := strings.Cut(quota, " "); isV2 { // both in one file
		quota, period = q, p
	}
	l.MilliCPUs, err = share(quota, period)
	return l, err
}

// cgroups are a process's groups: of version 1 by controller, of version 2 by "".
type cgroups map[string]string

// parseCgroups reads lines of number, controllers and path (cgroups(7)).
func parseCgroups(table string) cgroups {
	g := cgroups{}
	for line := range strings.Lines(table) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(f[1], ",") {
			g[controller] = f[2]
		}
	}
	return g
}

func (g cgroups) read(controller, v1, v2 string) (string, error) {
	path := filepath.Join(cgroupRoot, g[""], v2)
	if group, isV1 := g[controller]; isV1 {
		path = filepath.Join(cgroupRoot, controller, group, v1)
	}
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}

// limit reads a number; "max" is none.
func limit(text string) (int64, error) {
	if text == "max" {
		return 0, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

// share gives quota of period in thousandths; "max" and negative quotas are none.
func share(quota, period string) (int64, error) {
	q, err := limit(quota)
	if err != nil || q <= 0 {
		return 0, err
	}
	p, err := strconv.ParseInt(period, 10, 64)
	if err != nil || p <= 0 {
		return 0, fmt.Errorf("reading the period of a quota: %q is none", period)
	}
	return q * 1000 / p, nil
}
