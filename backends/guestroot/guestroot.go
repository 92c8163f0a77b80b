// Package guestroot says what a guest's root file system is made of: the host's own
// tools or a root file system folder, programs besides, made-up users, and empty
// folders for what is the kernel's, ours, or written by the guest.
//
// It makes nothing: each backend binds, links and writes the entries in its own
// way, and every backend so gives the same root for the same image. What is bound
// is the host's and has to be read-only for the guest, without devices and without
// set-user-ID bits.
package guestroot

import "io/fs"

// Kind is what an Entry makes.
type Kind string

// The kinds of entries.
const (
	KindDir     Kind = "dir"     // an empty folder
	KindFile    Kind = "file"    // a file with Data, readable by all
	KindSymlink Kind = "symlink" // a link to Source, which is not resolved
	KindBind    Kind = "bind"    // the host's folder or file Source, without what is mounted below it
)

// Entry is one thing in the guest's root. Those of a list are made in its order.
type Entry struct {
	Kind   Kind
	Target string      // absolute in the guest; parents are made
	Source string      // of a bind, on the host; of a link, its target
	Data   []byte      // of a file
	Mode   fs.FileMode // permission and sticky bits of a folder
}
