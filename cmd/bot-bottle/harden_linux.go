package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// harden keeps other processes of the same user from reading the supervisor's
// memory, and its secrets out of a core file (prctl(2), PR_SET_DUMPABLE).
func harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("making ourselves unreadable to others: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbidding core files: %w", err)
	}
	return nil
}
