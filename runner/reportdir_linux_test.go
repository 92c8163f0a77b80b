package runner

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/testenv"
	"github.com/bot-bottle/action/runner/ledger"
)

func TestTheReportIsWhereItWasAskedFor(t *testing.T) {
	p := Places{State: "/state"}
	if got := p.Report(ledger.Run{ID: "abcdefghij"}); got != "/state/reports/abcdefghij" {
		t.Errorf("by default %q", got)
	}
	if got := p.Report(ledger.Run{ID: "abcdefghij", NewRun: ledger.NewRun{Report: "/srv/report"}}); got != "/srv/report" {
		t.Errorf("got %q", got)
	}
}

func TestReportFoldersThatAreTaken(t *testing.T) {
	for name, prepare := range map[string]func(dir string) error{
		"new":                 func(string) error { return nil },
		"empty and ours":      func(dir string) error { return os.Mkdir(dir, 0o700) },
		"readable for others": func(dir string) error { return os.Mkdir(dir, 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(ownDir(t), "report")
			must(t, prepare(dir))
			must(t, makeReportDir(dir))
			if info, err := os.Lstat(dir); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%v %v", info.Mode(), err)
			}
			got, err := Places{}.ReadableReport(ledger.Run{NewRun: ledger.NewRun{Report: dir}})
			if err != nil || got != dir {
				t.Errorf("reading back: %q, %v", got, err)
			}
		})
	}
}

// foreign are folders that others have, or had, a hand in.
func foreign() map[string]func(dir string) error {
	all := map[string]func(dir string) error{
		"link": func(dir string) error {
			return errors.Join(os.Mkdir(dir+".real", 0o700), os.Symlink(dir+".real", dir))
		},
		"open to others": func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o770)) },
	}
	if os.Getuid() == 0 {
		all["of another user"] = func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, testenv.UnprivilegedID, testenv.UnprivilegedID))
		}
	}
	return all
}

func TestReportFoldersOfOthersAreNeitherTakenNorRead(t *testing.T) {
	for why, prepare := range foreign() {
		t.Run(why, func(t *testing.T) {
			dir := filepath.Join(ownDir(t), "report")
			must(t, prepare(dir))
			err := makeReportDir(dir)
			if text := term.Explain(err); err == nil || !strings.Contains(text, "only you may write to") || !strings.Contains(text, "hint: ") {
				t.Errorf("making it: %q", text)
			}
			_, err = Places{}.ReadableReport(ledger.Run{NewRun: ledger.NewRun{Report: dir}})
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("reading it: %v", err)
			}
		})
	}
}

func TestAReportFolderWithSomethingInItIsNotTaken(t *testing.T) {
	dir := ownDir(t)
	must(t, os.WriteFile(filepath.Join(dir, "report.json"), nil, 0o600))
	if err := makeReportDir(dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("got %v", err)
	}
}

func TestAReportThatIsNotThereYetIsToldFromOneThatMayNotBeRead(t *testing.T) {
	_, err := Places{State: ownDir(t)}.ReadableReport(ledger.Run{ID: "abcdefghij"})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
