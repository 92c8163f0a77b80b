package smolmachines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"syscall"

	"github.com/bot-bottle/action/backends"
	"golang.org/x/sys/unix"
)

// firstDoorPort is where the first of socketNames is reached on the alias, in the
// VMM's network; the others follow. They are others than the doors' own, because
// the guest's kernel tries its own loopback first, where the forwarders listen at
// those.
const firstDoorPort = 19099

func doorAddress(alias netip.Addr, i int) string {
	return netip.AddrPortFrom(alias, uint16(firstDoorPort+i)).String()
}

// inNetwork goes on as stageNetwork in a network namespace of its own: the jail's
// may belong to a user namespace in which this process has no rights.
func (h *helper) inNetwork() error {
	cmd := exec.Command("/proc/self/exe", Verb, stageNetwork)
	cmd.Args[0] = "bot-bottle"
	cmd.Env = os.Environ()
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("starting the machine in a network of its own: %w", err)
	}
	return nil
}

// startInNetwork makes the doors, and nothing else, reachable on the alias, and
// starts the machine.
func (h *helper) startInNetwork(ctx context.Context) error {
	if err := loopbackUp(); err != nil {
		return err
	}
	for i, name := range socketNames {
		l, err := net.Listen("tcp4", doorAddress(h.plan.Alias, i))
		if err != nil {
			return fmt.Errorf("listening for the door %q: %w", name, err)
		}
		go forward(l, "unix", filepath.Join(jailDoors, name))
	}
	return h.startMachine(ctx)
}

// forward pipes every connection to the address; both ends with the process.
func forward(l net.Listener, network, address string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			other, err := net.Dial(network, address)
			if err != nil {
				return
			}
			defer other.Close()
			join(conn, other)
		}()
	}
}

// join pipes both ways until both have ended; the end of one way is passed on.
func join(a, b net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		oneWay(a, b)
	}()
	oneWay(b, a)
	<-done
}

func oneWay(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close() // what comes the other way would never be read to its end
		return
	}
	if w, ok := to.(interface{ CloseWrite() error }); ok {
		w.CloseWrite()
	}
}

// bridge makes the doors' sockets in the guest, which lead to the alias; from there
// the VMM takes them to the host's.
func bridge(alias netip.Addr) error {
	if err := os.MkdirAll(backends.GuestDoors, 0o755); err != nil {
		return fmt.Errorf("making the folder of the doors: %w", err)
	}
	for i, name := range socketNames {
		l, err := net.Listen("unix", path.Join(backends.GuestDoors, name))
		if err != nil {
			return fmt.Errorf("making the door %q: %w", name, err)
		}
		go forward(l, "tcp4", doorAddress(alias, i))
	}
	return nil
}

// loopbackUp brings lo up in this network namespace (netdevice(7)).
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bringing the loopback up: %w", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, request)
	}
	if err == nil && request.Uint16()&unix.IFF_UP == 0 {
		request.SetUint16(request.Uint16() | unix.IFF_UP)
		err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
	}
	if err != nil {
		return fmt.Errorf("bringing the loopback up: %w", err)
	}
	return nil
}

// moveInto makes the image at dir the root of this process, with the kernel's own
// file systems of the root that smolvm's agent made.
func moveInto(dir string) error {
	for _, name := range []string{"/proc", "/sys", "/dev"} {
		if err := unix.Mount(name, filepath.Join(dir, name), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("mounting %q in the image: %w", name, err)
		}
	}
	if err := errors.Join(unix.Chroot(dir), os.Chdir("/")); err != nil {
		return fmt.Errorf("moving into the image: %w", err)
	}
	return nil
}
