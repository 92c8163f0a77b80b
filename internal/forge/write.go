package forge

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Poster says things in one repository. Its texts are Markdown, and whoever calls
// it has made harmless what isn't ours in them. All methods may be called
// concurrently.
type Poster interface {
	// Author gives the account under which this poster's comments and issues
	// stand, also for a job's token.
	Author(ctx context.Context) (User, error)
	// SetStatus sets the status of a commit (full hash) under s.Context.
	SetStatus(ctx context.Context, commit string, s Status) error
	// StatusOf gives the status that stands under a context on a commit; nil: none.
	StatusOf(ctx context.Context, commit, statusContext string) (*Status, error)
	// Comments gives the comments of an issue or pull request, as Forge's.
	Comments(ctx context.Context, number int64) ([]Comment, error)
	// CreateComment adds a comment to an issue or pull request.
	CreateComment(ctx context.Context, number int64, body string) (Comment, error)
	// EditComment replaces the text of the comment with this id.
	EditComment(ctx context.Context, id int64, body string) error
	// OpenIssues gives the open issues, pull requests not among them, newest
	// first. It is an error if there are more than a forge is asked for.
	OpenIssues(ctx context.Context) ([]Issue, error)
	// CreateIssue opens one.
	CreateIssue(ctx context.Context, title, body string) (Issue, error)
	// EditIssue replaces the text of an issue, and closes it if that is asked for.
	EditIssue(ctx context.Context, number int64, body string, closed bool) error
	// OpenPullRequest gives the open pull request from branch head to branch base
	// of the same repository; nil: there is none.
	OpenPullRequest(ctx context.Context, head, base string) (*PullRequest, error)
	// CreatePullRequest opens one, between branches of the repository.
	CreatePullRequest(ctx context.Context, p NewPullRequest) (PullRequest, error)
	// EditPullRequest replaces title and text.
	EditPullRequest(ctx context.Context, number int64, title, body string) error
}

// State is what a status says of its commit.
type State string

// The states, which both forges have.
const (
	Pending State = "pending"
	Success State = "success"
	Failure State = "failure"
	Error   State = "error"
)

// maxDescription is what GitHub takes of a status's description, in characters
// (docs.github.com, "REST API endpoints for commit statuses").
const maxDescription = 140

// Status is the word of one context on a commit.
type Status struct {
	Context     string // who says it; a later status replaces one of the same context
	State       State
	Description string // plain text; cut at 140 characters
	URL         string // of more; empty: none
}

// Short is the description as far as every forge takes it.
func (s Status) Short() string {
	runes := []rune(s.Description)
	if len(runes) <= maxDescription {
		return s.Description
	}
	return strings.TrimSpace(string(runes[:maxDescription-1])) + "…"
}

// Issue is one that is open.
type Issue struct {
	Number  int64
	Title   string
	Body    string
	Author  User
	Created time.Time
	URL     string // for a browser
}

// NewPullRequest is one to be opened.
type NewPullRequest struct {
	Title, Body string
	Head, Base  string // branches, without refs/heads/
}

// MaxBody is how many characters of a comment, issue or pull request each forge
// takes: GitHub's limit; Gitea's is far beyond it.
const MaxBody = 65536

// OwnIssues gives those of issues that author opened with this title, oldest
// first: the title alone could be anybody's.
func OwnIssues(issues []Issue, author User, title string) []Issue {
	own := slices.Clone(issues)
	own = slices.DeleteFunc(own, func(i Issue) bool { return i.Author.ID != author.ID || i.Title != title })
	slices.SortFunc(own, func(a, b Issue) int { return int(a.Number - b.Number) })
	return own
}
