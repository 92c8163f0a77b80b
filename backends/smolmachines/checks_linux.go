package smolmachines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/guestroot"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/preflight"
)

// Checks are what this backend needs of the host for s.
func (b *Backend) Checks(s backends.Spec) []preflight.Check {
	at := func(id, subject string, run func(context.Context) preflight.Finding) preflight.Check {
		return preflight.Check{ID: id, Subject: subject, Run: run}
	}
	return []preflight.Check{
		at("kvm", kvmDevice, func(context.Context) preflight.Finding { return checkKVM(kvmDevice, os.Getuid()) }),
		at("smolvm", "smolvm", func(ctx context.Context) preflight.Finding { return b.checkSmolvm(ctx, s) }),
		at("mkfs", "mkfs.ext4", func(context.Context) preflight.Finding { return checkFormatter() }),
		at("namespaces", "user namespaces", func(ctx context.Context) preflight.Finding { return checkNamespaces(ctx, s) }),
		at("image", imageName(s), func(context.Context) preflight.Finding { return checkImage(s) }),
		at("cpus", strconv.Itoa(s.Limits.CPUs), func(context.Context) preflight.Finding { return checkCPUs(s) }),
		at("pids", strconv.Itoa(s.Limits.PIDs), func(context.Context) preflight.Finding { return checkPIDs(s) }),
		at("disk", s.Disk, func(context.Context) preflight.Finding { return checkDisk(s) }),
		at("nested", "virtualisation", func(context.Context) preflight.Finding { return checkNested("/proc/cpuinfo") }),
	}
}

func ok(found string, args ...any) preflight.Finding {
	return preflight.Finding{Status: preflight.OK, Found: fmt.Sprintf(found, args...)}
}

func bad(status preflight.Status, remedy, found string, args ...any) preflight.Finding {
	return preflight.Finding{Status: status, Found: fmt.Sprintf(found, args...), Remedy: remedy}
}

func fail(remedy, found string, args ...any) preflight.Finding {
	return bad(preflight.Fail, remedy, found, args...)
}

// foundError makes a failed finding of an error, with its hints as the remedy.
func foundError(err error, remedy string) preflight.Finding {
	if hints := term.Hints(err); len(hints) > 0 {
		remedy = strings.Join(hints, "; ")
	}
	return fail(remedy, "%v", err)
}

// checkKVM opens the device as the VMM will. uid is ours: root starts the VMM as a
// user that is in no group, so that the device has to be open to everybody.
func checkKVM(device string, uid int) preflight.Finding {
	if mutation.On(mutation.NoMachine) {
		return ok("not looked at: this is a test build")
	}
	info, err := os.Stat(device)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fail("load the module (modprobe kvm-intel or kvm-amd), switch virtualisation on in the firmware, or use a backend without a machine", "it does not exist")
	case err != nil:
		return fail("find out why it can't be looked at", "%v", err)
	case info.Mode()&os.ModeCharDevice == 0:
		return fail("find out what made it, and remove it", "it is no character device")
	case uid == 0 && info.Mode().Perm()&0o006 != 0o006:
		return fail("start bot-bottle as an ordinary user of the group kvm, or open the device to all: a udev rule KERNEL==\"kvm\", MODE=\"0666\"", "root gives the machine a user of its own, which may not open it (mode %#o)", info.Mode().Perm())
	}
	return checkOpen(device)
}

// checkOpen tries it.
func checkOpen(device string) preflight.Finding {
	f, err := os.OpenFile(device, os.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return openFailed(err)
	}
	f.Close()
	return ok("it can be opened")
}

// openFailed tells apart why the device can't be opened.
func openFailed(err error) preflight.Finding {
	remedy := "switch virtualisation on in the firmware, or in the hypervisor if this is a virtual machine itself"
	switch {
	case errors.Is(err, os.ErrPermission):
		remedy = "add the runner's user to the group kvm (usermod -aG kvm USER) and log in again; on NixOS users.users.USER.extraGroups; in a container, pass the device on"
	case errors.Is(err, syscall.EBUSY):
		remedy = "end the other hypervisor (VirtualBox, for one) that holds the processor's virtualisation"
	}
	return fail(remedy, "it can't be opened: %v", err)
}

