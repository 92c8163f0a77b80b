package github

import (
	"context"
	"net/http"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/term"
	"github.com/google/go-github/v92/github"
)

// actionsBot is the account of a job's own token (docs.github.com, "Use
// GITHUB_TOKEN for authentication in workflows").
const actionsBot = "github-actions[bot]"

// Author gives the token's account; a job's token can't ask for it, and is the
// Actions bot.
func (f *Forge) Author(ctx context.Context) (forge.User, error) {
	u, r, err := f.client.Users.Get(ctx, "")
	if status(r) == http.StatusForbidden {
		u, r, err = f.client.Users.Get(ctx, actionsBot)
	}
	if err != nil {
		return forge.User{}, forge.Explain(err, status(r), "a token that belongs to an account", "asking GitHub for our own account")
	}
	return user(u), nil
}

// SetStatus sets the status of a commit.
func (f *Forge) SetStatus(ctx context.Context, commit string, s forge.Status) error {
	told := github.RepoStatus{Context: &s.Context, State: new(string(s.State)), Description: new(s.Short())}
	if s.URL != "" {
		told.TargetURL = &s.URL
	}
	_, r, err := f.client.Repositories.CreateStatus(ctx, f.owner, f.name, commit, told)
	return forge.Explain(err, status(r), "statuses: write", "setting the status of commit %q in %q", commit, f.subject())
}

// StatusOf looks in the list of statuses, newest first, of which GitHub keeps a
// thousand for each commit and context (docs.github.com, "Commit statuses").
func (f *Forge) StatusOf(ctx context.Context, commit, statusContext string) (*forge.Status, error) {
	opts := &github.ListOptions{PerPage: perPage}
	for range maxPages {
		list, r, err := f.client.Repositories.ListStatuses(ctx, f.owner, f.name, commit, opts)
		if err != nil {
			return nil, forge.Explain(err, status(r), "statuses: read", "asking GitHub for the statuses of commit %q in %q", commit, f.subject())
		}
		for _, s := range list {
			if s.GetContext() == statusContext {
				return &forge.Status{Context: s.GetContext(), State: forge.State(s.GetState()), Description: s.GetDescription(), URL: s.GetTargetURL()}, nil
			}
		}
		if r.NextPage == 0 {
			break
		}
		opts.Page = r.NextPage
	}
	return nil, nil
}

// CreateComment adds a comment to an issue or pull request.
func (f *Forge) CreateComment(ctx context.Context, number int64, body string) (forge.Comment, error) {
	c, r, err := f.client.Issues.CreateComment(ctx, f.owner, f.name, int(number), github.IssueCommentRequest{Body: body})
	if err == nil && c.GetID() == 0 {
		err = errNoAnswer
	}
	if err != nil {
		return forge.Comment{}, forge.Explain(err, status(r), "issues: write", "commenting on %d in %q", number, f.subject())
	}
	return forge.Comment{ID: c.GetID(), Author: user(c.GetUser()), Body: c.GetBody(), Created: c.GetCreatedAt().Time}, nil
}

// EditComment replaces the text of a comment.
func (f *Forge) EditComment(ctx context.Context, id int64, body string) error {
	_, r, err := f.client.Issues.UpdateComment(ctx, f.owner, f.name, id, github.IssueCommentRequest{Body: body})
	return forge.Explain(err, status(r), "issues: write", "editing comment %d in %q", id, f.subject())
}

