package preflight

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Requests of /dev/kvm, and the version that has been the only one since Linux
// 2.6.22 (the kernel's KVM API document).
const (
	kvmGetAPIVersion = 0xAE00
	kvmCreateVM      = 0xAE01
	kvmAPIVersion    = 12
)

func makeMachine(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening it: %w", err)
	}
	defer unix.Close(fd)
	version, _, number := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), kvmGetAPIVersion, 0)
	if number != 0 || version != kvmAPIVersion {
		return fmt.Errorf("asking for its version: %w (%d)", number, version)
	}
	vm, _, number := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), kvmCreateVM, 0)
	if number != 0 {
		return fmt.Errorf("making a machine: %w", number)
	}
	return unix.Close(int(vm))
}
