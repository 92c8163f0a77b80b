package doors

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// giveUpRights takes from the calling thread, and from what it starts, the right
// to gain any (prctl(2), PR_SET_NO_NEW_PRIVS), the capabilities that a program
// could be given, and those that the thread has. keep leaves it the last ones
// until it has changed its user, which takes them.
func giveUpRights(keep bool) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("forbidding new rights: %w", err)
	}
	if err := emptyBoundingSet(); err != nil {
		return err
	}
	// Kernels since 4.3 have ambient capabilities (capabilities(7)).
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("dropping ambient capabilities: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // bits 0 to 31, and the rest
	if keep {
		if err := unix.Capget(&header, &sets[0]); err != nil {
			return fmt.Errorf("reading capabilities: %w", err)
		}
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("dropping capabilities: %w", err)
	}
	return nil
}

// emptyBoundingSet needs CAP_SETPCAP. Who hasn't that has to do with
// no_new_privs, under which a bounding set can give nothing.
func emptyBoundingSet() error {
	for c := uintptr(0); ; c++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		switch {
		case errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL): // EINVAL: past the last one
			return nil
		case err != nil:
			return fmt.Errorf("dropping capability %d from the bounding set: %w", c, err)
		}
	}
}
