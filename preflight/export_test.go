package preflight

import "io/fs"

// KVMFailed is what a check of the device finds when opening it fails with err.
func KVMFailed(h Host, info fs.FileInfo, err error) Finding {
	return h.kvmFailed(info, err, []string{"{path}", "/dev/kvm", "{module}", h.kvmModule()})
}
