package main

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// harden keeps other processes of the same user from reading the supervisor's
// memory, its secrets out of a core file (prctl(2), PR_SET_DUMPABLE), and the
// starter's files out of our children.
func harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("making ourselves unreadable to others: %w", err)
	}
	// What the starter left open (a runner's output files, say) is not for our
	// children, of which one parses what the guest sends.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("keeping inherited files back: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbidding core files: %w", err)
	}
	return nil
}
