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
// The error is a *term.Error that lists what there is. A folder that has another
// file whose name differs in case alone is refused: which of the two is meant
// would depend on the file system.
func Find(dirs []string, kind Kind, name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", &term.Error{Stage: term.StageManifest, Subject: kind.one(), Err: err}
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name+extension)
		if twin := twinOf(dir, name+extension); twin != "" {
			return "", term.Errorf(term.StageManifest, filepath.Join(dir, twin), "its name differs from %q in case alone", name+extension).
				WithHint("rename or remove the file; names are in lower case")
		}
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

// twinOf gives the file in dir whose name differs from file in case alone.
func twinOf(dir, file string) string {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != file && strings.EqualFold(e.Name(), file) {
			return e.Name()
		}
	}
	return ""
}

// missingError says that no folder has a file, and what would help.
type missingError struct {
	kind Kind
	name string
	hint string
}

// Error names what is missing.
func (e *missingError) Error() string { return fmt.Sprintf("there is no %s %q", e.kind.one(), e.name) }

func missing(dirs []string, kind Kind, name string) error {
	e := &missingError{kind, name, hintForMissing(dirs, kind, name)}
	return (&term.Error{Stage: term.StageManifest, Err: e}).WithHint("%s", e.hint)
}

// IsMissing tells whether err says that there is no such bottle or agent.
func IsMissing(err error) bool {
	_, ok := errors.AsType[*missingError](err)
	return ok
}

func hintForMissing(dirs []string, kind Kind, name string) string {
	names := List(dirs)
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(names) > 0 {
		return "there are these: " + strings.Join(names, ", ")
	}
	if len(dirs) == 0 {
		return fmt.Sprintf("there is no folder to look for %s in", kind)
	}
	return "write " + filepath.Join(dirs[0], name+extension)
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
