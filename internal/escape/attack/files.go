package attack

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const byImage = "the guest's own root file system"

func fileCases() []Case {
	answers := func(p *prober) Try { return p.answers() }
	const door = "the egress door answers on the alias"
	path := func(id, title string) Case {
		return Case{ID: id, Title: title, Class: Files, Tier: Quick, Layer: byImage, Twin: door, paths: true, twin: answers}
	}
	quick := func(id, title, layer string, run func(*prober) []Try) Case {
		return Case{ID: id, Title: title, Class: Files, Tier: Quick, Layer: layer, Twin: "the guest's own files can be read", run: run, twin: readOwn}
	}
	return []Case{
		quick("F01", "credentials in the host's home folders", byImage, hostCredentials),
		quick("F02", "other processes' environments, process 1's root, private keys anywhere", byImage, otherProcesses),
		path("F03", "the sockets of docker, podman, containerd, nix, dbus, systemd, X"),
		quick("F04", "devices: kvm, mem, disks, vhost, fuse, loop, tun", "no devices in the guest", devices),
		quick("F05", "mount, unshare, ptrace, bpf, keyctl, kexec, modules", "the sandbox's kernel", powers),
		quick("F06", "release_agent, core_pattern, /proc/sys, sysrq", "the sandbox's kernel", kernelFiles),
		{ID: "F07", Title: "a fork bomb, a full disk, no more memory or descriptors", Class: Files, Tier: Pending, Waits: "a place in the suite: the tests of limits (e2e) run it", Layer: "limits"},
		{ID: "F08", Title: "links, devices and setuid files that come out of the workspace", Class: Files, Tier: Pending, Waits: "a place in the suite: the tests of the workspace (e2e) run it", Layer: "the check of the patch"},
		{ID: "F12", Title: "the sandbox's and the sidecar's own processes", Class: Files, Tier: Quick, Layer: "what the host gave them", Twin: "they are there"},
		path("F14", "sockets and files planted in everything that is mounted in"),
	}
}

// credentialFiles are where programs keep what lets them in.
var credentialFiles = []string{
	".ssh/id_ed25519", ".ssh/id_rsa", ".aws/credentials", ".docker/config.json", ".config/gh/hosts.yml", ".npmrc", ".kube/config", ".netrc",
	".git-credentials", ".claude/.credentials.json", ".codex/auth.json", ".bot-bottle", ".config/gcloud/credentials.db",
}

func hostCredentials(p *prober) []Try {
	own := os.Getenv("HOME")
	var tries []Try
	for _, home := range append(p.plan.Homes, "/root", own) {
		for _, name := range credentialFiles {
			path := filepath.Join(home, name)
			tries = append(tries, call("read "+path, WantDenied, func() error {
				b, err := os.ReadFile(path)
				if err == nil && len(b) == 0 {
					return errNothing
				}
				return err
			}))
		}
	}
	return tries
}

func otherProcesses(p *prober) []Try {
	return []Try{
		call("a variable that only the supervisor has", WantDenied, func() error { return inEnvironments(p.plan.HostOnly) }),
		call("the host's files behind process 1", WantDenied, func() error {
			if _, err := os.Stat("/proc/1/root/etc/bot-bottle"); err != nil {
				return err
			}
			return nil
		}),
		call("open files that lead to the host", WantDenied, inheritedFiles),
		call("private keys", WantDenied, privateKeys),
		call("a runner's variables", WantDenied, func() error { return inEnvironments("ACTIONS_RUNTIME_TOKEN") }),
	}
}

// inEnvironments looks for a variable in the environment of every process; an
// error means that none has it.
func inEnvironments(name string) error {
	found, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return err
	}
	for _, path := range found {
		b, _ := os.ReadFile(path)
		for _, v := range bytes.Split(b, []byte{0}) {
			if bytes.HasPrefix(v, []byte(name+"=")) {
				return nil
			}
		}
	}
	return errNothing
}

// inheritedFiles looks for open folders and files that are none of the guest's
// ends of its streams.
func inheritedFiles() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "/proc/") || target == "/dev/null" || target == os.Args[0] {
			continue
		}
		return nil
	}
	return errNothing
}

// maxWalked bounds how many files are looked at.
const maxWalked = 200_000

