package preflight_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/testenv"
	"github.com/bot-bottle/action/preflight"
	"golang.org/x/sys/unix"
)

var ctx = context.Background()

// wants fails unless f has the id, and its remedy the words.
func wants(t *testing.T, f preflight.Finding, id string, words ...string) {
	t.Helper()
	if f.ID != id {
		t.Errorf("got %+v, wanted %s", f, id)
	}
	if (f.Status == preflight.OK) != (f.Remedy == "") || strings.ContainsAny(f.Remedy, "{}") && !strings.Contains(f.Remedy, "on: {") {
		t.Errorf("remedy of %+v", f)
	}
	for _, w := range words {
		if !strings.Contains(f.Remedy+f.Found, w) {
			t.Errorf("%q is missing in %+v", w, f)
		}
	}
}

func TestAHealthyHostPasses(t *testing.T) {
	host, state := quiet(), filepath.Join(t.TempDir(), "state")
	exe := testenv.Binary(t, "./internal/static")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	checks := []preflight.Check{
		preflight.Platform(host), preflight.Binary(host, exe, testenv.UnprivilegedID), preflight.State(host, state),
		preflight.State(host, filepath.Join(state, "not/yet/there")), preflight.Disk(host, state, 1), preflight.Memory(host, 1),
		preflight.Processors(host, 1, 1), preflight.Clock(host, time.Now, exe), preflight.ControlGroup(host, 1),
		preflight.UserNamespaces(host, os.Getuid(), func(context.Context) error { return nil }),
	}
	for i, f := range preflight.Run(ctx, checks) {
		wants(t, f, checks[i].ID)
	}
}

func TestNoKVM(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "kvm")
	wants(t, one(preflight.KVM(quiet(), missing)), "kvm-missing", "modprobe kvm")
	nixos := on(0, map[string]string{"etc/os-release": "NAME=NixOS\nID=nixos\n", "proc/cpuinfo": "vendor_id : AuthenticAMD\n"})
	wants(t, one(preflight.KVM(nixos, missing)), "kvm-missing", `boot.kernelModules = [ "kvm-amd" ];`)
	if err := os.WriteFile(missing, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	wants(t, one(preflight.KVM(quiet(), missing)), "kvm-not-device")
}

func TestKVMOfSomebodyElse(t *testing.T) {
	stranger := func(cmd *exec.Cmd) { testenv.AsUser(cmd) }
	wants(t, play(t, "kvm", device(t, 0o600, testenv.UnprivilegedID+1, testenv.UnprivilegedID+1), stranger), "kvm-mode",
		`KERNEL=="kvm", GROUP="kvm"`, "usermod -aG kvm 1999000001", "permission denied")
	wants(t, play(t, "kvm", device(t, 0o660, 0, 3), stranger), "kvm-denied", "usermod -aG sys 1999000001") // sys is Debian's group 3
}

func TestKVMWithoutRightsOnNixOS(t *testing.T) {
	host := on(4711, map[string]string{"etc/os-release": "ID=nixos\n", "proc/self/cgroup": "0::/system.slice/gitea-runner-nix.service\n"})
	info, err := os.Stat("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	f := preflight.KVMFailed(host, info, syscall.EACCES)
	wants(t, f, "kvm-denied", "SupplementaryGroups = [ \"", "systemctl restart gitea-runner-nix.service")
}

func TestKVMErrorsAreTold(t *testing.T) {
	info, err := os.Stat("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	for number, id := range map[syscall.Errno]string{
		syscall.EPERM: "kvm-forbidden", syscall.EBUSY: "kvm-busy", syscall.ENODEV: "kvm-no-module", syscall.ENXIO: "kvm-no-module", syscall.EIO: "kvm-unusable",
	} {
		wants(t, preflight.KVMFailed(quiet(), info, fmt.Errorf("opening it: %w", number)), id, number.Error())
	}
}

// TestKVMDevice goes to the kernel: what it finds depends on the machine, and is
// never a missing right.
func TestKVMDevice(t *testing.T) {
	switch f := one(preflight.KVM(quiet(), device(t, 0o666, 0, 0))); f.ID {
	case "kvm", "kvm-no-module", "kvm-busy", "kvm-unusable", "kvm-forbidden":
	default:
		t.Errorf("got %+v", f)
	}
}

// hanging is a socket at which nobody answers.
func hanging(t *testing.T) string {
	t.Helper()
	return served(t, func(c net.Conn) {})
}

// served is a socket whose connections are given to serve and stay open.
func served(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	path := filepath.Join(testenv.ShortDir(t), "docker.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			go serve(c)
		}
	}()
	return path
}

