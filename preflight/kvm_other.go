//go:build !linux

package preflight

import "syscall"

func makeMachine(string) error { return syscall.ENODEV }
