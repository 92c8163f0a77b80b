package runner

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/bot-bottle/action/internal/term"
)

// Places are the host's folders that jobs use.
type Places struct {
	State   string // ledger, locks, reports, disks of running guests
	Runtime string // one folder a run, with its sockets
}

// systemRuntime is root's; it is emptied at boot (file-hierarchy(7)).
const systemRuntime = "/run/bot-bottle"

// maxRuntimePath keeps the longest socket path, RUNTIME/ID/doors/supervise.sock,
// within the 108 bytes that unix(7) gives, the final NUL included.
const maxRuntimePath = 107 - len("/0123456789/doors/supervise.sock")

// DefaultRuntime gives the folder of run folders: root's own, else the one below
// $XDG_RUNTIME_DIR, else "run" in the state folder, as a CI service has no
// session.
func DefaultRuntime(getenv func(string) string, uid int, state string) (string, error) {
	dir := filepath.Join(state, "run")
	if uid == 0 {
		dir = systemRuntime
	} else if xdg := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(xdg) {
		dir = filepath.Join(xdg, "bot-bottle")
	}
	if len(dir) > maxRuntimePath {
		return "", term.Errorf(term.StagePreflight, dir, "choosing the folder for sockets: its path is longer than %d bytes", maxRuntimePath).
			WithHint("set XDG_RUNTIME_DIR, or BOT_BOTTLE_STATE to a shorter path")
	}
	return dir, nil
}

// ensure makes the folders, closed to others, and refuses ones that somebody else
// could change.
func (p Places) ensure() error {
	for _, dir := range []string{p.Runtime, p.disks(), p.reports()} {
		if err := ensureOwn(dir); err != nil {
			return term.Errorf(term.StagePreflight, dir, "preparing a folder: %w", err).
				WithHint("the folder has to belong to the user who runs bot-bottle, with mode 0700")
		}
	}
	return nil
}

func ensureOwn(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || ownerOf(info) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%q is not a folder of ours alone (%v)", dir, info.Mode())
	}
	return nil
}

func (p Places) disks() string               { return filepath.Join(p.State, "disks") }
func (p Places) reports() string             { return filepath.Join(p.State, "reports") }
func (p Places) runFolder(run string) string { return filepath.Join(p.Runtime, run) }
func (p Places) doors(run string) string     { return filepath.Join(p.Runtime, run, "doors") }
func (p Places) disk(run string) string      { return filepath.Join(p.disks(), run) }

// Report gives the folder of a run's report.
func (p Places) Report(run string) string { return filepath.Join(p.reports(), run) }
