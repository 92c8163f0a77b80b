package smolmachines

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/guestroot"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/preflight"
)

// Checks are what this backend needs of the host for s.
func (b *Backend) Checks(s backends.Spec) []preflight.Check {
	host := preflight.ThisHost()
	at := func(id, subject string, run func(context.Context) preflight.Finding) preflight.Check {
		return preflight.Check{ID: id, Subject: subject, Run: run}
	}
	return []preflight.Check{
		at("kvm", kvmDevice, func(ctx context.Context) preflight.Finding { return checkKVM(ctx, host, kvmDevice) }),
		at("smolvm", "smolvm", func(ctx context.Context) preflight.Finding { return b.checkSmolvm(ctx, host, s) }),
		at("mkfs", "mkfs.ext4", func(context.Context) preflight.Finding { return checkFormatter(host) }),
		preflight.UserNamespaces(host, s.UserID, func(ctx context.Context) error { return confine.Try(ctx, s.Executable, s.UserID) }),
		guestroot.Check(s),
		at("cpus", strconv.Itoa(s.Limits.CPUs), func(context.Context) preflight.Finding { return checkCPUs(host, s) }),
		at("pids", strconv.Itoa(s.Limits.PIDs), func(context.Context) preflight.Finding { return checkPIDs(host, s) }),
		at("disk", s.Disk, func(context.Context) preflight.Finding { return checkDisk(host, s) }),
		at("nested", "virtualisation", func(context.Context) preflight.Finding { return checkNested("/proc/cpuinfo") }),
	}
}

func ok(found string, args ...any) preflight.Finding {
	return preflight.Passed(fmt.Sprintf(found, args...))
}

// checkKVM makes a machine as any user can who may open the device. Root starts the
// VMM as a user that is in no group, so that the device has to be open to everybody.
func checkKVM(ctx context.Context, host preflight.Host, device string) preflight.Finding {
	if mutation.On(mutation.NoMachine) {
		return ok("not looked at: this is a test build")
	}
	if info, err := os.Stat(device); err == nil && host.UID == 0 && info.Mode()&os.ModeCharDevice != 0 && info.Mode().Perm()&0o006 != 0o006 {
		return host.Found(kvmClosed, fmt.Sprintf("its mode is %04o", info.Mode().Perm()))
	}
	return preflight.KVM(host, device).Run(ctx)
}

// checkSmolvm finds smolvm and asks it, within a jail, for its version.
func (b *Backend) checkSmolvm(ctx context.Context, host preflight.Host, s backends.Spec) preflight.Finding {
	i, err := b.opts.find()
	if err != nil {
		return host.Found(smolvmIncomplete, err.Error(), "{hint}", strings.Join(term.Hints(err), "; "))
	}
	v, err := b.version(ctx, s, i)
	if ctx.Err() != nil {
		err = fmt.Errorf("no answer within %v", preflight.CutOff)
	}
	if err != nil {
		return host.Found(smolvmMute, fmt.Sprintf("%q: %v", i.binary, err), "{path}", i.binary)
	}
	f, err := usableForm(v, b.opts.Mode, b.opts.StrictVersion)
	if err != nil {
		return host.Found(smolvmUnusable, err.Error(), "{working}", Working)
	}
	if f.Unread {
		return host.Found(smolvmUnread, fmt.Sprintf("unread version: smolvm %s is newer than %s", v, Newest), "{newest}", Newest.String())
	}
	return ok("smolvm %s, mode %s", v, f.Mode)
}

// version runs smolvm for nothing but its version.
func (b *Backend) version(ctx context.Context, s backends.Spec, i installation) (Version, error) {
	spec, err := jail(s, i, plan{}, stageVersion)
	if err != nil {
		return Version{}, err
	}
	j, err := startJailed(ctx, spec, nil)
	if err != nil {
		return Version{}, err
	}
	if err := j.ended(ctx); err != nil {
		return Version{}, err
	}
	m, found := j.messages.find(func(m message) bool { return m.Version != "" })
	if !found {
		return Version{}, j.reason()
	}
	return ParseVersion("smolvm " + m.Version + "\n")
}

// checkFormatter: smolvm formats a machine's disks unless its release has ready
// ones.
func checkFormatter(host preflight.Host) preflight.Finding {
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/run/current-system/sw/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, "mkfs.ext4")); err == nil {
			return ok("%s", path)
		}
	}
	return host.Found(formatterMissing, "it is not there")
}

// checkCPUs: more than smolvm supports can't be had.
func checkCPUs(host preflight.Host, s backends.Spec) preflight.Finding {
	if s.Limits.CPUs > maxCPUs {
		return host.Found(processorsOfMachine, fmt.Sprintf("the bottle asks for %d processors, a machine has at most %d", s.Limits.CPUs, maxCPUs))
	}
	return ok("the machine's processors")
}

// checkPIDs: Linux doesn't hold RLIMIT_NPROC against the first user namespace's root
// (kernel/fork.c), which root in a machine is.
func checkPIDs(host preflight.Host, s backends.Spec) preflight.Finding {
	switch {
	case !s.Root:
		return ok("RLIMIT_NPROC, held by the guest's kernel")
	case mutation.On(mutation.NoMachine):
		return ok("not looked at: this is a test build")
	case s.Limits.BestEffort:
		return ok("not held against root in a machine (best effort)")
	}
	return host.Found(tasksOfRoot, "the agent is root in its machine")
}

// checkDisk: a machine's two disks are of whole GiB, so that less can't be held.
func checkDisk(host preflight.Host, s backends.Spec) preflight.Finding {
	if s.Limits.DiskBytes >= leastDiskGiB*gib {
		return ok("the size of the machine's disks")
	}
	found := fmt.Sprintf("the bottle allows %d bytes, a machine's disks have at least %d GiB", s.Limits.DiskBytes, leastDiskGiB)
	if s.Limits.BestEffort {
		return ok("%s (best effort)", found)
	}
	return host.Found(diskOfMachine, found, "{least}", strconv.Itoa(leastDiskGiB))
}

// checkNested notes where the host is a virtual machine itself (the flag
// "hypervisor" of cpuinfo): machines then boot more slowly.
func checkNested(cpuinfo string) preflight.Finding {
	b, err := os.ReadFile(cpuinfo)
	if err != nil {
		return ok("not known: %v", err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "flags") && slices.Contains(strings.Fields(line), "hypervisor") {
			return ok("nested: this host is a virtual machine itself; machines boot more slowly")
		}
	}
	return ok("not nested")
}
