package ledger

import (
	"context"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/bot-bottle/action/internal/term"
)

func TestDefaultDirTakesTheFirstThatIsSet(t *testing.T) {
	me, err := user.Current()
	must(t, err)
	uid, err := strconv.Atoi(me.Uid)
	must(t, err)
	for _, c := range []struct {
		name string
		uid  int
		env  map[string]string
		want string
	}{
		{"variable", 1000, map[string]string{"BOT_BOTTLE_STATE": "/s/../t", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/t"},
		{"variable as root", 0, map[string]string{"BOT_BOTTLE_STATE": "/s"}, "/s"},
		{"root", 0, map[string]string{"XDG_STATE_HOME": "/x", "HOME": "/root"}, "/var/lib/bot-bottle"},
		{"xdg", 1000, map[string]string{"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/bot-bottle"},
		{"relative xdg is ignored", 1000, map[string]string{"XDG_STATE_HOME": "x", "HOME": "/h"}, "/h/.local/state/bot-bottle"},
		{"home", 1000, map[string]string{"HOME": "/h"}, "/h/.local/state/bot-bottle"},
		{"root in any CI", 0, map[string]string{"CI": "true", "XDG_STATE_HOME": "/x"}, "/var/lib/bot-bottle"},
		{"root under a runner", 0, map[string]string{"GITEA_ACTIONS": "true", "XDG_STATE_HOME": "/x"}, "/var/lib/bot-bottle"},
	} {
		got, err := DefaultDir(func(name string) string { return c.env[name] }, c.uid)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
	if uid == 0 {
		return // root's folder is not below a home
	}
	got, err := DefaultDir(func(name string) string {
		return map[string]string{"GITHUB_ACTIONS": "true", "HOME": "/evil", "XDG_STATE_HOME": "/evil"}[name]
	}, uid)
	if want := filepath.Join(me.HomeDir, ".local/state/bot-bottle"); err != nil || got != want {
		t.Errorf("under a runner: %q, %v; want %q", got, err, want)
	}
}

func TestDefaultDirRefusesTheEnvironmentUnderARunner(t *testing.T) {
	env := map[string]string{"BOT_BOTTLE_STATE": "/evil", "GITHUB_ACTIONS": "true"}
	_, err := DefaultDir(func(name string) string { return env[name] }, 0)
	refused(t, err, term.StageUsage, `"/evil"`, "under a runner")
}

func TestDefaultDirRefusesARelativePath(t *testing.T) {
	_, err := DefaultDir(func(name string) string {
		return map[string]string{"BOT_BOTTLE_STATE": "state"}[name]
	}, 0)
	refused(t, err, term.StageUsage, `"state"`, "not an absolute path")
}

func TestDefaultDirNeedsAHome(t *testing.T) {
	const nobodyHasIt = 1<<31 - 17
	_, err := DefaultDir(func(string) string { return "" }, nobodyHasIt)
	refused(t, err, term.StageLedger, "has no home folder")
}

func TestOpenMakesAFolderThatOnlyWeCanEnter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "state")
	open(t, dir)
	info, err := os.Stat(dir)
	must(t, err)
	if got := info.Mode().Perm(); got != 0o700 {
		t.Errorf("mode %#o, want 0700", got)
	}
}

func TestOpenRefusesAFolderThatOthersCanEnter(t *testing.T) {
	for _, mode := range []os.FileMode{0o755, 0o770, 0o701, 0o720, 0o500} {
		dir := t.TempDir()
		must(t, os.Chmod(dir, mode))
		_, _, err := Open(t.Context(), dir, Options{})
		refused(t, err, term.StageLedger, dir, "not 0700", "chmod 0700")
		must(t, os.Chmod(dir, 0o700))
	}
}

func TestOpenRefusesAFolderOfSomebodyElse(t *testing.T) {
	dir := "/usr" // root's
	if os.Geteuid() == 0 {
		dir = stateDir(t)
		must(t, os.Chown(dir, 65534, 65534))
	}
	_, _, err := Open(t.Context(), dir, Options{})
	refused(t, err, term.StageLedger, dir, "belongs to user", "BOT_BOTTLE_STATE")
}

func TestOpenRefusesWhatIsNoFolder(t *testing.T) {
	dir := stateDir(t)
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Symlink(stateDir(t), link))
	_, _, err := Open(t.Context(), file, Options{})
	refused(t, err, term.StageLedger, file, "it is a file")
	_, _, err = Open(t.Context(), link, Options{})
	refused(t, err, term.StageLedger, link, "it is a symbolic link")
}

func TestOpenTakesAnyPath(t *testing.T) {
	dir := filepath.Join(stateDir(t), "a b?c#d%41&mode=memory")
	l := open(t, dir)
	begin(t, l, "")
	if _, err := os.Stat(filepath.Join(dir, databaseName)); err != nil {
		t.Errorf("the database is elsewhere: %v", err)
	}
}

func TestOpenPanicsOnARelativePath(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it did not panic")
		}
	}()
	_, _, _ = Open(context.Background(), "state", Options{})
}
