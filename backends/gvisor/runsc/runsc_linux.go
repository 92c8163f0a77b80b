package runsc

import (
	"path/filepath"
	"strings"

	"gvisor.dev/gvisor/runsc/cli/maincli"
)

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
