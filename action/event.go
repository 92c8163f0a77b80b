package action

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/term"
)

// maxEventBytes bounds the event file: GitHub sends no payload above 25 MB
// (docs.github.com, "Webhook events and payloads").
const maxEventBytes = 25 << 20

// Event is what started the job, as far as this package looks at it. Every text
// in it may be anybody's.
type Event struct {
	Name        string // GITHUB_EVENT_NAME
	Action      string // "created", "labeled" and so on
	Ref         string // of a push
	Repository  EventRepository
	Sender      forge.User
	Issue       *EventIssue
	PullRequest *EventPullRequest
	Comment     *EventComment
	Review      *EventComment
	WorkflowRun *EventWorkflowRun
	Prompt      string // input "prompt" of a dispatch
}

// EventRepository is the repository that the event is of.
type EventRepository struct {
	forge.Repository
	DefaultBranch string
}

// EventIssue is an issue, or a pull request in the form of one.
type EventIssue struct {
	Number      int64
	Title, Body string
	Author      forge.User
	Pull        bool
}

// EventPullRequest is a pull request as it was when the event happened.
type EventPullRequest struct {
	Number      int64
	Title, Body string
	Author      forge.User
	HeadSHA     string
}

// EventComment is a comment or a review. Changed is when it got its text.
type EventComment struct {
	ID      int64
	Body    string
	Author  forge.User
	Changed time.Time
}

// EventWorkflowRun is the run of another workflow that has ended.
type EventWorkflowRun struct {
	Event        string // what had started it
	Head         forge.Repository
	HeadBranch   string
	HeadSHA      string
	Actors       []forge.User // who started it, and who ran it again
	PullRequests []int64
}

// The payloads, as GitHub (docs.github.com, "Webhook events and payloads") and
// Gitea (modules/structs/hook.go) send them, where they agree and where not.
type (
	rawUser struct {
		ID    int64  `json:"id"`
		Login string `json:"login"`
	}
	rawRepository struct {
		ID            int64  `json:"id"`
		FullName      string `json:"full_name"`
		DefaultBranch string `json:"default_branch"`
	}
	rawIssue struct {
		Number      int64     `json:"number"`
		Title       string    `json:"title"`
		Body        string    `json:"body"`
		User        rawUser   `json:"user"`
		PullRequest *struct{} `json:"pull_request"`
	}
	rawPullRequest struct {
		Number int64   `json:"number"`
		Title  string  `json:"title"`
		Body   string  `json:"body"`
		User   rawUser `json:"user"`
		Head   struct {
			SHA string `json:"sha"`
		} `json:"head"`
	}
	rawComment struct {
		ID        int64     `json:"id"`
		Body      string    `json:"body"`
		Content   string    `json:"content"` // of a review, on Gitea
		User      rawUser   `json:"user"`
		Created   time.Time `json:"created_at"`
		Updated   time.Time `json:"updated_at"`
		Submitted time.Time `json:"submitted_at"`
	}
	rawWorkflowRun struct {
		Event           string        `json:"event"`
		HeadSHA         string        `json:"head_sha"`
		HeadBranch      string        `json:"head_branch"`
		HeadRepository  rawRepository `json:"head_repository"`
		Actor           rawUser       `json:"actor"`
		TriggeringActor rawUser       `json:"triggering_actor"`
		PullRequests    []struct {
			Number int64 `json:"number"`
		} `json:"pull_requests"`
	}
	rawEvent struct {
		Action      string          `json:"action"`
		Ref         string          `json:"ref"`
		Repository  rawRepository   `json:"repository"`
		Sender      rawUser         `json:"sender"`
		Issue       *rawIssue       `json:"issue"`
		IsPull      bool            `json:"is_pull"`
		PullRequest *rawPullRequest `json:"pull_request"`
		Comment     *rawComment     `json:"comment"`
		Review      *rawComment     `json:"review"`
		WorkflowRun *rawWorkflowRun `json:"workflow_run"`
		Inputs      map[string]any  `json:"inputs"`
	}
)

// LoadEvent reads the event file at path (GITHUB_EVENT_PATH) of the event called
// name (GITHUB_EVENT_NAME).
func LoadEvent(name, path string) (Event, error) {
	e, err := loadEvent(name, path)
	if err != nil {
		return e, term.Errorf(term.StageUsage, path, "reading the event %q: %w", name, err).
			WithHint("the runner writes this file and names it in GITHUB_EVENT_PATH; a step must not change it")
	}
	return e, nil
}

func loadEvent(name, path string) (Event, error) {
	if name == "" || path == "" {
		return Event{}, errors.New("the runner named none")
	}
	f, err := os.Open(path)
	if err != nil {
		return Event{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxEventBytes+1))
	if err != nil {
		return Event{}, err
	}
	if len(b) > maxEventBytes {
		return Event{}, fmt.Errorf("it has more than %d bytes", maxEventBytes)
	}
	if len(strings.TrimSpace(string(b))) == 0 {
		return Event{}, errors.New("it is empty")
	}
	return parseEvent(name, b)
}

// parseEvent reads the payload b of the event called name. Keys that aren't
// looked at may be there: each forge adds some with each version.
func parseEvent(name string, b []byte) (Event, error) {
	var raw rawEvent
	if err := json.Unmarshal(b, &raw); err != nil {
		return Event{}, err
	}
	e := Event{
		Name: name, Action: raw.Action, Ref: raw.Ref,
		Repository: EventRepository{raw.Repository.repository(), raw.Repository.DefaultBranch},
		Sender:     raw.Sender.user(),
		Comment:    raw.Comment.comment(), Review: raw.Review.comment(),
		WorkflowRun: raw.WorkflowRun.run(),
	}
	e.Prompt, _ = raw.Inputs["prompt"].(string)
	if i := raw.Issue; i != nil {
		e.Issue = &EventIssue{i.Number, i.Title, i.Body, i.User.user(), i.PullRequest != nil || raw.IsPull}
	}
	if p := raw.PullRequest; p != nil {
		e.PullRequest = &EventPullRequest{p.Number, p.Title, p.Body, p.User.user(), p.Head.SHA}
	}
	return e, nil
}

func (u rawUser) user() forge.User { return forge.User{ID: u.ID, Login: u.Login} }

func (r rawRepository) repository() forge.Repository {
	return forge.Repository{ID: r.ID, FullName: r.FullName}
}

func (c *rawComment) comment() *EventComment {
	if c == nil {
		return nil
	}
	changed := c.Created
	for _, t := range []time.Time{c.Updated, c.Submitted} {
		if t.After(changed) {
			changed = t
		}
	}
	body := c.Body
	if body == "" {
		body = c.Content
	}
	return &EventComment{c.ID, body, c.User.user(), changed}
}

func (r *rawWorkflowRun) run() *EventWorkflowRun {
	if r == nil {
		return nil
	}
	run := &EventWorkflowRun{Event: r.Event, Head: r.HeadRepository.repository(), HeadBranch: r.HeadBranch, HeadSHA: r.HeadSHA}
	for _, u := range []rawUser{r.Actor, r.TriggeringActor} {
		if u.Login != "" {
			run.Actors = append(run.Actors, u.user())
		}
	}
	for _, p := range r.PullRequests {
		run.PullRequests = append(run.PullRequests, p.Number)
	}
	return run
}
