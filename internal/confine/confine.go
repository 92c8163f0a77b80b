// Package confine runs a backend's helper (runsc, later a VMM) where it can do
// no harm even if the guest breaks out into it.
//
// What it promises: the helper and all its children live in fresh user, mount,
// pid, network, ipc and uts namespaces; their only user id is an unprivileged
// one of the host; their file system is a new root that holds just the entries
// of the Spec; they are pinned to the Spec's processors; and the memory they use
// together is watched. When the process that called Start dies, or the one that
// Start made, the kernel ends everything inside.
//
// What it does not promise: a boundary against the host's kernel. The helper can
// make any system call that an unprivileged process can.
//
// Two processes stand between the caller and the helper. The outer one makes the
// namespaces (the caller can't: it is not dumpable, so that an ordinary user may
// not write the id map of a child that still shares its memory). The inner one
// is process 1 of the pid namespace: it builds the new root, starts the helper,
// watches the memory and, by ending, ends everything.
package confine

import (
	"errors"
	"io/fs"
)

// Verb is the hidden verb of the binary behind which Main stands.
const Verb = "confine"

// argv0 is what our own processes are called; argv[0] of /proc/self/exe would
// mean runsc to the binary.
const argv0 = "bot-bottle"

// ErrMemory is the reason of a Process that was ended because it used more
// memory than its Spec allows.
var ErrMemory = errors.New("memory limit exceeded")

// Spec says what runs and what it sees.
type Spec struct {
	// Argv is the helper's arguments; Exe, inside the new root, is what is
	// executed. Argv[0] need not name it.
	Exe  string   `json:"exe"`
	Argv []string `json:"argv"`
	Env  []string `json:"env"`  // the whole environment of the helper
	Root []Entry  `json:"root"` // content of the new root, made in this order
	// UserID is the host's user and group id that everything runs as. It is
	// needed when the caller is root and ignored otherwise: then it is the
	// caller's own.
	UserID int `json:"user_id,omitempty"`
	// CPUs are the processors to be pinned to; none means all.
	CPUs []int `json:"cpus,omitempty"`
	// MemoryBytes bounds the memory of all processes inside together,
	// files in memory included; 0 means no bound. It is looked at every
	// WatchInterval, so that a burst can pass it for that long.
	MemoryBytes int64 `json:"memory_bytes,omitempty"`
}

// EntryKind is what an Entry makes.
type EntryKind string

// The kinds of entries.
const (
	KindDir     EntryKind = "dir"     // a folder
	KindFile    EntryKind = "file"    // a file with Data
	KindSymlink EntryKind = "symlink" // a link to Source, which is not resolved
	KindBind    EntryKind = "bind"    // a non-recursive bind of the host's Source, a folder or file
	KindProc    EntryKind = "proc"    // a proc file system of the new pid namespace
)

// Entry is one thing in the new root. Everything but a writable bind is read-only
// for the helper or belongs to its user, and no entry outlives the run: the
// new root is a tmpfs in a mount namespace of its own.
type Entry struct {
	Kind     EntryKind   `json:"kind"`
	Target   string      `json:"target"` // absolute within the new root; parents are made
	Source   string      `json:"source,omitempty"`
	Data     []byte      `json:"data,omitempty"`
	Mode     fs.FileMode `json:"mode,omitempty"`     // permission bits of a dir or file; default 0755, 0644
	Writable bool        `json:"writable,omitempty"` // of a bind
	Device   bool        `json:"device,omitempty"`   // of a bind: device nodes work
}

// Record identifies the processes of a running helper to whoever must end them
// after the caller's death. It is written before the helper runs.
type Record struct {
	BootID       string     `json:"boot_id"`
	PIDNamespace uint64     `json:"pid_namespace"` // in which the ids below mean something
	Outer        ProcessRef `json:"outer"`
	Inner        ProcessRef `json:"inner"`
}

// ProcessRef is a process id as the host's pid namespace has it, with its start
// time in clock ticks since boot (proc(5), stat field 22), which tells it from a
// later process of the same id.
type ProcessRef struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}