func TestAHangingDockerIsCutOff(t *testing.T) {
	t.Parallel() // most of it is waiting
	start := time.Now()
	wants(t, one(preflight.Docker(quiet(), hanging(t))), "docker-stopped", "no answer within 2s", "systemctl restart docker")
	if took := time.Since(start); took < preflight.CutOff || took > 10*preflight.CutOff {
		t.Errorf("it took %v", took)
	}
}

func TestDocker(t *testing.T) {
	answer := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			http.ReadRequest(newReader(c))
			fmt.Fprint(c, text)
			c.Close()
		}
	}
	healthy := served(t, answer("HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK"))
	wants(t, one(preflight.Docker(quiet(), healthy)), "docker", "1.41")
	wants(t, one(preflight.Docker(quiet(), served(t, answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")))), "docker-strange")
	wants(t, one(preflight.Docker(quiet(), served(t, answer("HTTP/1.1 404 Not Found\r\nApi-Version: 1\r\nContent-Length: 0\r\n\r\n")))), "docker-strange")
	wants(t, one(preflight.Docker(quiet(), served(t, answer("220 mail ready\r\n")))), "docker-stopped")
	wants(t, one(preflight.Docker(quiet(), filepath.Join(t.TempDir(), "docker.sock"))), "docker-missing", "docker")
	dead := filepath.Join(testenv.ShortDir(t), "docker.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	wants(t, one(preflight.Docker(quiet(), dead)), "docker-stopped", "connection refused")
}

func TestDockerOfAnotherMachineIsRefused(t *testing.T) {
	for _, named := range []string{"tcp://192.0.2.1:2376", "ssh://host", "npipe:////./pipe/docker", "192.0.2.1:2375", "fd://"} {
		host := quiet()
		host.Getenv = func(name string) string { return map[string]string{"DOCKER_HOST": named}[name] }
		wants(t, one(preflight.Docker(host, "/nonexistent")), "docker-remote", "DOCKER_HOST")
	}
}

func TestDockerSocketOfOthers(t *testing.T) {
	asRoot(t)
	socket := hanging(t)
	if err := os.Chmod(socket, 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, play(t, "docker", socket, func(cmd *exec.Cmd) { testenv.AsUser(cmd) }), "docker-denied", "usermod -aG docker")
}

// fullDisk is a state folder on a file system without a free block.
func fullDisk(dir string) (preflight.Finding, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return preflight.Finding{}, err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		return preflight.Finding{}, err
	}
	if err := os.WriteFile(filepath.Join(dir, "big"), make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		return preflight.Finding{}, fmt.Errorf("filling the disk: %w", err)
	}
	return one(preflight.State(preflight.ThisHost(), dir)), nil
}

func TestAFullStateDisk(t *testing.T) {
	dir := t.TempDir()
	wants(t, play(t, "full state disk", dir, ownMounts), "state-full", "no space left on device", "df -h "+dir)
}

// noNamespaces forbids, in a user namespace of its own, to make another.
func noNamespaces(string) (preflight.Finding, error) {
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		return preflight.Finding{}, err
	}
	try := func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "/bin/true")
		cmd.SysProcAttr = &syscall.SysProcAttr{}
		mapRoot(cmd)
		return cmd.Run()
	}
	return one(preflight.UserNamespaces(preflight.ThisHost(), 0, try)), nil
}

func TestUserNamespacesMadeUnusable(t *testing.T) {
	unable := func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
		mapRoot(cmd)
	}
	wants(t, play(t, "no user namespaces", "", unable), "userns-max", "user.max_user_namespaces", "no space left on device")
}

