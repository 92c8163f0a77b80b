package runner

import (
	"os"
	"strings"

	"github.com/bot-bottle/action/internal/report"
)

// hardening is what the sidecar said of its own confinement.
func (r *run) hardening() []report.Hardening {
	var list []report.Hardening
	for _, m := range r.ready.Hardening {
		list = append(list, report.Hardening{Name: m.Name, Held: m.Held, Detail: m.Detail})
	}
	return list
}

// kernelVersion is the host's, as /proc/sys/kernel/osrelease has it (proc(5)).
func kernelVersion() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