// OpenIssues gives the open issues. GitHub's list has the pull requests among
// them, which are left out; github.com gives a cursor, a GitHub Enterprise Server
// counts pages.
func (f *Forge) OpenIssues(ctx context.Context) ([]forge.Issue, error) {
	var all []forge.Issue
	opts := &github.IssueListByRepoOptions{State: "open", ListOptions: github.ListOptions{PerPage: perPage}}
	for range maxPages {
		list, r, err := f.client.Issues.ListByRepo(ctx, f.owner, f.name, opts)
		if err != nil {
			return nil, forge.Explain(err, status(r), "issues: read", "asking GitHub for the open issues of %q", f.subject())
		}
		for _, i := range list {
			if !i.IsPullRequest() {
				all = append(all, issue(i))
			}
		}
		if r.After == "" && r.NextPage == 0 {
			return all, nil
		}
		opts.After, opts.ListOptions.Page = r.After, r.NextPage
	}
	return nil, term.Errorf(term.StagePost, "", "asking GitHub for the open issues of %q: they have more than %d pages", f.subject(), maxPages).
		WithHint("close some of them")
}

// CreateIssue opens an issue.
func (f *Forge) CreateIssue(ctx context.Context, title, body string) (forge.Issue, error) {
	i, r, err := f.client.Issues.Create(ctx, f.owner, f.name, github.CreateIssueRequest{Title: title, Body: &body})
	if err == nil && i.GetNumber() == 0 {
		err = errNoAnswer
	}
	if err != nil {
		return forge.Issue{}, forge.Explain(err, status(r), "issues: write", "opening an issue in %q", f.subject())
	}
	return issue(i), nil
}

// EditIssue replaces the text of an issue, and may close it.
func (f *Forge) EditIssue(ctx context.Context, number int64, body string, closed bool) error {
	edit := github.UpdateIssueRequest{Body: &body}
	if closed {
		edit.State = new("closed")
	}
	_, r, err := f.client.Issues.Update(ctx, f.owner, f.name, int(number), edit)
	return forge.Explain(err, status(r), "issues: write", "editing issue %d of %q", number, f.subject())
}

// OpenPullRequest asks for the open pull requests between two branches.
func (f *Forge) OpenPullRequest(ctx context.Context, head, base string) (*forge.PullRequest, error) {
	list, r, err := f.client.PullRequests.List(ctx, f.owner, f.name, &github.PullRequestListOptions{State: "open", Head: f.owner + ":" + head, Base: base})
	if err != nil {
		return nil, forge.Explain(err, status(r), "pull-requests: read", "asking GitHub for the pull requests of %q", f.subject())
	}
	for _, p := range list { // an unknown filter is ignored, not refused
		if pr := pullRequest(p); pr.Head.ID != 0 && pr.Head.ID == pr.Base.ID && pr.HeadRef == head && pr.BaseRef == base {
			return &pr, nil
		}
	}
	return nil, nil
}

// CreatePullRequest opens a pull request.
func (f *Forge) CreatePullRequest(ctx context.Context, n forge.NewPullRequest) (forge.PullRequest, error) {
	p, r, err := f.client.PullRequests.Create(ctx, f.owner, f.name, github.CreatePullRequest{Title: &n.Title, Body: &n.Body, Head: n.Head, Base: n.Base})
	if err == nil && p.GetNumber() == 0 {
		err = errNoAnswer
	}
	if err != nil {
		return forge.PullRequest{}, forge.Explain(err, status(r), "pull-requests: write, and the setting that lets Actions open pull requests",
			"opening a pull request from %q to %q in %q", n.Head, n.Base, f.subject())
	}
	return pullRequest(p), nil
}

// EditPullRequest replaces title and text of a pull request.
func (f *Forge) EditPullRequest(ctx context.Context, number int64, title, body string) error {
	_, r, err := f.client.PullRequests.Edit(ctx, f.owner, f.name, int(number), &github.PullRequest{Title: &title, Body: &body})
	return forge.Explain(err, status(r), "pull-requests: write", "editing pull request %d of %q", number, f.subject())
}

func issue(i *github.Issue) forge.Issue {
	return forge.Issue{Number: int64(i.GetNumber()), Title: i.GetTitle(), Body: i.GetBody(), Author: user(i.GetUser()), Created: i.GetCreatedAt().Time, URL: i.GetHTMLURL()}
}

var _ forge.Poster = (*Forge)(nil)
