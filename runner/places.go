package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/ledger"
)

// Places are the host's folders that jobs use.
type Places struct {
	State   string // ledger, locks, reports, disks and records of running guests
	Runtime string // one folder a run, with its sockets: one of Runtimes
}

// systemRuntime is root's; it is emptied at boot (file-hierarchy(7)).
const systemRuntime = "/run/bot-bottle"

// maxRuntimePath keeps the longest socket path, RUNTIME/ID/doors/supervise.sock,
// within the 108 bytes that unix(7) gives, the final NUL included.
const maxRuntimePath = 107 - len("/0123456789/doors/supervise.sock")

// sessions has a folder for each user who is logged in (pam_systemd(8)): what
// XDG_RUNTIME_DIR usually names. The variable itself isn't asked: a reap has to
// find the same folder from a job, from cron and from another session.
const sessions = "/run/user"

// Runtimes are all folders in which a run of this user's and this state folder's
// may have its own, the preferred first.
func Runtimes(uid int, state string) []string {
	if uid == 0 {
		return []string{systemRuntime}
	}
	return []string{filepath.Join(sessions, strconv.Itoa(uid), "bot-bottle"), filepath.Join(state, "run")}
}

// DefaultRuntime gives the folder of run folders: root's own, else the one of the
// user's session where there is one, else "run" in the state folder, as a CI
// service has no session.
func DefaultRuntime(uid int, state string) (string, error) {
	all := Runtimes(uid, state)
	dir := all[len(all)-1]
	if uid != 0 && isOwn(filepath.Dir(all[0])) == nil {
		dir = all[0]
	}
	if len(dir) > maxRuntimePath {
		return "", term.Errorf(term.StagePreflight, dir, "choosing the folder for sockets: its path is longer than %d bytes", maxRuntimePath).
			WithHint("set BOT_BOTTLE_STATE to a shorter path")
	}
	return dir, nil
}

// ensure makes the folders, closed to others, and refuses ones that somebody else
// could change.
func (p Places) ensure() error {
	for _, dir := range []string{p.Runtime, p.disks(), p.work(), p.reports()} {
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
	return isOwn(dir)
}

// isOwn refuses a folder that isn't ours alone.
func isOwn(dir string) error {
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
func (p Places) work() string                { return filepath.Join(p.State, "work") }
func (p Places) reports() string             { return filepath.Join(p.State, "reports") }
func (p Places) runFolder(run string) string { return filepath.Join(p.Runtime, run) }
func (p Places) doors(run string) string     { return filepath.Join(p.Runtime, run, "doors") }
func (p Places) disk(run string) string      { return filepath.Join(p.disks(), run) }

// workFolder is a run's folder on disk that only the supervisor uses: the records
// of its processes, and what is on its way in or out.
func (p Places) workFolder(run string) string { return filepath.Join(p.work(), run) }

// Records is where backends keep the records of their processes, in a folder for
// each run.
func (p Places) Records() string { return p.work() }

// Report gives the folder of a run's report.
func (p Places) Report(r ledger.Run) string {
	if r.Report != "" {
		return r.Report
	}
	return filepath.Join(p.reports(), r.ID)
}
