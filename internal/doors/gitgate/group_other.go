//go:build !linux

package gitgate

import "syscall"

// processGroup gives git a group of its own.
func processGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
