package lifeline

import "golang.org/x/sys/unix"

// dup is dup2(2), which some architectures lack. Descriptors 0 to 2 stay open
// in children; whatever else is given here was meant to be closed there.
func dup(from, to int) error {
	flags := 0
	if to > 2 {
		flags = unix.O_CLOEXEC
	}
	return unix.Dup3(from, to, flags)
}
