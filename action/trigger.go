package action

import (
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/term"
)

// Trigger is what has to be asked of the forge before an event may start a job,
// and what was there when the event happened. It is read from the event alone.
type Trigger struct {
	// ByPolicy says that nobody in particular caused the event: a schedule, or
	// what is on the default branch already. Then the bottle's `for` decides.
	ByPolicy bool
	People   []Person // each must be able to write
	// PullRequest is the number of the one that it is about; 0: none.
	PullRequest int64
	HeadSHA     string    // of it, at the time of the event; empty: the event doesn't say
	At          time.Time // of the comment or review; zero: the event is none
	Words       *EventComment
	// Issue is the number of the issue or pull request with the thread; 0: none.
	Issue int64
}

// Person is somebody who had a part in the event.
type Person struct {
	forge.User        // ID 0: the runner gave only the login
	Part       string // "wrote the comment"
}

// started says what each event that starts jobs is about. What isn't here starts
// none: nobody has thought about who can cause it.
var started = map[string]func(*Trigger, Event) error{
	"issue_comment":               byComment,
	"pull_request_comment":        byComment, // Gitea's word for one on a pull request
	"pull_request_review_comment": byComment,
	"pull_request_review":         byReview,
	"issues":                      byIssue,
	"pull_request":                byPullRequest,
	"workflow_dispatch":           bySender,
	"repository_dispatch":         bySender,
	"workflow_run":                byWorkflowRun,
	"schedule":                    bySchedule,
	"push":                        byPush,
}

// refused is an event that starts no job.
func refused(format string, args ...any) *term.Error {
	return term.Errorf(term.StageUsage, "", "judging who started this job: "+format, args...)
}

// TriggerOf reads what e is about; env completes what the payload lacks.
func TriggerOf(e Event, env Environment) (Trigger, error) {
	var t Trigger
	if err := checkRepository(e, env); err != nil {
		return t, err
	}
	read, ok := started[e.Name]
	if e.Name == "pull_request_target" {
		return t, refused("the event pull_request_target runs with the repository's secrets on a stranger's request").
			WithHint("use pull_request, or a comment of somebody who may write")
	}
	if !ok {
		return t, refused("the event %q is not one that may start an agent", e.Name).
			WithHint("use one of issue_comment, pull_request_review, issues, pull_request, workflow_dispatch, workflow_run, schedule, push")
	}
	if err := read(&t, e); err != nil {
		return t, err
	}
	return t, t.addRerun(env)
}

// checkRepository compares the payload's repository with the job's. Scheduled
// events of Gitea name none.
func checkRepository(e Event, env Environment) error {
	if name := e.Repository.FullName; name != "" && !strings.EqualFold(name, env.Repository) {
		return refused("the event is of repository %q, the job of %q", name, env.Repository)
	}
	return nil
}

// addRerun adds whoever started a later attempt. The forge that doesn't say who
// that was is not guessed for.
func (t *Trigger) addRerun(env Environment) error {
	if t.ByPolicy {
		return nil
	}
	if env.Attempt > 1 && env.TriggeringActor == "" {
		return refused("this is attempt %d, and the forge doesn't say who started it", env.Attempt).
			WithHint("start the job anew instead of running it again: comment, or dispatch it")
	}
	t.add(forge.User{Login: env.TriggeringActor}, "started this attempt")
	return nil
}

// add adds u, once for each login; one that is nobody is left out.
func (t *Trigger) add(u forge.User, part string) {
	same := func(p Person) bool { return p.Login == u.Login && (u.ID == 0 || u.ID == p.ID) }
	if u.Login != "" && !slices.ContainsFunc(t.People, same) {
		t.People = append(t.People, Person{u, part})
	}
}

// bySender is what all events that somebody caused have in common.
func bySender(t *Trigger, e Event) error {
	if e.Sender.Login == "" {
		return refused("the event %q names no sender", e.Name)
	}
	t.add(e.Sender, "caused the event")
	return nil
}

func byComment(t *Trigger, e Event) error {
	if e.Comment == nil || e.Issue == nil && e.PullRequest == nil {
		return refused("the event %q holds no comment on an issue or pull request", e.Name)
	}
	if e.Action == "deleted" {
		return refused("a comment was deleted").WithHint("let the workflow run for `types: [created]` only")
	}
	t.about(e)
	return t.words(e, e.Comment, "wrote the comment")
}

func byReview(t *Trigger, e Event) error {
	if e.Review == nil || e.PullRequest == nil {
		return refused("the event %q holds no review of a pull request", e.Name)
	}
	t.about(e)
	return t.words(e, e.Review, "wrote the review")
}

// words makes c what the job was asked with.
func (t *Trigger) words(e Event, c *EventComment, part string) error {
	t.Words, t.At = c, c.Changed
	t.add(c.Author, part)
	return bySender(t, e)
}

// about notes the issue or pull request.
func (t *Trigger) about(e Event) {
	if e.Issue != nil {
		t.Issue = e.Issue.Number
		if e.Issue.Pull {
			t.PullRequest = e.Issue.Number
		}
	}
	if e.PullRequest != nil {
		t.Issue, t.PullRequest, t.HeadSHA = e.PullRequest.Number, e.PullRequest.Number, e.PullRequest.HeadSHA
	}
}

func byIssue(t *Trigger, e Event) error {
	if e.Issue == nil {
		return refused("the event %q holds no issue", e.Name)
	}
	t.about(e)
	return bySender(t, e)
}

func byPullRequest(t *Trigger, e Event) error {
	if e.PullRequest == nil || e.PullRequest.HeadSHA == "" {
		return refused("the event %q holds no pull request", e.Name)
	}
	t.about(e)
	return bySender(t, e)
}

func bySchedule(t *Trigger, _ Event) error {
	t.ByPolicy = true
	return nil
}

func byPush(t *Trigger, e Event) error {
	if b := e.Repository.DefaultBranch; b != "" && e.Ref == "refs/heads/"+b {
		t.ByPolicy = true
		return nil
	}
	return bySender(t, e)
}

// byWorkflowRun is about the run that has ended: what that ran on may be a
// stranger's, although this job runs on the default branch.
func byWorkflowRun(t *Trigger, e Event) error {
	w := e.WorkflowRun
	if w == nil || w.HeadSHA == "" {
		return refused("the event %q holds no run", e.Name)
	}
	if w.Head.ID == 0 || w.Head.ID != e.Repository.ID {
		return refused("the run was of a fork").WithHint("forks start no jobs: a comment of somebody who may write does")
	}
	if len(w.PullRequests) > 1 {
		return refused("the run belongs to %d pull requests", len(w.PullRequests))
	}
	if w.Event == "schedule" || w.Event == "push" && w.HeadBranch == e.Repository.DefaultBranch {
		t.ByPolicy = true
		return nil
	}
	if len(w.PullRequests) == 1 {
		t.Issue, t.PullRequest, t.HeadSHA = w.PullRequests[0], w.PullRequests[0], w.HeadSHA
	}
	for _, u := range w.Actors {
		t.add(u, "started the run before")
	}
	return bySender(t, e)
}
