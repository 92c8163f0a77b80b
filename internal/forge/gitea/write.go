package gitea

import (
	"context"

	"code.gitea.io/sdk/gitea"
	"github.com/bot-bottle/action/internal/forge"
)

// Rights of a job's token; Gitea knows no narrower one for a status
// (docs/forges in Gitea's own permissions table).
const (
	writeCode   = "contents: write"
	writeIssues = "issues: write"
	writePulls  = "pull-requests: write"
)

// Author gives the account of the job's token, which on Gitea has one.
func (f *Forge) Author(ctx context.Context) (forge.User, error) { return f.Self(ctx) }

// SetStatus sets the status of a commit.
func (f *Forge) SetStatus(ctx context.Context, commit string, s forge.Status) error {
	client, err := f.client(ctx, f.config.Job)
	if err != nil {
		return err
	}
	_, r, err := client.CreateStatus(f.owner, f.name, commit, gitea.CreateStatusOption{
		Context: s.Context, State: gitea.StatusState(s.State), Description: s.Short(), TargetURL: s.URL,
	})
	return forge.Explain(err, status(r), writeCode, "setting the status of commit %q in %q", commit, f.config.Repository)
}

// StatusOf gives the status of the context with the highest id, the newest.
func (f *Forge) StatusOf(ctx context.Context, commit, statusContext string) (*forge.Status, error) {
	client, err := f.client(ctx, f.config.Job)
	if err != nil {
		return nil, err
	}
	list, err := pages(func(page int) ([]*gitea.Status, error) {
		list, r, err := client.ListStatuses(f.owner, f.name, commit, gitea.ListStatusesOption{ListOptions: gitea.ListOptions{Page: page, PageSize: perPage}})
		return list, forge.Explain(err, status(r), "contents: read", "asking the forge for the statuses of commit %q in %q", commit, f.config.Repository)
	}, func(s *gitea.Status) int64 { return s.ID })
	var newest *gitea.Status
	for _, s := range list {
		if s.Context == statusContext && (newest == nil || s.ID > newest.ID) {
			newest = s
		}
	}
	if newest == nil {
		return nil, err
	}
	return &forge.Status{Context: newest.Context, State: forge.State(newest.State), Description: newest.Description, URL: newest.TargetURL}, err
}

// CreateComment adds a comment to an issue or pull request.
func (f *Forge) CreateComment(ctx context.Context, number int64, body string) (forge.Comment, error) {
	client, err := f.client(ctx, f.config.Job)
	if err != nil {
		return forge.Comment{}, err
	}
	c, r, err := client.CreateIssueComment(f.owner, f.name, number, gitea.CreateIssueCommentOption{Body: body})
	if err == nil && (c == nil || c.ID == 0) {
		err = errNoAnswer
	}
	if err != nil {
		return forge.Comment{}, forge.Explain(err, status(r), writeIssues, "commenting on %d in %q", number, f.config.Repository)
	}
	return forge.Comment{ID: c.ID, Author: user(c.Poster), Body: c.Body, Created: c.Created}, nil
}

// EditComment replaces the text of a comment.
func (f *Forge) EditComment(ctx context.Context, id int64, body string) error {
	client, err := f.client(ctx, f.config.Job)
	if err != nil {
		return err
	}
	_, r, err := client.EditIssueComment(f.owner, f.name, id, gitea.EditIssueCommentOption{Body: body})
	return forge.Explain(err, status(r), writeIssues, "editing comment %d in %q", id, f.config.Repository)
}

// OpenIssues gives the open issues.
func (f *Forge) OpenIssues(ctx context.Context) ([]forge.Issue, error) {
	client, err := f.client(ctx, f.config.Job)
	if err != nil {
		return nil, err
	}
	list, err := pages(func(page int) ([]*gitea.Issue, error) {
		list, r, err := client.ListRepoIssues(f.owner, f.name, gitea.ListIssueOption{
			ListOptions: gitea.ListOptions{Page: page, PageSize: perPage}, State: gitea.StateOpen, Type: gitea.IssueTypeIssue,
		})
		return list, forge.Explain(err, status(r), "issues: read", "asking the forge for the open issues of %q", f.config.Repository)
	}, func(i *gitea.Issue) int64 { return i.ID })
	all := make([]forge.Issue, 0, len(list))
	for _, i := range list {
		if i.PullRequest == nil {
			all = append(all, issue(i))
		}
	}
	return all, err
}

