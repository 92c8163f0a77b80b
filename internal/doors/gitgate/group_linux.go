package gitgate

import "syscall"

// processGroup gives git a group of its own, and ends it with this process, however
// that ends: the thread that the kernel looks at is one of the runtime's, which keeps
// its threads.
func processGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
