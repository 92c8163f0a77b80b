// Package gitea asks Gitea or Forgejo, through their common API (/api/swagger of
// each server). It holds what internal/forge promises.
//
// A job's own token may read pull requests and comments, but not what another
// account may do: Gitea answers that to administrators of the repository alone.
// It is asked with a credential of the host's.
package gitea

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"code.gitea.io/sdk/gitea"
	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
)

// perPage is what Gitea gives at once by default (MAX_RESPONSE_ITEMS).
const perPage = 50

// maxPages bounds a thread: five thousand entries are no conversation.
const maxPages = 100

// Config says which server is asked about which repository, and as whom.
type Config struct {
	Server     string       // as a browser has it: https://gitea.example
	Repository string       // "owner/name"
	Job        secret.Value // the job's token
	Host       secret.Value // the host's credential; empty: Access is ErrRight
	Patience   forge.Patience
}

// Forge is Gitea or Forgejo for one repository.
type Forge struct {
	config      Config
	owner, name string
}

// New gives the forge of c. Nothing is asked yet.
func New(c Config) (*Forge, error) {
	owner, name, err := forge.SplitRepository(c.Repository)
	if err != nil {
		return nil, err
	}
	return &Forge{c, owner, name}, nil
}

// client gives a client that ends with ctx; the library binds one to its client.
func (f *Forge) client(ctx context.Context, token secret.Value) (*gitea.Client, error) {
	client, err := gitea.NewClient(f.config.Server,
		gitea.SetContext(ctx),
		gitea.SetHTTPClient(forge.Client(f.config.Patience)),
		gitea.SetGiteaVersion(""),      // don't ask: Forgejo's numbers mean something else
		gitea.SetToken(token.Reveal()), // sent to the API alone: no redirect is followed
	)
	if err != nil {
		return nil, term.Errorf(term.StageUsage, "", "reading the forge's address %q: %w", f.config.Server, err)
	}
	return client, nil
}

func status(r *gitea.Response) int {
	if r == nil || r.Response == nil {
		return 0
	}
	return r.StatusCode
}

// Self gives the account of the job's token.
func (f *Forge) Self(ctx context.Context) (forge.User, error) {
	client, err := f.client(ctx, f.config.Job)
	if err != nil {
		return forge.User{}, err
	}
	u, r, err := client.GetMyUserInfo()
	if err != nil {
		return forge.User{}, forge.Explain(err, status(r), "read:user", "asking the forge for our own account")
	}
	return user(u), nil
}

// right is what Access needs of the host's credential (Gitea's
// routers/api/v1/repo/collaborators.go, GetRepoPermissions).
const right = "administrator of the repository, with the scope read:repository"

// Access asks with the host's credential.
func (f *Forge) Access(ctx context.Context, login string) (forge.Access, error) {
	if err := forge.CheckLogin(login); err != nil {
		return forge.Access{}, err
	}
	if f.config.Host.IsEmpty() {
		return forge.Access{}, term.Errorf(term.StagePreflight, "", "asking the forge what %q may do: %w: a job's token can't ask, and the host has no credential for %q", login, forge.ErrRight, f.config.Server).
			WithHint("name one in %s/config.yaml under `forges`, of an account that is %s", manifest.HostFolder, right)
	}
	client, err := f.client(ctx, f.config.Host)
	if err != nil {
		return forge.Access{}, err
	}
	p, r, err := client.CollaboratorPermission(f.owner, f.name, login)
	if err != nil {
		return forge.Access{}, forge.Explain(err, status(r), right, "asking the forge what %q may do in %q", login, f.config.Repository)
	}
	if p == nil || p.User == nil {
		return forge.Access{}, forge.Explain(errNoAnswer, 404, right, "asking the forge what %q may do in %q", login, f.config.Repository)
	}
	return forge.Access{User: user(p.User), Level: levelOf(p.Permission)}, nil
}

// levelOf takes a word that it doesn't know for none.
func levelOf(mode gitea.AccessMode) forge.Level {
	level := forge.Level(mode)
	if mode == gitea.AccessModeOwner {
		return forge.LevelAdmin
	}
	if slices.Contains([]forge.Level{forge.LevelRead, forge.LevelWrite, forge.LevelAdmin}, level) {
		return level
	}
	return forge.LevelNone
}

// PullRequest gives the pull request with this number as it is now.
func (f *Forge) PullRequest(ctx context.Context, number int64) (forge.PullRequest, error) {
	client, err := f.client(ctx, f.config.Job)
	if err != nil {
		return forge.PullRequest{}, err
	}
	p, r, err := client.GetPullRequest(f.owner, f.name, number)
	if err == nil && (p == nil || p.Head == nil || p.Base == nil) {
		err = errNoAnswer
	}
	if err != nil {
		return forge.PullRequest{}, forge.Explain(err, status(r), "read:repository", "asking the forge for pull request %d of %q", number, f.config.Repository)
	}
	return pullRequest(p), nil
}

