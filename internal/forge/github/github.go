// Package github asks GitHub, or a GitHub Enterprise Server, through its REST API
// (https://docs.github.com/rest). It holds what internal/forge promises.
package github

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
	"github.com/google/go-github/v92/github"
)

// perPage is the most that GitHub gives at once.
const perPage = 100

// Config says which server is asked about which repository, and as whom.
type Config struct {
	API        string       // GITHUB_API_URL: https://api.github.com
	Repository string       // "owner/name"
	Token      secret.Value // may be a job's own
	Patience   forge.Patience
}

// Forge is GitHub for one repository.
type Forge struct {
	client      *github.Client
	owner, name string
}

// New gives the forge of c. Nothing is asked yet.
func New(c Config) (*Forge, error) {
	owner, name, err := forge.SplitRepository(c.Repository)
	if err != nil {
		return nil, err
	}
	client, err := newClient(c)
	if err != nil {
		return nil, err
	}
	return &Forge{client, owner, name}, nil
}

func newClient(c Config) (*github.Client, error) {
	base := strings.TrimSuffix(c.API, "/") + "/"
	client, err := github.NewClient(
		github.WithHTTPClient(forge.Client(c.Patience)),
		github.WithURLs(&base, &base),
		github.WithAuthToken(c.Token.Reveal()), // sent to the API alone: no redirect is followed
	)
	if err != nil {
		return nil, term.Errorf(term.StageUsage, "", "reading the API's address %q: %w", c.API, err)
	}
	return client, nil
}

func (f *Forge) subject() string { return f.owner + "/" + f.name }

func status(r *github.Response) int {
	if r == nil || r.Response == nil {
		return 0
	}
	return r.StatusCode
}

// Self gives the token's account. An Actions token has none: ErrRight.
func (f *Forge) Self(ctx context.Context) (forge.User, error) {
	u, r, err := f.client.Users.Get(ctx, "")
	if err != nil {
		return forge.User{}, forge.Explain(err, status(r), "a token that belongs to an account", "asking GitHub for our own account")
	}
	return user(u), nil
}

// Access asks for the account's permission; GitHub counts "maintain" as write
// and "triage" as read.
func (f *Forge) Access(ctx context.Context, login string) (forge.Access, error) {
	if err := forge.CheckLogin(login); err != nil {
		return forge.Access{}, err
	}
	level, r, err := f.client.Repositories.GetPermissionLevel(ctx, f.owner, f.name, login)
	if err != nil {
		return forge.Access{}, forge.Explain(err, status(r), "Metadata: read, and push access to the repository",
			"asking GitHub what %q may do in %q", login, f.subject())
	}
	return forge.Access{User: user(level.GetUser()), Level: levelOf(level.GetPermission())}, nil
}

// levelOf takes a word that it doesn't know for none.
func levelOf(permission string) forge.Level {
	level := forge.Level(permission)
	if slices.Contains([]forge.Level{forge.LevelRead, forge.LevelWrite, forge.LevelAdmin}, level) {
		return level
	}
	return forge.LevelNone
}

// PullRequest gives the pull request with this number as it is now.
func (f *Forge) PullRequest(ctx context.Context, number int64) (forge.PullRequest, error) {
	p, r, err := f.client.PullRequests.Get(ctx, f.owner, f.name, int(number))
	if err != nil {
		return forge.PullRequest{}, forge.Explain(err, status(r), "pull-requests: read",
			"asking GitHub for pull request %d of %q", number, f.subject())
	}
	return pullRequest(p), nil
}

func pullRequest(p *github.PullRequest) forge.PullRequest {
	head, base := p.GetHead(), p.GetBase()
	return forge.PullRequest{
		Number: int64(p.GetNumber()), Title: p.GetTitle(), Body: p.GetBody(),
		Author: user(p.GetUser()), Created: p.GetCreatedAt().Time,
		Head: repository(head.GetRepo()), HeadRef: head.GetRef(), HeadSHA: head.GetSHA(),
		Base: repository(base.GetRepo()), BaseRef: base.GetRef(), BaseSHA: base.GetSHA(),
		URL: p.GetHTMLURL(),
	}
}

// PushedAt looks for the newest activity of the head's branch, which bears the
// time of GitHub's own clock; the dates in a commit are its author's choice.
func (f *Forge) PushedAt(ctx context.Context, pr forge.PullRequest) (time.Time, error) {
	list, r, err := f.client.Repositories.ListRepositoryActivities(ctx, f.owner, f.name,
		&github.ListRepositoryActivityOptions{Ref: "refs/heads/" + pr.HeadRef, Direction: "desc", PerPage: 1})
	if err != nil {
		return time.Time{}, forge.Explain(err, status(r), "contents: read",
			"asking GitHub when %q was pushed", pr.HeadRef)
	}
	if len(list) == 0 || list[0].After != pr.HeadSHA || list[0].Timestamp == nil {
		return time.Time{}, term.Errorf(term.StagePreflight, "", "asking GitHub when commit %q of branch %q was pushed: %w", pr.HeadSHA, pr.HeadRef, forge.ErrUnknown).
			WithHint("push again and then comment; or start the job from the pull request itself (a label, a review)")
	}
	return list[0].Timestamp.Time, nil
}

// Comments gives the comments of an issue or pull request, oldest first.
func (f *Forge) Comments(ctx context.Context, number int64) ([]forge.Comment, error) {
	var all []forge.Comment
	opts := &github.IssueListCommentsOptions{
		Sort: new("created"), Direction: new("asc"),
		ListOptions: github.ListOptions{PerPage: perPage},
	}
	for range maxPages {
		list, r, err := f.client.Issues.ListComments(ctx, f.owner, f.name, int(number), opts)
		if err != nil {
			return nil, forge.Explain(err, status(r), "issues: read", "asking GitHub for the comments of %d in %q", number, f.subject())
		}
		for _, c := range list {
			all = append(all, forge.Comment{ID: c.GetID(), Author: user(c.GetUser()), Body: c.GetBody(), Created: c.GetCreatedAt().Time})
		}
		if r.NextPage == 0 {
			return forge.Newest(all), nil
		}
		opts.Page = r.NextPage
	}
	return nil, term.Errorf(term.StagePreflight, "", "asking GitHub for the comments of %d in %q: they have more than %d pages", number, f.subject(), maxPages).
		WithHint("say in the input `prompt` what to do")
}

// maxPages bounds a thread: ten thousand comments are no conversation.
const maxPages = 100

func user(u *github.User) forge.User { return forge.User{ID: u.GetID(), Login: u.GetLogin()} }

func repository(r *github.Repository) forge.Repository {
	return forge.Repository{ID: r.GetID(), FullName: r.GetFullName()}
}

var _ forge.Forge = (*Forge)(nil)
