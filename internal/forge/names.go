package forge

import (
	"regexp"
	"strings"

	"github.com/bot-bottle/action/internal/term"
)

// Forms of names, wide enough for each forge (Gitea: modules/validation,
// IsValidUsername and repository names; GitHub's apps end in "[bot]"), and
// narrow enough to be part of an API's path.
var (
	loginForm      = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z._-]{0,99}(\[bot\])?$`)
	repositoryForm = regexp.MustCompile(`^[0-9A-Za-z._-]{1,100}$`)
)

// CheckLogin refuses what can't be a login: it would become another question.
func CheckLogin(login string) error {
	if loginForm.MatchString(login) {
		return nil
	}
	return term.Errorf(term.StageUsage, "", "reading the login %q: it is none", term.Shorten(login, 100))
}

// SplitRepository gives the parts of "owner/name".
func SplitRepository(repository string) (owner, name string, err error) {
	owner, name, ok := strings.Cut(repository, "/")
	if !ok || !loginForm.MatchString(owner) || !repositoryForm.MatchString(name) || name == "." || name == ".." {
		return "", "", term.Errorf(term.StageUsage, "", "reading the repository %q: it is not OWNER/NAME", term.Shorten(repository, 100))
	}
	return owner, name, nil
}
