package runner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/ledger"
)

// Report gives the folder of a run's report: the one that was asked for, else its
// own in the state folder.
func (p Places) Report(r ledger.Run) string {
	if r.Report != "" {
		return r.Report
	}
	return filepath.Join(p.reports(), r.ID)
}

// ReadableReport gives the folder of a run's report when it is still one that
// nobody else could have changed: a folder, no link, ours, and closed to others.
// It is fs.ErrNotExist, wrapped, where there is none.
func (p Places) ReadableReport(r ledger.Run) (string, error) {
	dir := p.Report(r)
	if err := checkOwn(dir); err != nil {
		return "", term.Errorf(term.StageCollect, dir, "opening the report folder: %w", err).
			WithHint("the folder has to be the one that the run made, of the same user and with mode 0700")
	}
	return dir, nil
}

// makeReportDir makes the folder, which must be new, or empty and ours alone to
// write to: a report is not mixed with another, and nobody puts a link where we
// will write.
func makeReportDir(dir string) error {
	err := os.MkdirAll(filepath.Dir(dir), 0o700)
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if errors.Is(err, os.ErrExist) {
		err = takeReportDir(dir)
	}
	if err != nil {
		return term.Errorf(term.StagePreflight, dir, "making the report folder: %w", err).
			WithHint("name a folder that does not exist yet, where you may write, with --report-dir")
	}
	return nil
}

// takeReportDir closes a folder that is there to others.
func takeReportDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() {
		return syscall.ENOTDIR
	}
	if !info.IsDir() || ownerOf(info) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("it is not a folder that only you may write to (%v)", info.Mode())
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = errors.New("it is not empty")
	}
	if err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}
