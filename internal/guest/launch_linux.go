package guest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// launch starts the program at path in a session of its own and gives its pid.
//
// What the process must not have is given up in a thread that is made for it and
// ends after it: a child has the no_new_privs and the capability sets of the
// thread that forks (capabilities(7)), and what the thread still needs to become
// another user, setuid(2) takes from the child.
func (c *command) launch(path string, s *streams) (pid int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // without an unlock, so that the thread ends with this function
		if err = c.giveUp(); err != nil {
			return
		}
		pid, err = syscall.ForkExec(path, c.Argv, &syscall.ProcAttr{
			Dir:   c.Dir,
			Env:   c.Env,
			Files: []uintptr{uintptr(s.stdin.theirs), uintptr(s.stdout.theirs), uintptr(s.stderr.theirs)},
			Sys:   &syscall.SysProcAttr{Setsid: true, Credential: c.credential()},
		})
	}()
	<-done
	return pid, err
}

// credential is nil where the command runs as who we are: there may be no right
// to set even that.
func (c *command) credential() *syscall.Credential {
	if int(c.UID) == os.Getuid() && int(c.GID) == os.Getgid() {
		return nil
	}
	return &syscall.Credential{Uid: c.UID, Gid: c.GID}
}

// giveUp takes from this thread what the command's process must not have.
func (c *command) giveUp() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up new privileges: %w", err)
	}
	if c.UID == 0 {
		// And has what process 1 was given otherwise.
		return errors.Join(giveUpLimits(), c.giveUpUsers())
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("reading capabilities: %w", err)
	}
	if sets[0].Permitted == 0 && sets[1].Permitted == 0 {
		return nil // and with no_new_privs none can come back
	}
	if err := dropBounding(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up ambient capabilities: %w", err)
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("giving up inheritable capabilities: %w", err)
	}
	return nil
}

// giveUpLimits keeps root under the limit on tasks, which a process with CAP_SYS_RESOURCE
// may exceed and raise. What isn't permitted can't be given up, and needn't be.
func giveUpLimits() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("reading capabilities: %w", err)
	}
	const bit = 1 << unix.CAP_SYS_RESOURCE
	if sets[0].Permitted&bit == 0 {
		return nil
	}
	if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_RESOURCE, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up the capability to exceed limits: %w", err)
	}
	sets[0].Permitted &^= bit
	sets[0].Effective &^= bit
	sets[0].Inheritable &^= bit
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("giving up the capability to exceed limits: %w", err)
	}
	return nil
}

// giveUpUsers keeps root from becoming another user: a limit on tasks is one on
// each user's, and would be as many times larger.
func (c *command) giveUpUsers() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("reading capabilities: %w", err)
	}
	if c.ManyUsers || sets[0].Permitted&(1<<unix.CAP_SETUID|1<<unix.CAP_SETGID) == 0 {
		return nil
	}
	for _, capability := range []uintptr{unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETPCAP} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
			return fmt.Errorf("giving up capability %d: %w", capability, err)
		}
	}
	return nil
}

// capabilitySetBits is how many capabilities a kernel can know.
const capabilitySetBits = 64

// dropBounding empties the bounding set: EINVAL means that the kernel knows no
// such capability.
func dropBounding() error {
	for c := range uintptr(capabilitySetBits) {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) && c > 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("giving up capability %d: %w", c, err)
		}
	}
	return nil
}

// lookUp finds the program in the command's own PATH. Whether the command's user
// may execute it the kernel decides.
func (c *command) lookUp() (string, error) {
	name := c.Argv[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, v := range c.Env {
		list, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("starting %q: %w", name, exec.ErrNotFound)
}