// checkSmolvm finds smolvm and asks it, within a jail, for its version.
func (b *Backend) checkSmolvm(ctx context.Context, s backends.Spec) preflight.Finding {
	i, err := b.opts.find()
	if err != nil {
		return foundError(err, installHint)
	}
	v, err := b.version(ctx, s, i)
	if err != nil {
		return fail("is this smolvm? "+installHint, "%q doesn't tell its version: %v", i.binary, err)
	}
	f, err := usableForm(v, b.opts.Mode, b.opts.StrictVersion)
	if err != nil {
		return fail("install another release: "+Working, "%v", err)
	}
	if f.Unread {
		return bad(preflight.Warn, "nothing, if every verification holds; or set strict_version and install "+Newest.String(),
			"unread version: smolvm %s is newer than %s, the newest whose source was read", v, Newest)
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
func checkFormatter() preflight.Finding {
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/run/current-system/sw/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, "mkfs.ext4")); err == nil {
			return ok("%s", path)
		}
	}
	return bad(preflight.Warn, "install e2fsprogs", "it is not there: smolvm starts only if its release has formatted disks as templates")
}

func checkNamespaces(ctx context.Context, s backends.Spec) preflight.Finding {
	if err := confine.Try(ctx, s.Executable, s.UserID); err != nil {
		return fail("the VMM is started only where it has no network: allow user namespaces (see `bot-bottle preflight`), or start bot-bottle as root", "can't be used: %v", err)
	}
	return ok("made and used")
}

func imageName(s backends.Spec) string {
	if s.Image.Rootfs != "" {
		return s.Image.Rootfs
	}
	return "host tools"
}

func checkImage(s backends.Spec) preflight.Finding {
	entries, err := guestroot.Entries(s)
	if err != nil {
		return foundError(err, "give the bottle another image")
	}
	if found := guestroot.ListeningBelow(entries); found != "" {
		return fail("a service listens below a folder that the guest gets; move its socket, or use an image", "socket %q would be in the guest's reach", found)
	}
	return ok("%d entries, no socket below them", len(entries))
}

// checkCPUs: more than smolvm supports can't be had.
func checkCPUs(s backends.Spec) preflight.Finding {
	if s.Limits.CPUs > maxCPUs {
		return bad(preflight.Warn, "lower the bottle's limits.cpus", "the bottle asks for %d processors, a machine has at most %d", s.Limits.CPUs, maxCPUs)
	}
	return ok("the machine's processors")
}

// checkPIDs: Linux doesn't hold RLIMIT_NPROC against the first user namespace's root
// (kernel/fork.c), which root in a machine is.
func checkPIDs(s backends.Spec) preflight.Finding {
	switch {
	case !s.Root:
		return ok("RLIMIT_NPROC, held by the guest's kernel")
	case mutation.On(mutation.NoMachine):
		return ok("not looked at: this is a test build")
	case s.Limits.BestEffort:
		return bad(preflight.Warn, "don't give the agent root if it doesn't need it", "root in a machine is not bound by a limit on tasks")
	}
	return fail("don't give the agent root, or set limits.best_effort", "root in a machine is not bound by a limit on tasks")
}

// checkDisk: a machine's two disks are of whole GiB, so that less can't be held.
func checkDisk(s backends.Spec) preflight.Finding {
	if s.Limits.DiskBytes >= leastDiskGiB*gib {
		return ok("the size of the machine's disks")
	}
	status := preflight.Fail
	if s.Limits.BestEffort {
		status = preflight.Warn
	}
	return bad(status, fmt.Sprintf("raise the bottle's limits.disk to %d GiB, or set limits.best_effort", leastDiskGiB),
		"the bottle allows %d bytes, a machine's disks have at least %d GiB", s.Limits.DiskBytes, leastDiskGiB)
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
