package smolmachines

import "github.com/bot-bottle/action/preflight"

// Entries are what this backend's own checks can find.
func Entries() []preflight.Entry {
	return []preflight.Entry{
		kvmClosed, smolvmIncomplete, smolvmMute, smolvmUnusable, smolvmUnread, formatterMissing,
		processorsOfMachine, tasksOfRoot, diskOfMachine,
	}
}

// entry makes one with a remedy for every distribution.
func entry(id string, status preflight.Status, meaning, remedy string) preflight.Entry {
	return preflight.Entry{ID: id, Status: status, Meaning: meaning, Remedies: []preflight.Remedy{{Text: remedy}}}
}

var (
	kvmClosed = entry("kvm-closed", preflight.Fail, "Root gives each machine a user of its own, which may not open /dev/kvm.",
		"start bot-bottle as an ordinary user of the group kvm, or open the device to all by a udev rule: KERNEL==\"kvm\", MODE=\"0666\"")
	smolvmIncomplete = entry("smolvm-incomplete", preflight.Fail, "smolvm, or something of its release, is not there or not what was pinned.", "{hint}")
	smolvmMute       = entry("smolvm-mute", preflight.Fail, "What is called smolvm doesn't tell its version where it can reach nothing.",
		"see what {path} --version says; reinstall smolvm if it is not what it should be")
	smolvmUnusable = entry("smolvm-unusable", preflight.Fail, "The release of smolvm can't be used.", "install another release: {working}")
	smolvmUnread   = entry("smolvm-unread", preflight.Warn, "The release of smolvm is newer than the newest whose source was read. Everything is verified and proven as with others.",
		"nothing is needed; to have no surprises, set smolmachines.strict_version and install {newest}")
	formatterMissing    = entry("mkfs-missing", preflight.Warn, "Without mkfs.ext4 smolvm starts machines only if its release has formatted disks.", "install e2fsprogs")
	processorsOfMachine = entry("machine-processors", preflight.Warn, "A machine has fewer processors than the bottle asks for.", "lower the bottle's limits.cpus")
	tasksOfRoot         = entry("machine-tasks", preflight.Fail, "Root in a machine is not bound by a limit on tasks.", "don't give the agent root, or set limits.best_effort")
	diskOfMachine       = entry("machine-disk", preflight.Fail, "A machine's disks are larger than the bottle's limit.", "raise the bottle's limits.disk to {least} GiB, or set limits.best_effort")
)