// pullRequest is without branches where the answer has none.
func pullRequest(p *gitea.PullRequest) forge.PullRequest {
	pr := forge.PullRequest{Number: p.Index, Title: p.Title, Body: p.Body, Author: user(p.Poster), URL: p.HTMLURL}
	if p.Created != nil {
		pr.Created = *p.Created
	}
	if p.Head != nil && p.Base != nil {
		pr.Head, pr.HeadRef, pr.HeadSHA = repository(p.Head.Repository), p.Head.Ref, p.Head.Sha
		pr.Base, pr.BaseRef, pr.BaseSHA = repository(p.Base.Repository), p.Base.Ref, p.Base.Sha
	}
	return pr
}

// pushEntry is the type of a timeline entry that a push to the head makes, with
// the server's time; its body is a pushed.
const pushEntry = "pull_push"

// pushed is the body of a pushEntry (Gitea's models/issues, PushActionContent).
// CommitIDs are oldest first; of a forced push they are the old and the new head.
type pushed struct {
	CommitIDs []string `json:"commit_ids"`
}

// PushedAt looks for the newest push in the pull request's timeline. Opening one
// makes the first entry (Gitea 1.26, services/pull, NewPullRequest), so that a
// timeline without any, or whose newest leads to another head, is one that doesn't
// know: forge.ErrUnknown, wrapped.
func (f *Forge) PushedAt(ctx context.Context, pr forge.PullRequest) (time.Time, error) {
	client, err := f.client(ctx, f.config.Job)
	if err != nil {
		return time.Time{}, err
	}
	entries, err := pages(func(page int) ([]*gitea.TimelineComment, error) {
		list, r, err := client.ListIssueTimeline(f.owner, f.name, pr.Number, gitea.ListIssueCommentOptions{ListOptions: gitea.ListOptions{Page: page, PageSize: perPage}})
		return list, forge.Explain(err, status(r), "read:issue", "asking the forge for the timeline of pull request %d", pr.Number)
	}, func(c *gitea.TimelineComment) int64 { return c.ID })
	if err != nil {
		return time.Time{}, err
	}
	head, at := "", time.Time{}
	for _, e := range entries {
		var p pushed
		if e.Type != pushEntry || json.Unmarshal([]byte(e.Body), &p) != nil || len(p.CommitIDs) == 0 {
			continue
		}
		head, at = p.CommitIDs[len(p.CommitIDs)-1], e.Created
	}
	if head == "" || head != pr.HeadSHA {
		return time.Time{}, term.Errorf(term.StagePreflight, "", "asking the forge when commit %q was pushed: %w", pr.HeadSHA, forge.ErrUnknown).
			WithHint("wait until the forge has taken the push in, then comment again")
	}
	return at, nil
}

// Comments gives the comments of an issue or pull request, oldest first.
func (f *Forge) Comments(ctx context.Context, number int64) ([]forge.Comment, error) {
	client, err := f.client(ctx, f.config.Job)
	if err != nil {
		return nil, err
	}
	list, err := pages(func(page int) ([]*gitea.Comment, error) {
		list, r, err := client.ListIssueComments(f.owner, f.name, number, gitea.ListIssueCommentOptions{ListOptions: gitea.ListOptions{Page: page, PageSize: perPage}})
		return list, forge.Explain(err, status(r), "read:issue", "asking the forge for the comments of %d in %q", number, f.config.Repository)
	}, func(c *gitea.Comment) int64 { return c.ID })
	if err != nil {
		return nil, err
	}
	all := make([]forge.Comment, 0, len(list))
	for _, c := range list {
		all = append(all, forge.Comment{ID: c.ID, Author: user(c.Poster), Body: c.Body, Created: c.Created})
	}
	slices.SortStableFunc(all, func(a, b forge.Comment) int { return a.Created.Compare(b.Created) })
	return forge.Newest(all), nil
}

// user is nobody for an account that is gone.
func user(u *gitea.User) forge.User {
	if u == nil {
		return forge.User{}
	}
	return forge.User{ID: u.ID, Login: u.UserName}
}

func repository(r *gitea.Repository) forge.Repository {
	if r == nil {
		return forge.Repository{}
	}
	return forge.Repository{ID: r.ID, FullName: r.FullName}
}

var _ forge.Forge = (*Forge)(nil)
