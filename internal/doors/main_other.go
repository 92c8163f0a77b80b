//go:build !linux

package doors

import (
	"errors"
	"net"
)

var errNotLinux = errors.New("this is not Linux")

func becomeGit([]string) error { return errNotLinux }

func harden(*gitRoom) ([]Measure, error) { return nil, errNotLinux }

func peerOf(*net.UnixConn) (uid, pid int, err error) { return -1, 0, errNotLinux }

func opensForAppending(uintptr) (bool, error) { return false, errNotLinux }
