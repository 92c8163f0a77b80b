package action

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/action/internal/term"
)

// readPrompt reads the file that the input prompt-file names, below the job's
// workspace. What is there the repository chose: a link would hand the guest a
// file of the host's, and .git holds the token of the checkout.
func readPrompt(workspace, name string) (string, error) {
	text, err := readBeneath(workspace, name, maxInput)
	if err == nil && strings.TrimSpace(text) == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return "", term.Errorf(term.StageUsage, "", "reading input %q: opening %q in the workspace: %w", "prompt-file", name, err).
			WithHint("name a plain file by its path in the workspace, without links; a step before has to check the repository out")
	}
	return text, nil
}

func readBeneath(dir, name string, limit int64) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if err := checkPlain(root, name); err != nil {
		return "", err
	}
	f, err := root.Open(filepath.Clean(name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return string(b), err
}

// checkPlain wants folders on the way and a regular file at its end.
func checkPlain(root *os.Root, name string) error {
	if !filepath.IsLocal(name) {
		return errors.New("its path leads out of the workspace")
	}
	parts := strings.Split(filepath.Clean(name), string(filepath.Separator))
	for i, part := range parts {
		if strings.EqualFold(part, ".git") {
			return errors.New("its path leads into the repository's own files")
		}
		info, err := root.Lstat(filepath.Join(parts[:i+1]...))
		if err != nil {
			return err
		}
		if last := i == len(parts)-1; last && !info.Mode().IsRegular() || !last && !info.IsDir() {
			return fmt.Errorf("%q is a %s", filepath.Join(parts[:i+1]...), kindOf(info.Mode()))
		}
	}
	return nil
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "link"
	case mode.IsDir():
		return "folder"
	case mode.IsRegular():
		return "file"
	}
	return "special file"
}

// findWorkspace gives the checkout that the guest gets a copy of: the one that
// the input names, else the job's workspace where something is checked out, else
// none.
func findWorkspace(top, named string) (string, error) {
	dir := top
	if named != "" {
		dir = named
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(top, named)
		}
	}
	if dir == "" {
		return "", nil
	}
	real, err := filepath.EvalSymlinks(dir)
	if err == nil && named != "" {
		err = checkBelow(top, real)
	}
	if err != nil {
		return "", term.Errorf(term.StageUsage, "", "reading input %q: %w", "workspace", err).
			WithHint("name a folder below the job's workspace, and check the repository out before")
	}
	if named == "" && !isCheckout(real) {
		return "", nil
	}
	return real, nil
}

func checkBelow(top, dir string) error {
	real, err := filepath.EvalSymlinks(top)
	if err != nil {
		return err
	}
	if below, err := filepath.Rel(real, dir); err != nil || !filepath.IsLocal(below) {
		return fmt.Errorf("%q is not below the job's workspace %q", dir, real)
	}
	return nil
}

func isCheckout(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, ".git"))
	return err == nil
}
