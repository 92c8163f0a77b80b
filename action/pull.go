package action

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/post"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
)

// baseBranch is where the work is to go: of a pull request of this repository the
// branch that it comes from, of a fork's the one that it goes into, else the one that
// the job runs on.
func baseBranch(env Environment, e Event, pr *forge.PullRequest) string {
	if pr != nil && pr.Head.ID == pr.Base.ID {
		return pr.HeadRef
	}
	if pr != nil {
		return pr.BaseRef
	}
	if branch, is := strings.CutPrefix(env.Ref, "refs/heads/"); is {
		return branch
	}
	return e.Repository.DefaultBranch
}

// title is that of the issue or pull request which the event is about.
func (e Event) title() string {
	switch {
	case e.PullRequest != nil:
		return e.PullRequest.Title
	case e.Issue != nil:
		return e.Issue.Title
	}
	return ""
}

// propose opens the pull request that was asked for, of what a job that passed has
// pushed. Where it can't be opened, a step that passed has not.
func (w World) propose(ctx context.Context, in Inputs, env Environment, a assignment, d done) done {
	if !in.PullRequest || d.Code != runner.ExitOK {
		return d
	}
	push := pushed(d.Report)
	if c := d.Report.Changes; push.Branch() == "" && (c == nil || len(c.Files) == 0) {
		return d // there is nothing to propose
	}
	pull, err := w.pullRequest(ctx, in, env, a, push.Branch(), d.Result)
	if err != nil {
		d.Result = failing(d.Result, err)
		return d
	}
	d.pull = &pull
	return d
}

func (w World) pullRequest(ctx context.Context, in Inputs, env Environment, a assignment, branch string, r runner.Result) (p forge.PullRequest, err error) {
	refused := func(hint, why string, args ...any) error {
		return term.Errorf(term.StagePost, "pull-request", "opening a pull request: "+why, args...).WithHint("%s", hint)
	}
	switch {
	case branch == "":
		return p, refused("the bottle has to declare this repository: `git-gate: {repos: {self: {key: {provider: gitea}}}}`; else take the output `patch`",
			"the agent changed files and pushed none; the changes are in %q", filepath.Join(r.Report.Dir, runner.PatchName))
	case a.base == "":
		return p, refused("start the job by an event of a branch, an issue or a pull request", "the event doesn't say into which branch")
	case in.Token.IsEmpty():
		return p, refused("leave the input `token` to its default", "there is no token")
	}
	poster, err := w.Poster(env, in)
	if err != nil {
		return p, err
	}
	return keepPull(ctx, poster, forge.NewPullRequest{
		Title: pullTitle(a, r), Body: w.pullBody(ctx, in, env, a, r), Head: branch, Base: a.base,
	})
}

// keepPull brings the open pull request between the two branches up to date, or opens
// one.
func keepPull(ctx context.Context, poster forge.Poster, n forge.NewPullRequest) (forge.PullRequest, error) {
	open, err := poster.OpenPullRequest(ctx, n.Head, n.Base)
	switch {
	case err != nil:
	case open == nil:
		var made forge.PullRequest
		if made, err = poster.CreatePullRequest(ctx, n); err == nil {
			return made, nil
		}
	default:
		if err = poster.EditPullRequest(ctx, open.Number, n.Title, n.Body); err == nil {
			return *open, nil
		}
	}
	return forge.PullRequest{}, term.Errorf(term.StagePost, n.Head, "opening a pull request of %q: %w", n.Head, err).
		WithHint("the job's token needs `permissions: { pull-requests: write }` and on Gitea `contents: write` too, and GitHub a repository's or organisation's leave for Actions to open pull requests; the branch is pushed")
}

// maxPullTitle is what forges take of a title without complaint.
const maxPullTitle = 200

// pullTitle is that of what asked, in words that are there already.
func pullTitle(a assignment, r runner.Result) string {
	words := term.Shorten(strings.TrimSpace(neutralize.Text(a.title)), maxPullTitle)
	if words == "" {
		words = "work of run " + r.Report.Run.ID
	}
	return "bot-bottle: " + words
}

func (w World) pullBody(ctx context.Context, in Inputs, env Environment, a assignment, r runner.Result) string {
	t := &telling{world: w, in: in, env: env}
	head := post.Marker + "\n"
	if a.where.Thread != 0 {
		head += fmt.Sprintf("For #%d.", a.where.Thread)
	}
	return fitting(head+t.log()+"\n\n"+t.public(ctx, done{Result: r}), head+t.log()+" The report is too long for this place; it is on the host.\n")
}

// fitting is text, or instead of one that no forge takes.
func fitting(text, instead string) string {
	if len([]rune(text)) > forge.MaxBody-1000 {
		return instead
	}
	return text
}

// answer is the end of what the agent printed, as a quotation that means nothing but
// its text; empty: it printed nothing.
func answer(ctx context.Context, d done, censor censor) string {
	text := report.Tail(d.Report.Dir, runner.AgentLogName)
	if d.Report.Agent == nil || strings.TrimSpace(text) == "" {
		return ""
	}
	return "\n## The agent's last words\n\n" + censor.pass(ctx, report.Quote(text))
}
