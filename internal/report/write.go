package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/bot-bottle/action/internal/term"
)

// The files of a report folder that this package writes.
const (
	JSONName     = "report.json"
	MarkdownName = "report.md"
)

// maxReportBytes bounds what ReadDir reads. It is more than WriteDir writes: the
// evidence of a proof is some hundred tries of some hundred bytes, and the names of
// changed files, which are the agent's, stand at least twice in a patch of at most
// 64 MiB.
const maxReportBytes = 64 << 20

// WriteDir writes report.json and report.md into dir, which is made if it isn't
// there and then is for its owner alone (0700; the files 0600). A file that is
// there is replaced whole, or, on an error, left as it was. The error is a
// *term.Error.
func WriteDir(dir string, r Report) error {
	if err := writeDir(dir, r); err != nil {
		return term.Errorf(term.StageCollect, "", "writing the report to %q: %w", dir, err).
			WithHint("make room for %q and see that this user may write there", dir)
	}
	return nil
}

func writeDir(dir string, r Report) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	content, err := r.marshal()
	if err != nil {
		return err
	}
	if err := replace(root, JSONName, content); err != nil {
		return err
	}
	return replace(root, MarkdownName, []byte(Markdown(r)))
}

// replace writes beside the file and renames, so that a reader sees all or
// nothing of it, also after a crash.
func replace(root *os.Root, name string, content []byte) error {
	temporary := "." + name + ".new"
	if err := root.Remove(temporary); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := writeSynced(root, temporary, content); err != nil {
		_ = root.Remove(temporary)
		return err
	}
	return root.Rename(temporary, name)
}

func writeSynced(root *os.Root, name string, content []byte) (err error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	return f.Sync()
}

// ReadDir reads the report in dir. One of a newer schema is refused.
func ReadDir(dir string) (Report, error) {
	r := Report{Dir: dir}
	content, err := readBounded(dir)
	if err == nil {
		err = json.Unmarshal(content, &r)
	}
	if err == nil && r.Schema > Schema {
		err = fmt.Errorf("its schema is %d, this version knows up to %d", r.Schema, Schema)
	}
	if err != nil {
		return Report{}, fmt.Errorf("reading report %q: %w", dir, err)
	}
	return r, nil
}

func readBounded(dir string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(JSONName)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxReportBytes+1))
	if err == nil && len(content) > maxReportBytes {
		err = fmt.Errorf("it is longer than %s", term.Bytes(maxReportBytes))
	}
	return content, err
}
