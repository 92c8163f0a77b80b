package preflight

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

var (
	kvmMissing = Entry{"kvm-missing", Fail, "There is no /dev/kvm: a microVM can't run.",
		[]Remedy{{"nixos", "boot.kernelModules = [ \"{module}\" ]; and switch virtualisation on in the firmware (or nested virtualisation, where this is a virtual machine)"}, {"", "modprobe {module}, and put {module} into /etc/modules-load.d/kvm.conf; if that fails, switch virtualisation on in the firmware (or nested virtualisation, where this is a virtual machine)"}}}
	kvmNotDevice = Entry{"kvm-not-device", Fail, "What is called /dev/kvm is not the device.",
		[]Remedy{{"", "find out who put it there, remove it, then: udevadm trigger --name-match=kvm"}}}
	kvmMode = Entry{"kvm-mode", Fail, "Only the owner of /dev/kvm may use it: no group has access.",
		[]Remedy{{"nixos", "services.udev.extraRules = ''KERNEL==\"kvm\", GROUP=\"kvm\", MODE=\"0660\"''; and SupplementaryGroups = [ \"kvm\" ] for the runner's service"}, {"", "echo 'KERNEL==\"kvm\", GROUP=\"kvm\", MODE=\"0660\"' > /etc/udev/rules.d/65-kvm.rules; udevadm control --reload; udevadm trigger --name-match=kvm; then usermod -aG kvm {user}, and {again}"}}}
	kvmDenied = Entry{"kvm-denied", Fail, "/dev/kvm is there, and this user may not read and write it.",
		[]Remedy{{"nixos", "systemd.services.RUNNER.serviceConfig.SupplementaryGroups = [ \"{group}\" ];, or users.users.{user}.extraGroups = [ \"{group}\" ]; and {again}"}, {"", "usermod -aG {group} {user}, and {again}"}}}
	kvmForbidden = Entry{"kvm-forbidden", Fail, "/dev/kvm is there, and a device rule of the service or container forbids it.",
		[]Remedy{{"nixos", "serviceConfig.DeviceAllow = [ \"/dev/kvm rw\" ]; and PrivateDevices = false; for the runner's service"}, {"", "in a service: DeviceAllow=/dev/kvm rw and PrivateDevices=no; in a container: --device /dev/kvm"}}}
	kvmBusy = Entry{"kvm-busy", Fail, "Another hypervisor holds the processor's virtualisation.",
		[]Remedy{{"", "end the machines of the other hypervisor (VirtualBox, VMware), or keep its modules from loading"}}}
	kvmNoModule = Entry{"kvm-no-module", Fail, "/dev/kvm is there, and no driver is behind it.",
		[]Remedy{{"nixos", "boot.kernelModules = [ \"{module}\" ];"}, {"", "modprobe {module}; if that fails, switch virtualisation on in the firmware"}}}
	kvmUnusable = Entry{"kvm-unusable", Fail, "/dev/kvm can be opened and makes no machine.",
		[]Remedy{{"", "see what the kernel says: `dmesg | grep -i kvm`"}}}
)

// KVM asks whether a machine can be made with the device at path, by making one,
// which ends with its descriptor.
func KVM(h Host, path string) Check {
	return Check{ID: "kvm", Subject: path, Run: func(context.Context) Finding {
		pairs := []string{"{path}", path, "{module}", h.kvmModule()}
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return h.Found(kvmMissing, "not there", pairs...)
		case err != nil:
			return h.Found(kvmDenied, reason(err), append(pairs, "{group}", "kvm")...)
		case info.Mode()&fs.ModeCharDevice == 0:
			return h.Found(kvmNotDevice, "not a character device", pairs...)
		}
		if err := makeMachine(path); err != nil {
			return h.kvmFailed(info, err, pairs)
		}
		return Passed("makes machines")
	}}
}

// kvmFailed says what an error of opening the device, or of making a machine with
// it, means.
func (h Host) kvmFailed(info fs.FileInfo, err error, pairs []string) Finding {
	group := groupOf(info)
	found := fmt.Sprintf("%s (mode %04o, group %s)", err, info.Mode().Perm(), group)
	switch {
	case errors.Is(err, syscall.EACCES) && info.Mode().Perm()&0o060 != 0o060:
		return h.Found(kvmMode, found, pairs...)
	case errors.Is(err, syscall.EACCES):
		return h.Found(kvmDenied, found, append(pairs, "{group}", group)...)
	case errors.Is(err, syscall.EPERM):
		return h.Found(kvmForbidden, found, pairs...)
	case errors.Is(err, syscall.EBUSY):
		return h.Found(kvmBusy, found, pairs...)
	case errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		return h.Found(kvmNoModule, found, pairs...)
	}
	return h.Found(kvmUnusable, found, pairs...)
}

// kvmModule is the module for this host's processor.
func (h Host) kvmModule() string {
	switch cpu := h.read("/proc/cpuinfo"); {
	case strings.Contains(cpu, "AuthenticAMD"):
		return "kvm-amd"
	case strings.Contains(cpu, "GenuineIntel"):
		return "kvm-intel"
	}
	return "kvm"
}

func groupOf(info fs.FileInfo) string {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "kvm"
	}
	id := strconv.Itoa(int(s.Gid))
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}
