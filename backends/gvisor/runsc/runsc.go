// Package runsc links gVisor's runsc into the binary. It is imported by the
// command alone, because it is most of the binary's size and builds on Linux
// only.
//
// runsc re-executes its own binary for the sandbox and the gofer, under names
// that begin with "runsc" or as /proc/self/exe; Dispatch recognises those. It
// needs a static binary: the sandbox runs where no dynamic loader is.
package runsc

import (
	"path/filepath"
	"strings"

	"gvisor.dev/gvisor/runsc/cli/maincli"
)

// Version is the linked gVisor release, as go.mod has it.
const Version = "20260905.0"

// selfExe is how runsc starts helpers whose name doesn't matter to it. Nothing
// else of ours starts the binary with this as argv[0].
const selfExe = "/proc/self/exe"

// Dispatch runs runsc, and does not return, if argv is runsc's: when the base of
// argv[0] begins with "runsc", or when argv[0] is /proc/self/exe.
func Dispatch(argv []string) {
	if len(argv) > 0 && (strings.HasPrefix(filepath.Base(argv[0]), "runsc") || argv[0] == selfExe) {
		maincli.Main()
	}
}