// CreateIssue opens an issue.
func (f *Forge) CreateIssue(ctx context.Context, title, body string) (forge.Issue, error) {
	client, err := f.client(ctx, f.config.Job)
	if err != nil {
		return forge.Issue{}, err
	}
	i, r, err := client.CreateIssue(f.owner, f.name, gitea.CreateIssueOption{Title: title, Body: body})
	if err == nil && (i == nil || i.Index == 0) {
		err = errNoAnswer
	}
	if err != nil {
		return forge.Issue{}, forge.Explain(err, status(r), writeIssues, "opening an issue in %q", f.config.Repository)
	}
	return issue(i), nil
}

// EditIssue replaces the text of an issue, and may close it.
func (f *Forge) EditIssue(ctx context.Context, number int64, body string, closed bool) error {
	client, err := f.client(ctx, f.config.Job)
	if err != nil {
		return err
	}
	edit := gitea.EditIssueOption{Body: &body}
	if closed {
		state := gitea.StateClosed
		edit.State = &state
	}
	_, r, err := client.EditIssue(f.owner, f.name, number, edit)
	return forge.Explain(err, status(r), writeIssues, "editing issue %d of %q", number, f.config.Repository)
}

// OpenPullRequest looks through the open pull requests: Gitea's question for one
// by its branches gives closed ones, too.
func (f *Forge) OpenPullRequest(ctx context.Context, head, base string) (*forge.PullRequest, error) {
	client, err := f.client(ctx, f.config.Job)
	if err != nil {
		return nil, err
	}
	list, err := pages(func(page int) ([]*gitea.PullRequest, error) {
		list, r, err := client.ListRepoPullRequests(f.owner, f.name, gitea.ListPullRequestsOptions{
			ListOptions: gitea.ListOptions{Page: page, PageSize: perPage}, State: gitea.StateOpen,
		})
		return list, forge.Explain(err, status(r), "pull-requests: read", "asking the forge for the pull requests of %q", f.config.Repository)
	}, func(p *gitea.PullRequest) int64 { return p.ID })
	for _, p := range list {
		if pr := pullRequest(p); pr.Head.ID != 0 && pr.Head.ID == pr.Base.ID && pr.HeadRef == head && pr.BaseRef == base {
			return &pr, nil
		}
	}
	return nil, err
}

// CreatePullRequest opens a pull request.
func (f *Forge) CreatePullRequest(ctx context.Context, n forge.NewPullRequest) (forge.PullRequest, error) {
	client, err := f.client(ctx, f.config.Job)
	if err != nil {
		return forge.PullRequest{}, err
	}
	p, r, err := client.CreatePullRequest(f.owner, f.name, gitea.CreatePullRequestOption{Head: n.Head, Base: n.Base, Title: n.Title, Body: n.Body})
	if err == nil && (p == nil || p.Index == 0) {
		err = errNoAnswer
	}
	if err != nil {
		return forge.PullRequest{}, forge.Explain(err, status(r), writePulls, "opening a pull request from %q to %q in %q", n.Head, n.Base, f.config.Repository)
	}
	return pullRequest(p), nil
}

// EditPullRequest replaces title and text of a pull request.
func (f *Forge) EditPullRequest(ctx context.Context, number int64, title, body string) error {
	client, err := f.client(ctx, f.config.Job)
	if err != nil {
		return err
	}
	_, r, err := client.EditPullRequest(f.owner, f.name, number, gitea.EditPullRequestOption{Title: title, Body: &body})
	return forge.Explain(err, status(r), writePulls, "editing pull request %d of %q", number, f.config.Repository)
}

func issue(i *gitea.Issue) forge.Issue {
	return forge.Issue{Number: i.Index, Title: i.Title, Body: i.Body, Author: user(i.Poster), Created: i.Created, URL: i.HTMLURL}
}

var _ forge.Poster = (*Forge)(nil)
