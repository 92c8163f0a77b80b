package docker

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/guestroot"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/preflight"
)

func ok(found string, args ...any) preflight.Finding {
	return preflight.Finding{Status: preflight.OK, Found: fmt.Sprintf(found, args...)}
}

func bad(status preflight.Status, remedy, found string, args ...any) preflight.Finding {
	return preflight.Finding{Status: status, Found: fmt.Sprintf(found, args...), Remedy: remedy}
}

// Checks are what this backend needs of the host and the engine for s. Where there
// is no engine that is all that they say.
func (b *Backend) Checks(s backends.Spec) []preflight.Check {
	e := b.looked()
	check := func(id, subject string, run func() preflight.Finding) preflight.Check {
		return preflight.Check{ID: id, Subject: subject, Run: func(context.Context) preflight.Finding { return run() }}
	}
	if e.fault != nil {
		return []preflight.Check{check("engine", "Docker Engine", func() preflight.Finding { return *e.fault })}
	}
	return []preflight.Check{
		check("engine", "Docker Engine", e.checkEngine),
		check("runtime", e.runtime.name, e.checkRuntime),
		check("isolation", string(s.Isolation), func() preflight.Finding { return e.checkIsolation(s.Isolation) }),
		check("root", strconv.FormatBool(s.Root), func() preflight.Finding { return e.checkRoot(s.Root) }),
		check("limits", "control groups", func() preflight.Finding { return e.checkLimits(s.Limits) }),
		check("cpus", strconv.Itoa(s.Limits.CPUs), func() preflight.Finding { return e.checkCPUs(s.Limits) }),
		check("image", imageName(s), func() preflight.Finding { return checkImage(s) }),
	}
}

func (e *engine) checkEngine() preflight.Finding {
	if e.root < 0 {
		return bad(preflight.Fail, "see `userns-remap` in the engine's settings, or switch it off", "the engine maps users, and does not say to which ids")
	}
	if e.root > 0 {
		return ok("version %s, root of a container is user %d of the host", e.info.ServerVersion, e.root)
	}
	return ok("version %s", e.info.ServerVersion)
}

// registerHint tells how to register a runtime for bottles.
const registerHint = `register a runtime of its own with the engine: link this program as /usr/local/bin/runsc-bottle, add "runtimes": {"runsc-bottle": {"path": "/usr/local/bin/runsc-bottle", "runtimeArgs": ["--host-uds=open", "--directfs=false", "--network=none"]}} to /etc/docker/daemon.json, then systemctl reload docker`

func (e *engine) checkRuntime() preflight.Finding {
	lacking := e.runtime.lacking()
	switch {
	case e.runtime.unknown:
		return bad(preflight.Fail, "register it with the engine, or leave the setting docker.runtime out", "the engine has no runtime of this name")
	case len(lacking) > 0:
		return bad(preflight.Fail, registerHint, "it is registered without %s, which a bottle needs", strings.Join(lacking, " "))
	case e.runtime.gvisor:
		return ok("gVisor")
	}
	return ok("the host's kernel; a registered runsc would be taken by itself")
}

func (e *engine) checkIsolation(wanted policy.Isolation) preflight.Finding {
	switch {
	case wanted == policy.IsolationVM:
		return bad(preflight.Fail, "use a backend with a virtual machine, or lower the bottle's `isolation`", "the bottle wants a virtual machine")
	case wanted == policy.IsolationGVisor && !e.runtime.gvisor:
		return bad(preflight.Fail, registerHint+"; or use the gvisor backend; or write `isolation: container` into the bottle, which trusts the host's kernel", "the bottle wants a kernel of its own, runtime %q gives a container", e.runtime.name)
	case e.runtime.gvisor:
		return ok("a kernel in user space")
	}
	return ok("a container")
}

// checkRoot keeps root of a guest from being root of the host.
func (e *engine) checkRoot(wanted bool) preflight.Finding {
	switch {
	case !wanted:
		return ok("the agent is an ordinary user")
	case !e.runtime.gvisor && e.root == 0:
		return bad(preflight.Fail, "leave --root out, use a backend with a kernel of its own, or set `userns-remap` in the engine", "the agent would be root on the host's own kernel")
	}
	return bad(preflight.Warn, "install into the image beforehand, or use the gvisor backend", "root can write to %s only: the image is read-only", strings.Join(writablePaths(), ", "))
}

// checkLimits asks what the engine says of the host's control groups.
func (e *engine) checkLimits(l policy.Limits) preflight.Finding {
	var lacking []string
	for name, has := range map[string]bool{"memory": e.info.MemoryLimit && (e.info.SwapLimit || !hostSwaps()), "pids": e.info.PidsLimit, "cpus": e.info.CPUCfsQuota} {
		if !has {
			lacking = append(lacking, name)
		}
	}
	if len(lacking) == 0 {
		return ok("memory, cpus and pids are held; what the guest writes is memory")
	}
	status := preflight.Fail
	if l.BestEffort {
		status = preflight.Warn
	}
	return bad(status, "boot with cgroup_enable=memory swapaccount=1 and control groups of version 2; or write `best_effort: true` into the bottle's limits", "can't be held here: %s", strings.Join(lacking, ", "))
}

// hostSwaps tells whether the host has swap space: /proc/swaps has lines after its
// heading then (proc(5)).
func hostSwaps() bool {
	b, err := os.ReadFile("/proc/swaps")
	return err != nil || strings.Count(string(b), "\n") > 1
}

func (e *engine) checkCPUs(l policy.Limits) preflight.Finding {
	if l.CPUs > e.info.NCPU {
		return bad(preflight.Warn, "lower the bottle's limits.cpus", "the bottle asks for %d processors, the host has %d", l.CPUs, e.info.NCPU)
	}
	return ok("held by a quota")
}

func imageName(s backends.Spec) string {
	if s.Image.Rootfs != "" {
		return s.Image.Rootfs
	}
	return "host tools"
}

// checkImage looks for what makes the image unusable or unsafe.
func checkImage(s backends.Spec) preflight.Finding {
	entries, err := guestroot.Entries(s)
	if err != nil {
		return bad(preflight.Fail, strings.Join(term.Hints(err), "; "), "%v", err)
	}
	if socket := guestroot.ListeningBelow(entries); socket != "" {
		return bad(preflight.Fail, "a service listens below a folder that the guest gets; move its socket, or use an image", "socket %q would be reachable from the guest", socket)
	}
	return ok("%d entries, no socket below them", len(entries))
}
