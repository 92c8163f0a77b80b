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
	"github.com/bot-bottle/action/preflight"
)

func ok(found string, args ...any) preflight.Finding {
	return preflight.Finding{Status: preflight.OK, Found: fmt.Sprintf(found, args...)}
}

// bad makes a finding of e on this host.
func bad(e preflight.Entry, found string, args ...any) preflight.Finding {
	return preflight.ThisHost().Found(e, fmt.Sprintf(found, args...))
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
		guestroot.Check(s),
	}
}

func (e *engine) checkEngine() preflight.Finding {
	if e.root < 0 {
		return bad(dockerMapped, "the engine maps users, and does not say to which ids")
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
		return bad(runtimeUnknown, "the engine has no runtime of this name")
	case len(lacking) > 0:
		return bad(runtimeLacking, "it is registered without %s, which a bottle needs", strings.Join(lacking, " "))
	case e.runtime.gvisor:
		return ok("gVisor")
	}
	return ok("the host's kernel; a registered runsc would be taken by itself")
}

func (e *engine) checkIsolation(wanted policy.Isolation) preflight.Finding {
	switch {
	case wanted == policy.IsolationVM:
		return bad(isolationVM, "the bottle wants a virtual machine")
	case wanted == policy.IsolationGVisor && !e.runtime.gvisor:
		return bad(isolationContainer, "the bottle wants a kernel of its own, runtime %q gives a container", e.runtime.name)
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
		return bad(rootOfHost, "the agent would be root on the host's own kernel")
	}
	return bad(rootReadOnly, "root can write to %s only: the image is read-only", strings.Join(writablePaths(), ", "))
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
	found := limitsNotHeld
	if l.BestEffort {
		found = limitsBestEffort
	}
	return bad(found, "can't be held here: %s", strings.Join(lacking, ", "))
}

// hostSwaps tells whether the host has swap space: /proc/swaps has lines after its
// heading then (proc(5)).
func hostSwaps() bool {
	b, err := os.ReadFile("/proc/swaps")
	return err != nil || strings.Count(string(b), "\n") > 1
}
