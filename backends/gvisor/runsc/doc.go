// Package runsc links gVisor's runsc into the binary. It is imported by the
// command alone, because it is most of the binary's size and builds on Linux
// only; elsewhere the package does nothing.
//
// runsc re-executes its own binary for the sandbox and the gofer, under names
// that begin with "runsc" or as /proc/self/exe; Dispatch recognises those. It
// needs a static binary: the sandbox runs where no dynamic loader is.
package runsc

// Version is the linked gVisor release, as go.mod has it.
const Version = "20260905.0"
