package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/term"
)

// Kind is what a file describes; it is also the usual name of a folder of them.
type Kind string

// The kinds of files.
const (
	Bottles Kind = "bottles"
	Agents  Kind = "agents"
)

// one gives the word for a single file.
func (k Kind) one() string { return strings.TrimSuffix(string(k), "s") }

// Find gives the path of the bottle or agent name: NAME.md in the first of dirs
// that has it. Which folders may be asked for which kind is the caller's to know.
// The error is a *term.Error that lists what there is.
func Find(dirs []string, kind Kind, name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", &term.Error{Stage: term.StageManifest, Subject: kind.one(), Err: err}
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name+extension)
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", term.Errorf(term.StageManifest, path, "looking for the file: %w", err)
		}
	}
	return "", missing(dirs, kind, name)
}

func missing(dirs []string, kind Kind, name string) error {
	e := term.Errorf(term.StageManifest, "", "there is no %s %q", kind.one(), name)
	names := List(dirs)
	if near := nearest(name, names); near != "" {
		return e.WithHint("did you mean %q?", near)
	}
	if len(names) > 0 {
		return e.WithHint("there are these: %s", strings.Join(names, ", "))
	}
	if len(dirs) == 0 {
		return e.WithHint("there is no folder to look for %s in", kind)
	}
	return e.WithHint("write %s", filepath.Join(dirs[0], name+extension))
}

// List gives the names of the bottles or agents in dirs, sorted. A folder that
// can't be read has none.
func List(dirs []string) []string {
	var names []string
	for _, dir := range dirs {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			name, isMarkdown := strings.CutSuffix(e.Name(), extension)
			if isMarkdown && checkName(name) == nil {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// maxName is what leaves room for a suffix in a file name.
const maxName = 64

// checkName takes kebab-case: a lower-case letter, then lower-case letters,
// digits and hyphens.
func checkName(name string) error {
	notKebab := func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-') }
	if name == "" || len(name) > maxName || name[0] < 'a' || strings.ContainsFunc(name, notKebab) {
		return fmt.Errorf("%.80q is not a name of lower-case letters, digits and hyphens", name)
	}
	return nil
}