func TestWhyUserNamespacesCantBeUsed(t *testing.T) {
	failing := func(context.Context) error { return syscall.EPERM }
	for id, host := range map[string]preflight.Host{
		"userns-max":       on(1000, map[string]string{"proc/sys/user/max_user_namespaces": "0\n"}),
		"userns-clone":     on(1000, map[string]string{"proc/sys/kernel/unprivileged_userns_clone": "0\n"}),
		"userns-apparmor":  on(1000, map[string]string{"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}),
		"userns-container": on(1000, map[string]string{".dockerenv": ""}),
		"userns-pod":       on(1000, map[string]string{"var/run/secrets/kubernetes.io/x": "", ".dockerenv": ""}),
		"userns-ids":       on(0, map[string]string{"proc/self/uid_map": "0 100000 65536\n"}),
		"userns-unusable":  on(0, map[string]string{"proc/self/uid_map": "0 0 4294967295\n", "proc/sys/kernel/unprivileged_userns_clone": "0"}),
	} {
		wants(t, one(preflight.UserNamespaces(host, 1_900_000_016, failing)), id, "operation not permitted", ".")
	}
}

func TestStateFolderOfOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o770); err != nil {
		t.Fatal(err)
	}
	wants(t, one(preflight.State(quiet(), dir)), "state-others", "chmod 0700 "+dir)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	wants(t, one(preflight.State(quiet(), link)), "state-denied", "not a folder")
}

func TestStateFolderThatCantBeWritten(t *testing.T) {
	asRoot(t)
	dir := testenv.ShortDir(t)
	as := func(cmd *exec.Cmd) { testenv.AsUser(cmd) }
	wants(t, play(t, "state", dir, as), "state-others", "user 0's, mode 0711")
	wants(t, play(t, "state", filepath.Join(dir, "a/b"), as), "state-denied", "permission denied", "of the user 1999000001")
}

func TestLimitsOfAControlGroup(t *testing.T) {
	files := map[string]string{
		"proc/self/cgroup":                                     "0::/system.slice/runner.service\n",
		"sys/fs/cgroup/system.slice/memory.max":                "1073741824\n",
		"sys/fs/cgroup/system.slice/runner.service/memory.max": "max\n",
		"sys/fs/cgroup/system.slice/runner.service/pids.max":   "4915\n",
	}
	wants(t, one(preflight.ControlGroup(on(0, files), 1<<30)), "cgroup", "1024 MiB")
	wants(t, one(preflight.ControlGroup(on(0, files), 2<<30)), "cgroup-memory", "1024 MiB are allowed")
	files["sys/fs/cgroup/system.slice/runner.service/pids.max"] = "32\n"
	wants(t, one(preflight.ControlGroup(on(0, files), 1<<30)), "cgroup-pids", "32 tasks")
	wants(t, one(preflight.ControlGroup(on(0, nil), 1<<40)), "cgroup")
}

func TestMemoryProcessorsAndDisk(t *testing.T) {
	host := on(0, map[string]string{"proc/meminfo": "MemTotal:  9 kB\nMemAvailable:   2048 kB\n"})
	wants(t, one(preflight.Memory(host, 2<<20)), "memory", "2 MiB")
	wants(t, one(preflight.Memory(host, 2<<20+1)), "memory-low")
	wants(t, one(preflight.Memory(on(0, nil), 1<<50)), "memory")
	wants(t, one(preflight.Processors(host, 3, 2)), "cpus-few")
	wants(t, one(preflight.Disk(quiet(), t.TempDir(), 1<<60)), "disk-low")
}

func TestClockBehind(t *testing.T) {
	at := func(s string) func() time.Time {
		when, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return func() time.Time { return when }
	}
	wants(t, one(preflight.Clock(quiet(), at("1970-01-01"), "/nonexistent")), "clock-behind", "1970-01-01")
	witness := filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(witness, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(witness, at("2031-05-01")(), at("2031-05-01")()); err != nil {
		t.Fatal(err)
	}
	wants(t, one(preflight.Clock(quiet(), at("2030-01-01"), witness)), "clock-behind", "2031-05-01")
	wants(t, one(preflight.Clock(quiet(), at("2031-05-02"), witness)), "clock")
}

func TestOldKernelsAndOtherBinaries(t *testing.T) {
	for release, id := range map[string]string{"4.19.0-6-amd64": "kernel-old", "5.10.0": "kernel-old", "5.11.0-rc1": "platform", "6.1.0": "platform", "": "platform"} {
		wants(t, one(preflight.Platform(on(0, map[string]string{"proc/sys/kernel/osrelease": release}))), id)
	}
	wants(t, one(preflight.Binary(quiet(), "/bin/sh", os.Getuid())), "binary-dynamic", "CGO_ENABLED=0")
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.WriteFile(closed, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	wants(t, one(preflight.Binary(quiet(), closed, os.Getuid()+1)), "binary-unreadable", "chmod a+rx "+closed)
}
