package attack

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// things are what is there at one moment, each by a line that names it.
type things map[string]bool

// residueWait is how long what a case has ended may take to go.
const residueWait = 2 * time.Second

// left gives what is there now and was not there before.
func left(before things) []string {
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		var more []string
		for thing := range present() {
			if !before[thing] {
				more = append(more, thing)
			}
		}
		if len(more) == 0 || time.Since(start) > residueWait {
			slices.Sort(more)
			return more[:min(len(more), maxResidue)]
		}
	}
}

// maxResidue bounds what is told of a case.
const maxResidue = 16

// present lists the guest's processes, mounts, interfaces, listeners, and the
// files where everybody may write.
func present() things {
	all := things{}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		all["process "+filepath.Base(p)] = true
	}
	for _, line := range lines("/proc/self/mountinfo") {
		if f := strings.Fields(line); len(f) > 4 {
			all["mount at "+f[4]] = true
		}
	}
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		addresses, _ := i.Addrs()
		all["interface "+i.Name] = true
		for _, a := range addresses {
			all["address "+a.String()+" of "+i.Name] = true
		}
	}
	all.listeners()
	for _, dir := range []string{"/tmp", "/var/tmp", "/dev/shm", "/run", "/etc", "/workspace", os.Getenv("HOME")} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			all["file "+filepath.Join(dir, e.Name())] = true
		}
	}
	return all
}

// listeners adds the sockets at which somebody can be met, as /proc/net tells
// (proc(5)).
func (all things) listeners() {
	for _, kind := range []string{"tcp", "tcp6"} {
		for _, line := range lines("/proc/net/" + kind) {
			if f := strings.Fields(line); len(f) > 3 && f[3] == "0A" { // listening
				all[kind+" listener "+f[1]] = true
			}
		}
	}
	for _, kind := range []string{"udp", "udp6"} {
		for _, line := range lines("/proc/net/" + kind) {
			if f := strings.Fields(line); len(f) > 3 && strings.Contains(f[1], ":") {
				all[kind+" socket "+f[1]] = true
			}
		}
	}
}

func lines(path string) []string {
	b, _ := os.ReadFile(path)
	return strings.Split(string(b), "\n")
}
