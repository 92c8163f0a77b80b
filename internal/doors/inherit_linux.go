package doors

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peerOf gives who connected, as the kernel recorded it then (unix(7),
// SO_PEERCRED).
func peerOf(conn *net.UnixConn) (uid, pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, 0, fmt.Errorf("asking who connected: %w", err)
	}
	var cred *unix.Ucred
	if ctlErr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); ctlErr != nil {
		err = ctlErr
	}
	if err != nil {
		return -1, 0, fmt.Errorf("asking who connected: %w", err)
	}
	return int(cred.Uid), int(cred.Pid), nil
}

// opensForAppending tells whether fd is open for writing at the end alone.
func opensForAppending(fd uintptr) (bool, error) {
	flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
	if err != nil {
		return false, fmt.Errorf("asking how it is open: %w", err)
	}
	return flags&unix.O_APPEND != 0 && flags&unix.O_ACCMODE == unix.O_WRONLY, nil
}
