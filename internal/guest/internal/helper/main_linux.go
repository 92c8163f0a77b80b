// Command helper is the binary that tests of guest and control start: process 1
// of a guest as the real one is, and some of the hostile programs in it.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/bot-bottle/action/internal/guest"
	"golang.org/x/sys/unix"
)

var verbs = map[string]func(args []string) error{
	"boot":    boot,
	"init":    serve,
	"dial":    dial,
	"fill":    fill,
	"bomb":    bomb,
	"daemons": daemons,
}

func main() {
	if len(os.Args) < 2 || verbs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: helper VERB ARG...")
		os.Exit(2)
	}
	if err := verbs[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// boot, in namespaces of its own, does what a backend does before process 1
// begins: it mounts /proc, brings the loopback up, and keeps no capabilities but
// those that a guest needs.
func boot(args []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	if err := keep(unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL, unix.CAP_SETPCAP); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", append([]string{"helper", "init"}, args...), nil)
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_LOOPBACK | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// keep drops all but the given capabilities from the bounding set, which is what
// root has after execve(2).
func keep(capabilities ...uintptr) error {
	kept := map[uintptr]bool{}
	for _, c := range capabilities {
		kept[c] = true
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if kept[c] {
			continue
		}
		if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0); errno != 0 && errno != unix.EINVAL {
			return fmt.Errorf("dropping capability %d: %w", c, errno)
		}
	}
	return nil
}

// serve is process 1: init CONTROL.
func serve(args []string) error {
	return guest.Init(context.Background(), guest.InitOptions{Control: args[0]})
}

// dial sends its input to an address, ends it, and prints what comes back: dial
// HOST:PORT.
func dial(args []string) error {
	c, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	if _, err := io.Copy(c, os.Stdin); err != nil {
		return err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, c)
	return err
}

// fill leaves as much in the pipe of its output as fits, with a process that holds
// it open: fill BYTES.
func fill(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	if _, err := unix.FcntlInt(os.Stdout.Fd(), unix.F_SETPIPE_SZ, n); err != nil {
		return fmt.Errorf("widening the pipe: %w", err)
	}
	holder := exec.Command("sleep", "1000")
	holder.Stdout = os.Stdout
	if err := holder.Start(); err != nil {
		return err
	}
	_, err = os.Stdout.Write(make([]byte, n))
	return err
}

// bomb starts itself again and again, each in a session of its own, and never
// gives up.
func bomb([]string) error {
	for {
		child := exec.Command("/proc/self/exe", "bomb")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		child.Start() // fails at the limit, until others have died
	}
}

// daemons leaves N processes behind, each in a session of its own, that ignore
// what can be ignored and hold the file open: daemons N FILE. It returns when all
// of them run.
func daemons(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	file, err := os.OpenFile(args[1], os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for range n {
		child := exec.Command("sh", "-c", "trap '' HUP INT TERM QUIT; echo up; exec 1<&-; while :; do sleep 1000; done")
		child.ExtraFiles = []*os.File{file}
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		out, err := child.StdoutPipe()
		if err != nil {
			return err
		}
		if err := child.Start(); err != nil {
			return err
		}
		if _, err := io.ReadFull(out, make([]byte, 3)); err != nil {
			return fmt.Errorf("waiting for a daemon: %w", err)
		}
	}
	return nil
}
