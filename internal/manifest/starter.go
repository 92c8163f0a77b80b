package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
)

// Starter is a first bottle.
type Starter struct {
	Name         string
	Template     string     // of the provider; empty: none
	Token        secret.Ref // of its credential; empty: the provider's default
	Repositories []string   // of `for`; empty: no job of a runner
	Presets      []string
}

// Text gives the file's content. The error says what of s no bottle can have.
func (s Starter) Text() (string, error) {
	if err := checkName(s.Name); err != nil {
		return "", term.Errorf(term.StageUsage, "", "naming the bottle: %w", err).WithHint("use a name such as %s-dev", Claude)
	}
	var b strings.Builder
	b.WriteString("---\n")
	switch {
	case s.Template == "" && s.Token == "": // for commands, which need no provider
	case slices.Contains(BuiltIn(), s.Template) && s.Template != s.Name && s.Token == "":
		fmt.Fprintf(&b, "extends: %s # the agent CLI and the least of its model's API\n", s.Template)
	default:
		fmt.Fprintf(&b, "agent_provider:\n  template: %s\n", s.Template)
		if s.Token != "" {
			fmt.Fprintf(&b, "  auth_token: %q # stays on the host; the guest is given a placeholder\n", s.Token)
		}
	}
	if len(s.Repositories) > 0 {
		fmt.Fprintf(&b, "for: # the jobs of a runner that may use it\n  repositories: [%s]\n", quoted(s.Repositories))
	}
	if len(s.Presets) > 0 {
		fmt.Fprintf(&b, "egress:\n  presets: [%s] # packages, read-only\n", strings.Join(s.Presets, ", "))
	}
	b.WriteString("---\n\nWritten by `bot-bottle init`. All keys: docs/reference/manifest.md.\n")
	d, err := takeApart(s.Name+extension, []byte(b.String()))
	if err == nil {
		_, err = readBottle(d)
	}
	return b.String(), err
}

func quoted(list []string) string {
	all := make([]string, len(list))
	for i, s := range list {
		all[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(all, ", ")
}

// Write writes the bottle into dir, which is made if need be, for nobody but the
// user to read. A file that is there is left as it is, and is an error.
func (s Starter) Write(dir string) (path string, err error) {
	text, err := s.Text()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", term.Errorf(term.StageUsage, dir, "making the folder: %w", err)
	}
	path = filepath.Join(dir, s.Name+extension)
	if twin := twinOf(dir, s.Name+extension); twin != "" {
		path = filepath.Join(dir, twin)
		return "", exists(path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return "", exists(path)
	}
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return "", term.Errorf(term.StageUsage, path, "writing the bottle: %w", err)
	}
	return path, nil
}

func exists(path string) error {
	return term.Errorf(term.StageUsage, path, "writing the bottle: there is a file already").
		WithHint("choose another name, or edit the file")
}
