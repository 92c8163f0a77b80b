// Package forge asks Gitea, Forgejo and GitHub the few things that decide whether
// a job may run: who may write, what a pull request is made of, what was said. It
// tells them, too, what a job did: by statuses, comments, issues, pull requests.
//
// It promises that an answer is the forge's own, never taken from a name, that
// every answer is bounded in bytes, pages and time, and that an error says which
// right was missing where one was. Texts in answers may be anybody's.
//
// It does not promise that an answer still holds a moment later.
package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/bot-bottle/action/internal/term"
)

// Forge answers for one repository. All methods may be called concurrently.
type Forge interface {
	// Self gives the account that bot-bottle acts as. It is ErrRight, wrapped,
	// for a token that belongs to no account, as a job's token.
	Self(ctx context.Context) (User, error)
	// Access gives what the account with this login may do in the repository.
	// It is ErrAbsent, wrapped, if the forge knows no such account.
	Access(ctx context.Context, login string) (Access, error)
	// PullRequest gives the pull request with this number as it is now.
	PullRequest(ctx context.Context, number int64) (PullRequest, error)
	// PushedAt gives the time, by the forge's own clock, at which the head of
	// the pull request came to be what it is. It is ErrUnknown, wrapped, if the
	// forge doesn't say.
	PushedAt(ctx context.Context, pr PullRequest) (time.Time, error)
	// Comments gives the comments of an issue or pull request, oldest first, at
	// most MaxComments of them; of more, the newest.
	Comments(ctx context.Context, number int64) ([]Comment, error)
}

// MaxComments is how many comments of a thread are read: more than a person
// reads, and few enough for a handful of requests.
const MaxComments = 300

// MaxAnswerBytes bounds one answer of a forge. Both forges cap a comment at
// 64 KiB characters and a page at 100 of them, mostly far shorter ones.
const MaxAnswerBytes = 8 << 20

// Timeout bounds one request; a forge that takes longer is down.
const Timeout = 15 * time.Second

// Errors that callers tell apart, with errors.Is.
var (
	ErrAbsent  = errors.New("the forge knows no such thing")
	ErrRight   = errors.New("the credential lacks a right")
	ErrLogin   = errors.New("the forge takes the credential for none of its own")
	ErrUnknown = errors.New("the forge doesn't say")
)

// User is an account. The id stays when a login changes hands.
type User struct {
	ID    int64
	Login string
}

// Level is what an account may do with a repository's code.
type Level string

// The levels, from none upward.
const (
	LevelNone  Level = "none"
	LevelRead  Level = "read"
	LevelWrite Level = "write"
	LevelAdmin Level = "admin"
)

// CanWrite tells whether the level includes pushing.
func (l Level) CanWrite() bool { return l == LevelWrite || l == LevelAdmin }

// Access is what one account may do.
type Access struct {
	User  User
	Level Level
}

// Repository is one as the forge knows it. The zero value is one that is gone.
type Repository struct {
	ID       int64
	FullName string // "owner/name"
}

// PullRequest is a pull request at the moment of asking.
type PullRequest struct {
	Number  int64
	Title   string
	Body    string
	Author  User
	Created time.Time
	Head    Repository // zero: the fork was deleted
	HeadRef string     // branch, without refs/heads/
	HeadSHA string
	Base    Repository
	BaseRef string
	BaseSHA string // the base branch's commit, as the forge gives it
	URL     string // for a browser
}

// Comment is one of a thread.
type Comment struct {
	ID      int64
	Author  User
	Body    string
	Created time.Time
}

// explained gives err, of a question about subject, its stage, what a person can
// do about it, and one of the errors of this package to tell it by. right names
// what the credential needs for it.
func explained(err error, status int, question, right string) error {
	kind, hint := error(nil), ""
	switch status {
	case http.StatusUnauthorized:
		kind, hint = ErrLogin, "check that the token belongs to this forge and has not expired"
	case http.StatusForbidden:
		kind, hint = ErrRight, "give the credential the right: "+right
	case http.StatusNotFound:
		kind, hint = ErrAbsent, "check the name, and that the credential may see the repository"
	}
	if kind == nil {
		return term.Errorf(term.StagePreflight, "", "%s: %w", question, err).
			WithHint("try again once the forge answers")
	}
	return term.Errorf(term.StagePreflight, "", "%s: %w (HTTP %d, %w)", question, kind, status, err).WithHint("%s", hint)
}

// Explain makes of an error of a client library, and the status of the answer it
// came from (0: there was none), an error of this package. nil stays nil.
func Explain(err error, status int, right, question string, args ...any) error {
	if err == nil {
		return nil
	}
	return explained(err, status, fmt.Sprintf(question, args...), right)
}

// Newest gives the last MaxComments of comments, which are sorted.
func Newest(comments []Comment) []Comment {
	return comments[max(0, len(comments)-MaxComments):]
}
