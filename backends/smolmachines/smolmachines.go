package smolmachines

import (
	"fmt"
	"path/filepath"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
)

// Name is the backend's word in flags, logs and reports.
const Name = "smolmachines"

// Options say which smolvm is used, and how.
type Options struct {
	// Binary is smolvm's binary; the one on PATH where it is empty. Libraries is
	// the folder with libkrun and libkrunfw, AgentRoot the one with the root file
	// system of smolvm's agent; where they are empty they are looked for where
	// smolvm's installer puts them.
	Binary, Libraries, AgentRoot string
	// Mode is ModeSocket where it is empty.
	Mode Mode
	// StrictVersion refuses releases newer than Newest.
	StrictVersion bool
	// Pins are the SHA-256, in hex, of smolvm ("smolvm") and of files of Libraries,
	// by name. smolvm's releases are not signed.
	Pins map[string]string
}

// Backend is the smolmachines backend. Its zero value is not usable: see New.
type Backend struct {
	runs string
	opts Options
}

// New gives the backend, which keeps the record of a guest's processes in the
// run's folder below runs, beside the ledger.
func New(runs string, opts Options) *Backend {
	if !filepath.IsAbs(runs) {
		panic(fmt.Sprintf("smolmachines: %q is not absolute", runs))
	}
	if opts.Mode == "" {
		opts.Mode = ModeSocket
	}
	if mutation.On(mutation.AllowlistMode) {
		opts.Mode = ModeAllowlist
	}
	return &Backend{runs: runs, opts: opts}
}

// Name is "smolmachines".
func (*Backend) Name() string { return Name }

// Isolation is a virtual machine.
func (*Backend) Isolation() policy.Isolation { return policy.IsolationVM }

// Handle names the guest by its run.
func (*Backend) Handle(s backends.Spec) (backends.Handle, error) {
	if s.Run == "" {
		return backends.Handle{}, fmt.Errorf("naming the guest: the run has no id")
	}
	return backends.Handle{Backend: Name, Run: s.Run, UserID: s.UserID}, nil
}

// machineName is the name of a run's machine.
func machineName(run string) string { return "bb-" + run }
