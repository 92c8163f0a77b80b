package gvisor

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/guestroot"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/preflight"
)

// Checks are what this backend needs of the host for s.
func (b *Backend) Checks(s backends.Spec) []preflight.Check {
	return []preflight.Check{
		{ID: "platform", Subject: runtime.GOOS + "/" + runtime.GOARCH, Run: checkPlatform},
		{ID: "isolation", Subject: string(s.Isolation), Run: func(context.Context) preflight.Finding { return checkIsolation(s.Isolation) }},
		{ID: "namespaces", Subject: "user namespaces", Run: func(ctx context.Context) preflight.Finding { return checkNamespaces(ctx, s) }},
		{ID: "image", Subject: imageName(s), Run: func(context.Context) preflight.Finding { return checkImage(s) }},
		{ID: "cpus", Subject: strconv.Itoa(s.Limits.CPUs), Run: func(context.Context) preflight.Finding { return checkCPUs(s.Limits) }},
		{ID: "disk", Subject: s.Disk, Run: func(context.Context) preflight.Finding { return checkDisk(s) }},
	}
}

func ok(found string, args ...any) preflight.Finding {
	return preflight.Finding{Status: preflight.OK, Found: fmt.Sprintf(found, args...)}
}

func bad(status preflight.Status, remedy, found string, args ...any) preflight.Finding {
	return preflight.Finding{Status: status, Found: fmt.Sprintf(found, args...), Remedy: remedy}
}

func checkPlatform(context.Context) preflight.Finding {
	if runtime.GOOS != "linux" {
		return bad(preflight.Fail, "use a backend that this system has", "gVisor runs on Linux only")
	}
	return ok("gVisor runs here")
}

func checkIsolation(wanted policy.Isolation) preflight.Finding {
	if wanted == policy.IsolationVM {
		return bad(preflight.Fail, "use a backend with a virtual machine, or lower the bottle's `isolation` to gvisor", "the bottle wants a virtual machine")
	}
	return ok("a kernel in user space")
}

// checkNamespaces tries them for real, and explains a failure by what it finds of
// the host.
func checkNamespaces(ctx context.Context, s backends.Spec) preflight.Finding {
	err := confine.Try(ctx, s.Executable, s.UserID)
	if err == nil {
		return ok("made and used")
	}
	return bad(preflight.Fail, namespaceRemedy(os.DirFS("/"), os.Getuid(), s.UserID), "can't be used: %v", err)
}

// namespaceRemedy tells, from what the host says of itself, what stands in the
// way of using user namespaces and what to do about it.
func namespaceRemedy(host fs.FS, uid, guest int) string {
	read := func(path string) string {
		b, _ := fs.ReadFile(host, path)
		return strings.TrimSpace(string(b))
	}
	switch {
	case uid == 0 && !mapped(read("proc/self/uid_map"), guest):
		return fmt.Sprintf("root here has no user id %d, which a guest of root's gets (see /proc/self/uid_map): start bot-bottle as an ordinary user, or give this container the ids from 1900000000 on", guest)
	case read("proc/sys/user/max_user_namespaces") == "0":
		return "the host allows no user namespaces: sysctl -w user.max_user_namespaces=15000, and put it into /etc/sysctl.d"
	case uid != 0 && read("proc/sys/kernel/unprivileged_userns_clone") == "0":
		return "the host lets only root make user namespaces: sysctl -w kernel.unprivileged_userns_clone=1, or start bot-bottle as root"
	case uid != 0 && read("proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		return "AppArmor lets ordinary users make user namespaces but not use them (Ubuntu 23.10 and later): install a profile with `userns,` for this binary's path, or start bot-bottle as root"
	case os.Getenv("KUBERNETES_SERVICE_HOST") != "":
		return "this is a Kubernetes pod: it needs securityContext.procMount: Unmasked with hostUsers: false, and a seccomp and AppArmor profile that allow user namespaces"
	case exists(host, ".dockerenv"), exists(host, "run/.containerenv"):
		return "this is a container: run it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined, or run bot-bottle on the host"
	}
	return "see what forbids it: `unshare --user --map-root-user --mount --pid --fork mount -t tmpfs none /mnt` should work; or start bot-bottle as root"
}

// mapped tells whether a user id exists in the user namespace whose map this is:
// lines of first id, first id outside, count (user_namespaces(7)). A map that can't
// be read is no reason.
func mapped(table string, uid int) bool {
	if table == "" {
		return true
	}
	for line := range strings.Lines(table) {
		var first, outside, count int64
		if n, _ := fmt.Sscan(line, &first, &outside, &count); n == 3 && int64(uid) >= first && int64(uid) < first+count {
			return true
		}
	}
	return false
}

func exists(host fs.FS, path string) bool {
	_, err := fs.Stat(host, path)
	return err == nil
}

func imageName(s backends.Spec) string {
	if s.Image.Rootfs != "" {
		return s.Image.Rootfs
	}
	return "host tools"
}

// checkImage looks for what makes the image unusable or unsafe.
func checkImage(s backends.Spec) preflight.Finding {
	entries, err := guestroot.Entries(s)
	if err != nil {
		return bad(preflight.Fail, strings.Join(term.Hints(err), "; "), "%v", err)
	}
	if socket := guestroot.ListeningBelow(entries); socket != "" {
		return bad(preflight.Fail, "a service listens below a folder that the guest gets; move its socket, or use an image", "socket %q would be reachable from the guest", socket)
	}
	return ok("%d entries, no socket below them", len(entries))
}

func checkCPUs(l policy.Limits) preflight.Finding {
	if have := len(allowedProcessors()); l.CPUs > have {
		return bad(preflight.Warn, "lower the bottle's limits.cpus", "the bottle asks for %d processors, the host has %d", l.CPUs, have)
	}
	return ok("held by processor affinity")
}

// checkDisk warns only: the limit is an upper bound, and what is free now may be
// gone or more later.
func checkDisk(s backends.Spec) preflight.Finding {
	var st syscall.Statfs_t
	dir := s.Disk
	for ; dir != "/"; dir = filepath.Dir(dir) { // it is made at launch
		if err := syscall.Statfs(dir, &st); err == nil {
			break
		}
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	if free < s.Limits.DiskBytes {
		return bad(preflight.Warn, "free some space, or lower the bottle's limits.disk", "%d MiB are free below %q, the bottle may use %d MiB", free>>20, dir, s.Limits.DiskBytes>>20)
	}
	return ok("%d MiB free", free>>20)
}
