// Command bot-bottle runs a coding agent in a bottle: a sandbox out of which
// nothing gets but through guarded doors.
//
// It is one static binary for everything: the verbs of the command line, the
// sidecar that serves the doors, process 1 inside the guest, and gVisor's runsc.
package main

import (
	"os"

	"github.com/bot-bottle/action/backends/gvisor/runsc"
)

// version is set by the linker.
var version = "dev"

func main() {
	runsc.Dispatch(os.Args)
	os.Exit(hidden(os.Args, execute))
}
