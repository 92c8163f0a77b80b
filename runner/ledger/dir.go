package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/bot-bottle/action/internal/term"
)

// StateVariable names the environment variable that holds the state folder.
const StateVariable = "BOT_BOTTLE_STATE"

// rootDir is the state folder of root, as the FHS (§5.8) has it.
const rootDir = "/var/lib/bot-bottle"

// DefaultDir chooses the state folder of the user with number uid:
// $BOT_BOTTLE_STATE, else /var/lib/bot-bottle as root, else
// $XDG_STATE_HOME/bot-bottle, else ~/.local/state/bot-bottle (XDG Base
// Directory Specification 0.8). It makes nothing.
//
// Under a runner, where a step may have put anything into the environment, the
// folder never comes from there: a set variable is an error, and the home
// folder is the user database's.
func DefaultDir(getenv func(string) string, uid int) (string, error) {
	runner := UnderRunner(getenv)
	if dir := getenv(StateVariable); dir != "" {
		return explicitDir(dir, runner)
	}
	if uid == 0 {
		return rootDir, nil
	}
	// The specification says that a relative path is to be ignored.
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) && !runner {
		return filepath.Join(dir, "bot-bottle"), nil
	}
	if home := getenv("HOME"); filepath.IsAbs(home) && !runner {
		return filepath.Join(home, ".local/state/bot-bottle"), nil
	}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil || !filepath.IsAbs(u.HomeDir) {
		return "", term.Errorf(term.StageLedger, "", "choosing a state folder: user %d has no home folder", uid).
			WithHint("give the user a home folder, or run as root, whose state is in %s", rootDir)
	}
	return filepath.Join(u.HomeDir, ".local/state/bot-bottle"), nil
}

func explicitDir(dir string, runner bool) (string, error) {
	if runner {
		return "", term.Errorf(term.StageUsage, StateVariable, "taking the state folder %q from the environment under a runner", dir).
			WithHint("remove %s from the job's environment: a step must not choose where obligations are kept", StateVariable)
	}
	if !filepath.IsAbs(dir) {
		return "", term.Errorf(term.StageUsage, StateVariable, "using state folder %q: not an absolute path", dir).
			WithHint("set %s to a path that starts with /", StateVariable)
	}
	return filepath.Clean(dir), nil
}

// UnderRunner tells whether a CI job is what runs us: then the environment, the
// home folder among it, and the command line are the job's. All runners set CI for
// every step, and those of forges a variable of their own. Getenv is os.Getenv.
func UnderRunner(getenv func(string) string) bool {
	return slices.ContainsFunc([]string{"CI", "GITHUB_ACTIONS", "GITEA_ACTIONS", "FORGEJO_ACTIONS"}, func(name string) bool {
		v := getenv(name)
		return v != "" && v != "false" && v != "0"
	})
}

// prepare makes the state folder and what is in it but the database, and
// refuses one that others could have prepared or could read.
func prepare(dir string) error {
	if !filepath.IsAbs(dir) {
		panic(fmt.Sprintf("ledger: state folder %q is not absolute", dir))
	}
	if err := makeDir(dir); err != nil {
		return fmt.Errorf("making state folder %q: %w", dir, err)
	}
	if err := checkOwn(dir); err != nil {
		return err
	}
	if err := checkFileSystem(dir); err != nil {
		return err
	}
	locks := filepath.Join(dir, locksName)
	if err := os.Mkdir(locks, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making %q: %w", locks, err)
	}
	return nil
}

// makeDir makes dir, and makes its name durable: a ledger that a power failure
// took away would have promised in vain.
func makeDir(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// checkOwn refuses a state folder that is not a folder, not ours or not 0700:
// whoever else can write there could have us undo things that never were ours.
func checkOwn(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("looking at state folder %q: %w", dir, err)
	}
	if !info.IsDir() {
		return term.Errorf(term.StageLedger, dir, "using it as state folder: it is a %s, not a folder", kindOf(info.Mode())).
			WithHint("remove it, or set %s to another path", StateVariable)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
		return term.Errorf(term.StageLedger, dir, "using it as state folder: it belongs to user %d, we are user %d", owner, os.Geteuid()).
			WithHint("set %s to a folder of your own; root's is %s", StateVariable, rootDir)
	}
	if perm := info.Mode().Perm(); perm != 0o700 {
		return term.Errorf(term.StageLedger, dir, "using it as state folder: its mode is %#o, not 0700", perm).
			WithHint("make sure that nobody else has put anything into it, then: chmod 0700 %q", dir)
	}
	return nil
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "symbolic link"
	case mode.IsRegular():
		return "file"
	}
	return "special file"
}
