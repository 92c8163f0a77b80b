package runner

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/bot-bottle/action/internal/term"
)

// Places are the host's folders that jobs use.
type Places struct {
	// State holds the ledger, locks and reports, and of each live run its disk and
	// what only the supervisor works with.
	State string
	// Roots says where a run's folder with its sockets can be, on this host and for
	// this user.
	Roots map[RootKind]string
	// Runtime is the root that new runs take.
	Runtime RootKind
}

// RootKind names one of the folders in which runs have theirs, with the sockets.
// The ledger holds the kind and never the path, so that a row leads nowhere but
// to one of these.
type RootKind string

// The roots.
const (
	RootSystem  RootKind = "system"  // root's own in /run, which all state folders of root share
	RootSession RootKind = "session" // in /run/user, of a user who is logged in
	RootState   RootKind = "state"   // in the state folder
)

// systemRoot is emptied at boot (file-hierarchy(7)).
const systemRoot = "/run/bot-bottle"

// sessionRoot is where the service manager puts a session's $XDG_RUNTIME_DIR
// (pam_systemd(8)). The variable itself isn't read: what a run leaves has to be
// found by a process of another session, and of none.
func sessionRoot(uid int) string { return fmt.Sprintf("/run/user/%d/bot-bottle", uid) }

// maxRootPath keeps the longest socket path, ROOT/ID/doors/supervise.sock, within
// the 108 bytes that unix(7) gives, the final NUL included.
const maxRootPath = 107 - len("/0123456789/doors/supervise.sock")

// DefaultPlaces gives the places of user uid, with the runs' folders in root's own
// root, else in the session's, else in the state folder. Under a runner the
// session comes last: its folder goes with the user's last login, which is not the
// runner's. Nothing is taken from the environment.
func DefaultPlaces(state string, uid int, runner bool) (Places, error) {
	p := Places{State: state, Roots: map[RootKind]string{RootState: filepath.Join(state, "run")}}
	order := []RootKind{RootSession, RootState}
	switch {
	case uid == 0:
		p.Roots[RootSystem] = systemRoot
		order = []RootKind{RootSystem}
	case runner:
		order = []RootKind{RootState, RootSession}
	}
	p.Roots[RootSession] = sessionRoot(uid)
	return p.choose(order)
}

// choose picks the first root that new runs can have.
func (p Places) choose(order []RootKind) (Places, error) {
	for _, kind := range order {
		if dir := p.Roots[kind]; len(dir) <= maxRootPath && (kind != RootSession || checkOwn(filepath.Dir(dir)) == nil) {
			p.Runtime = kind
			return p, nil
		}
	}
	dir := p.Roots[RootState]
	return p, term.Errorf(term.StagePreflight, dir, "choosing the folder for sockets: its path is longer than %d bytes", maxRootPath).
		WithHint("set BOT_BOTTLE_STATE to a shorter path; under a runner, give its user a shorter home folder")
}

// ensure makes the folders, closed to others, and refuses ones that somebody else
// could change.
func (p Places) ensure() error {
	for _, dir := range []string{p.Roots[p.Runtime], p.disks(), p.work(), p.reports()} {
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
	return checkOwn(dir)
}

// checkOwn refuses what is not a folder that only we can look into and change. A
// link is none.
func checkOwn(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || ownerOf(info) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%q is not a folder of ours alone (%v)", dir, info.Mode())
	}
	return nil
}

// mirrors is where the git-gates have their repositories. It is beside root's state
// folder, and not in it, for their users have to get there: each run's folder is
// closed to all but its own. The repositories may be large, so that it is not where
// sockets are.
func (p Places) mirrors() string {
	if os.Getuid() == 0 {
		return p.State + "-mirrors"
	}
	return filepath.Join(p.State, "mirrors")
}

// ensureMirrors makes that folder, which only we can change.
func (p Places) ensureMirrors() error {
	dir := p.mirrors()
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || ownerOf(info) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%q is not a folder that only we can change (%v)", dir, info.Mode())
	}
	return os.Chmod(dir, 0o711) // whatever the umask: the gates' users pass through it
}

func (p Places) disks() string               { return filepath.Join(p.State, "disks") }
func (p Places) work() string                { return filepath.Join(p.State, "work") }
func (p Places) reports() string             { return filepath.Join(p.State, "reports") }
func (p Places) runFolder(run string) string { return filepath.Join(p.Roots[p.Runtime], run) }
func (p Places) doors(run string) string     { return filepath.Join(p.runFolder(run), "doors") }
func (p Places) disk(run string) string      { return filepath.Join(p.disks(), run) }

// workFolder is a run's folder on disk that only the supervisor uses: the records
// of its processes, and what is on its way in or out.
func (p Places) workFolder(run string) string { return filepath.Join(p.work(), run) }

// Records is where backends keep the records of their processes, in a folder for
// each run.
func (p Places) Records() string { return p.work() }
