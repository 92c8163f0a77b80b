package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"github.com/bot-bottle/action/internal/smolvmtest"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// runsc is the binary of bot-bottle, which has gVisor in it, where smolvm's jail has
// it.
const runsc = "/bb/bot-bottle"

// readyFD is where the VMM tells that it is ready.
const readyFD = 3

// boot is the VMM: it makes the bridges of the sockets and waits for the one
// command that it is to run in its guest.
func (w *world) boot(name string) error {
	ready := os.NewFile(readyFD, "ready")
	r, err := w.load(name)
	if err != nil {
		return err
	}
	if err := w.harden(); err != nil {
		return err
	}
	folders, err := w.bridge(r)
	if err != nil {
		return err
	}
	agent, err := net.Listen("unix", filepath.Join(w.folder(name), "agent.sock"))
	if err != nil {
		return err
	}
	if _, err := ready.WriteString("ready"); err != nil {
		return err
	}
	ready.Close()
	if w.config.Does(smolvmtest.DiesAfterStart) {
		return errors.New("the VMM dies")
	}
	return w.serve(agent, r, folders)
}

// serve runs the first command in the guest. It ends with it.
func (w *world) serve(agent net.Listener, r record, folders map[string]string) error {
	conn, err := agent.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	var argv []string
	if err := json.NewDecoder(conn).Decode(&argv); err != nil {
		return err
	}
	code, err := w.runGuest(r, folders, argv)
	if err != nil {
		return err
	}
	return json.NewEncoder(conn).Encode(code)
}

// harden does what the release does when it is asked to: no_new_privs, and a filter,
// of the whole process.
func (w *world) harden() error {
	if !w.release.Hardening || os.Getenv("SMOLVM_SECCOMP") != "enforce" || w.config.Does(smolvmtest.NoHardening) {
		return nil
	}
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	prog := unix.SockFprog{Len: 1, Filter: &allow}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	return nil
}

// bridge listens for each socket in a folder of its own, and pipes what comes to the
// host's; smolvm does so over vsock. It gives the folder for each of the guest's.
func (w *world) bridge(r record) (map[string]string, error) {
	folders := map[string]string{}
	for _, s := range r.Sockets {
		if s.Direction != "mount" {
			continue
		}
		inGuest := filepath.Dir(s.Guest)
		if folders[inGuest] == "" {
			folders[inGuest] = filepath.Join(w.folder(r.Name), fmt.Sprintf("s%d", len(folders)))
			if err := os.MkdirAll(folders[inGuest], 0o755); err != nil {
				return nil, err
			}
		}
		if err := listen(filepath.Join(folders[inGuest], filepath.Base(s.Guest)), s.Host); err != nil {
			return nil, err
		}
		if w.config.Does(smolvmtest.ExtraSocket) {
			if err := listen(filepath.Join(folders[inGuest], "extra.sock"), s.Host); err != nil && !errors.Is(err, syscall.EADDRINUSE) {
				return nil, err
			}
		}
	}
	return folders, nil
}

func listen(path, host string) error {
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go pipe(conn.(*net.UnixConn), host)
		}
	}()
	return nil
}

func pipe(inner *net.UnixConn, host string) {
	defer inner.Close()
	conn, err := net.Dial("unix", host)
	if err != nil {
		return
	}
	outer := conn.(*net.UnixConn)
	defer outer.Close()
	done := make(chan struct{})
	go func() {
		io.Copy(outer, inner)
		outer.CloseWrite()
		close(done)
	}()
	io.Copy(inner, outer)
	inner.CloseWrite()
	<-done
}

// runGuest runs argv as process 1 under gVisor.
func (w *world) runGuest(r record, folders map[string]string, argv []string) (int, error) {
	bundle := filepath.Join(w.folder(r.Name), "bundle")
	state := filepath.Join(w.folder(r.Name), "runsc")
	network := "none"
	if r.Network {
		network = "host" // as with TSI, its connections are made where the VMM is
	}
	if w.config.Does(smolvmtest.GuestNetwork) || w.config.Does(smolvmtest.AnswersDNS) {
		network = "host"
		if err := w.openNetwork(); err != nil {
			return 1, err
		}
	}
	config, err := json.Marshal(ociSpec(r, folders, argv, network))
	if err != nil {
		return 1, err
	}
	if err := errors.Join(os.MkdirAll(bundle, 0o755), os.MkdirAll(state, 0o700), os.WriteFile(filepath.Join(bundle, "config.json"), config, 0o644)); err != nil {
		return 1, err
	}
	cmd := exec.Command(runsc)
	cmd.Args = []string{
		"runsc", "--root=" + state, "--rootless", "--ignore-cgroups", "--network=" + network, "--platform=systrap", "--host-uds=open",
		"--directfs=false", "--overlay2=root:dir=" + w.folder(r.Name), "run", "--bundle=" + bundle, r.Name,
	}
	cmd.Env = []string{}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNS} // its mounts are not the VMM's
	runtime.LockOSThread()
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// root is the image, or, without one, that of smolvm's agent.
func root(r record) string {
	if r.Image == nil {
		return os.Getenv("SMOLVM_AGENT_ROOTFS")
	}
	return strings.TrimPrefix(*r.Image, "local-dir:")
}

func ociSpec(r record, folders map[string]string, argv []string, network string) *specs.Spec {
	caps := []string{
		"CAP_CHOWN", "CAP_KILL", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID",
		"CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SYS_CHROOT", "CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_MKNOD",
	}
	s := &specs.Spec{
		Version:  "1.0.2",
		Hostname: r.Name,
		Root:     &specs.Root{Path: root(r)},
		Process: &specs.Process{
			Args: argv, Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, Cwd: "/",
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs"},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=1777"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"ro"}},
		},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{
			{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.MountNamespace},
		}},
	}
	if network == "none" {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace})
	}
	for _, m := range r.Mounts {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: m.Guest, Type: "bind", Source: m.Host, Options: []string{"rbind", "ro"}})
	}
	for _, guest := range slices.Sorted(maps.Keys(folders)) {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: guest, Type: "bind", Source: folders[guest], Options: []string{"bind", "ro"}})
	}
	return s
}