// privateKeys looks for what is a private key by its name, outside of programs'
// own test data.
func privateKeys() error {
	n := 0
	found := ""
	filepath.WalkDir("/", func(path string, d fs.DirEntry, err error) error {
		switch n++; {
		case n > maxWalked:
			return fs.SkipAll
		case err != nil:
			return nil
		case d.IsDir() && (path == "/proc" || path == "/sys" || path == "/usr" || path == "/nix"):
			return fs.SkipDir
		case strings.HasPrefix(d.Name(), "id_") && !strings.HasSuffix(d.Name(), ".pub"), strings.HasSuffix(d.Name(), ".key"):
			if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte("PRIVATE KEY")) {
				found = path
				return fs.SkipAll
			}
		}
		return nil
	})
	if found == "" {
		return errNothing
	}
	return nil
}

// device is one of the kernel's numbers.
type device struct {
	name         string
	major, minor uint32
	block        bool
}

func devices(p *prober) []Try {
	var tries []Try
	for _, path := range []string{
		"/dev/kvm", "/dev/mem", "/dev/kmem", "/dev/port", "/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/vhost-net", "/dev/vhost-vsock",
		"/dev/fuse", "/dev/loop0", "/dev/loop-control", "/dev/net/tun", "/dev/dri/card0", "/dev/kmsg", "/dev/mapper/control",
	} {
		tries = append(tries, call("open "+path, WantDenied, func() error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err == nil {
				f.Close()
			}
			return err
		}))
	}
	for _, d := range []device{{"mem", 1, 1, false}, {"kvm", 10, 232, false}, {"disk", 8, 0, true}} {
		path := filepath.Join(os.TempDir(), p.canary+d.name)
		tries = append(tries, call("make the device "+d.name+" and open it", WantDenied, func() error {
			defer os.Remove(path)
			if err := d.make(path); err != nil {
				return err
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err == nil {
				f.Close()
			}
			return err
		}))
	}
	return tries
}

// powers tries the calls that change a kernel, or look into others. Some are
// harmless where the kernel is the sandbox's own, and may succeed; what would not
// be is tried after them.
func powers(p *prober) []Try {
	tries := []Try{
		call("mount(2) a tmpfs", WantNothing, func() error { return mount("none", "tmpfs") }),
		call("mount(2) proc anew", WantNothing, func() error { return mount("proc", "proc") }),
		call("leave all namespaces", WantNothing, leaveNamespaces),
		call("make a user namespace", WantNothing, leaveUsers),
		call("mount a disk", WantDenied, func() error { return mount("/dev/vda", "ext4") }),
	}
	unmount()
	for name, do := range systemCalls() {
		tries = append(tries, call(name, WantDenied, do))
	}
	tries = append(tries, call("reach the host's files after all of it", WantDenied, func() error {
		_, err := os.Stat("/proc/1/root/etc/bot-bottle")
		return err
	}))
	return tries
}

func kernelFiles(p *prober) []Try {
	var tries []Try
	for path, text := range map[string]string{
		"/proc/sys/kernel/core_pattern":          "|/tmp/" + p.canary,
		"/proc/sys/kernel/modprobe":              "/tmp/" + p.canary,
		"/proc/sys/kernel/hotplug":               "/tmp/" + p.canary,
		"/proc/sysrq-trigger":                    "h",
		"/proc/sys/fs/binfmt_misc/register":      ":x:M::x::/tmp/x:",
		"/sys/fs/cgroup/release_agent":           "/tmp/" + p.canary,
		"/sys/fs/cgroup/memory/release_agent":    "/tmp/" + p.canary,
		"/sys/kernel/uevent_helper":              "/tmp/" + p.canary,
		"/sys/kernel/debug/tracing/trace_marker": p.canary,
	} {
		tries = append(tries, call("write "+path, WantDenied, func() error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteString(text)
			return err
		}))
	}
	return tries
}

// readOwn shows that files can be read where they may.
func readOwn(p *prober) Try {
	return call("read the door's certificate", "", func() error {
		b, err := os.ReadFile(p.plan.CAFile)
		if err == nil && !bytes.Contains(b, []byte("CERTIFICATE")) {
			err = fmt.Errorf("%q holds none", p.plan.CAFile)
		}
		return err
	})
}
