//go:build unix

package collector

import (
	"errors"
	"syscall"
)

// lacking tells whether err means that the host has no such address, family or
// writable folder.
func lacking(err error) bool {
	for _, e := range []syscall.Errno{syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, syscall.EPROTONOSUPPORT, syscall.EROFS, syscall.ENOTDIR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
