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
		{ID: "F07", Title: "more processes, disk and descriptors than the bottle gives", Class: Files, Tier: Full, Layer: "the bottle's limits",
			Twin: "a little of each can be had", Local: true, run: exhaust, twin: withinLimits},
		after("F07m", "more memory than the bottle gives", "the limit of memory", Files),
		after("F08", "links, pipes and setuid files that come out of the workspace", "the check of the patch", Files),
		after("F09", "names that lead elsewhere, control bytes, collisions of case; a git that lies", "the check of the patch", Files),
		after("F10", "a checkout whose configuration, hooks and attributes run programs when the host's git touches it", "git's environment on the host", Files),
		after("F11", "files that other tools run by themselves later", "the check of the patch", Files),
		after("F13", "the objects of the workspace's repository written anew", "the workspace is a copy that shares nothing", Files),
		{ID: "F12", Title: "the sandbox's and the sidecar's own processes", Class: Files, Tier: Quick, Layer: "what the host gave them", Twin: "they are there"},
		path("F14", "sockets and files planted in everything that is mounted in"),
	}
}

// after is a case of what the agent leaves behind.
func after(id, title, layer string, class Class) Case {
	return Case{ID: id, Title: title, Class: class, Tier: Full, After: true, Layer: layer, Twin: "an honest change passes, and what is printed is read"}
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
		try("open files that lead to the host", WantDenied, found(inheritedFile)),
		try("private keys", WantDenied, found(privateKey)),
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

// found makes an attempt of something that looks for a file: none is what has to
// come.
func found(look func() (string, error)) func() (answer, error) {
	return func() (answer, error) {
		path, err := look()
		if err == nil && path == "" {
			err = errNothing
		}
		return answer{body: path}, err
	}
}

// inheritedFile looks for an open file or folder that is neither a stream nor the
// Go runtime's own, which keeps the limits of its control group open.
func inheritedFile() (string, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "/proc/") || strings.HasPrefix(target, "/sys/fs/cgroup/") || target == "/dev/null" || target == os.Args[0] {
			continue
		}
		return target, nil
	}
	return "", nil
}

// maxWalked bounds how many files are looked at.
const maxWalked = 200_000

// privateKey looks for what is one by its name, outside of programs' own test data.
func privateKey() (found string, err error) {
	n := 0
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
	return found, nil
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
