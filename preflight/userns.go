package preflight

import (
	"context"
	"fmt"
	"strings"
)

var (
	usernsIDs = Entry{"userns-ids", Fail, "Root of this container has no user id to give to a guest.",
		[]Remedy{{"", "start bot-bottle as an ordinary user, or give this container the ids from 1900000000 on (/proc/self/uid_map lists those that it has)"}}}
	usernsMax = Entry{"userns-max", Fail, "The host allows no user namespaces.",
		[]Remedy{{"nixos", "security.allowUserNamespaces = true;"}, {"", "sysctl -w user.max_user_namespaces=15000, and put it into /etc/sysctl.d"}}}
	usernsClone = Entry{"userns-clone", Fail, "The host lets only root make user namespaces.",
		[]Remedy{{"nixos", "security.unprivilegedUsernsClone = true;"}, {"", "sysctl -w kernel.unprivileged_userns_clone=1, and put it into /etc/sysctl.d; or start bot-bottle as root"}}}
	usernsAppArmor = Entry{"userns-apparmor", Fail, "AppArmor lets ordinary users make user namespaces but not use them (Ubuntu 23.10 and later).",
		[]Remedy{{"", "install an AppArmor profile with `userns,` for the path of bot-bottle, or start it as root"}}}
	usernsPod = Entry{"userns-pod", Fail, "The pod may not use user namespaces.",
		[]Remedy{{"", "give the pod `hostUsers: false`, its container `securityContext.procMount: Unmasked`, and a seccomp and an AppArmor profile that allow user namespaces"}}}
	usernsContainer = Entry{"userns-container", Fail, "The container may not use user namespaces.",
		[]Remedy{{"", "start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined, or run bot-bottle on the host"}}}
	usernsUnusable = Entry{"userns-unusable", Fail, "User namespaces can't be used, for a reason that the host doesn't tell.",
		[]Remedy{{"", "see what forbids it: `unshare --user --map-root-user --mount --pid --fork mount -t tmpfs none /mnt` should work; or start bot-bottle as root"}}}
)

// UserNamespaces asks whether user namespaces can really be used: try makes some,
// as the host's user guest, and uses them in a child process. Why they can't is
// read from what the host says of itself.
func UserNamespaces(h Host, guest int, try func(context.Context) error) Check {
	return Check{ID: "userns", Subject: "user namespaces", Run: func(ctx context.Context) Finding {
		err := try(ctx)
		if err == nil {
			return Passed("made and used")
		}
		e := h.usernsEntry(guest)
		return h.Found(e, fmt.Sprintf("%s (%v)", e.Meaning, err))
	}}
}

func (h Host) usernsEntry(guest int) Entry {
	switch {
	case h.UID == 0 && !mapped(h.read("/proc/self/uid_map"), guest):
		return usernsIDs
	case h.read("/proc/sys/user/max_user_namespaces") == "0":
		return usernsMax
	case h.UID != 0 && h.read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
		return usernsClone
	case h.container() == "pod":
		return usernsPod
	case h.container() != "":
		return usernsContainer
	case h.UID != 0 && h.read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		return usernsAppArmor
	}
	return usernsUnusable
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
