package control

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerOf asks the kernel who is at the other end (unix(7), SO_PEERCRED).
func peerOf(c *net.UnixConn) (pid, uid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	var cred *unix.Ucred
	var errGet error
	err = raw.Control(func(fd uintptr) {
		cred, errGet = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil || errGet != nil {
		return 0, 0, cmpErr(err, errGet)
	}
	return int(cred.Pid), int(cred.Uid), nil
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
