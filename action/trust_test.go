package action

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/post"
)

const (
	headSHA = "5d2c1a7e0f6b4c3d8e9f0a1b2c3d4e5f60718293"
	baseSHA = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
)

// asked is the time of the comments and reviews in testdata.
var asked0900 = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// forgeOf is a forge whose answers a test can change. The HTTP side of the real
// ones is tested where they are.
type forgeOf struct {
	levels   map[string]forge.Level
	ids      map[string]int64
	self     error
	pr       forge.PullRequest
	pushed   time.Time
	comments []forge.Comment
	err      error // of Access
}

func newForge() *forgeOf {
	repository := forge.Repository{ID: 4217, FullName: "acme/widgets"}
	return &forgeOf{
		levels: map[string]forge.Level{"ada": forge.LevelWrite, "bob": forge.LevelAdmin, "eve": forge.LevelRead},
		ids:    map[string]int64{"ada": 11, "bob": 12, "eve": 14},
		self:   forge.ErrRight,
		pr:     forge.PullRequest{Number: 7, Head: repository, HeadRef: "corners", HeadSHA: headSHA, Base: repository, BaseRef: "main", BaseSHA: baseSHA},
		pushed: asked0900.Add(-time.Hour),
	}
}

func (f *forgeOf) Self(context.Context) (forge.User, error) {
	return forge.User{ID: 11, Login: "ada"}, f.self
}

func (f *forgeOf) Access(_ context.Context, login string) (forge.Access, error) {
	if f.err != nil {
		return forge.Access{}, f.err
	}
	level, ok := f.levels[login]
	if !ok {
		return forge.Access{}, forge.Explain(errors.New("404"), 404, "x", "asking what %q may do", login)
	}
	return forge.Access{User: forge.User{ID: f.ids[login], Login: login}, Level: level}, nil
}

func (f *forgeOf) PullRequest(context.Context, int64) (forge.PullRequest, error) { return f.pr, nil }

func (f *forgeOf) PushedAt(context.Context, forge.PullRequest) (time.Time, error) {
	return f.pushed, nil
}

func (f *forgeOf) Comments(context.Context, int64) ([]forge.Comment, error) { return f.comments, nil }

func load(t testing.TB, file string) Event {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file+".json"))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(file)
	for _, suffix := range []string{"_pull", "_deleted", "_labeled", "_fork", "_push", "_default", "_branch"} {
		name = strings.TrimSuffix(name, suffix)
	}
	e, err := parseEvent(name, b)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// judged takes an event the whole way.
func judged(e Event, env Environment, f forge.Forge) error {
	t, err := TriggerOf(e, env)
	if err != nil {
		return err
	}
	facts, err := Gather(context.Background(), f, t)
	if err != nil {
		return err
	}
	return Judge(t, facts)
}

func job() Environment {
	return Environment{Repository: "acme/widgets", Attempt: 1, Ref: "refs/heads/main", SHA: baseSHA}
}

func TestEventsOfWritersStartAJob(t *testing.T) {
	for _, file := range []string{
		"github/issue_comment", "github/issue_comment_pull", "github/pull_request_review", "github/issues_labeled",
		"github/pull_request_labeled", "github/workflow_dispatch", "github/workflow_run", "github/workflow_run_push",
		"github/schedule", "github/push_default", "github/push_branch",
		"gitea/issue_comment", "gitea/issue_comment_pull", "gitea/pull_request_review", "gitea/schedule", "gitea/workflow_dispatch", "gitea/push_default",
	} {
		if err := judged(load(t, file), job(), newForge()); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestWhatStartsNoJob(t *testing.T) {
	forgets := func(change func(*forgeOf)) func(*Event, *Environment, *forgeOf) {
		return func(_ *Event, _ *Environment, f *forgeOf) { change(f) }
	}
	for name, c := range map[string]struct {
		file   string
		change func(*Event, *Environment, *forgeOf)
		want   string
	}{
		"reader comments":          {"github/issue_comment", forgets(func(f *forgeOf) { f.levels["ada"] = forge.LevelRead }), `"ada", who wrote the comment, may not write`},
		"word that nobody knows":   {"github/issue_comment", forgets(func(f *forgeOf) { f.levels["ada"] = "triage" }), "may not write"},
		"login changed hands":      {"github/issue_comment", forgets(func(f *forgeOf) { f.ids["ada"] = 99 }), `is account 11, and the forge knows that login as account 99`},
		"unknown to the forge":     {"github/issue_comment", forgets(func(f *forgeOf) { delete(f.levels, "ada") }), "the forge knows no such thing"},
		"forge can't be asked":     {"gitea/issue_comment", forgets(func(f *forgeOf) { f.err = forge.Explain(errors.New("no"), 403, "administrator", "asking") }), "lacks a right"},
		"fork by comment":          {"github/issue_comment_pull", forgets(func(f *forgeOf) { f.pr.Head = forge.Repository{ID: 9901, FullName: "acme/widgets"} }), "comes from a fork"},
		"fork that is gone":        {"github/issue_comment_pull", forgets(func(f *forgeOf) { f.pr.Head = forge.Repository{} }), "comes from a fork"},
		"fork of a writer":         {"github/pull_request_fork", forgets(func(f *forgeOf) { f.levels["mallory"], f.ids["mallory"], f.pr.Head.ID = forge.LevelWrite, 13, 9901 }), "comes from a fork"},
		"fork's run":               {"github/workflow_run_fork", nil, "of a fork"},
		"pushed after the comment": {"github/issue_comment_pull", forgets(func(f *forgeOf) { f.pushed = asked0900.Add(time.Second) }), "was pushed to at 2026-11-23T09:00:01Z"},
		"pushed in that second":    {"github/issue_comment_pull", forgets(func(f *forgeOf) { f.pushed = asked0900 }), "was pushed to at"},
		"push of unknown time":     {"github/issue_comment_pull", forgets(func(f *forgeOf) { f.pushed = time.Time{} }), "is not known"},
		"pushed after the review":  {"github/pull_request_review", forgets(func(f *forgeOf) { f.pr.HeadSHA = baseSHA }), "was pushed to since"},
		"pushed after, on Gitea":   {"gitea/issue_comment_pull", forgets(func(f *forgeOf) { f.pr.HeadSHA = baseSHA }), "was pushed to since"},
		"pushed after the run":     {"github/workflow_run", forgets(func(f *forgeOf) { f.pr.HeadSHA = baseSHA }), "was pushed to since"},
		"reader ran it before":     {"github/workflow_run", forgets(func(f *forgeOf) { f.levels["bob"] = forge.LevelRead }), `"bob", who started the run before`},
		"reader ran it again":      {"github/issue_comment", func(_ *Event, e *Environment, _ *forgeOf) { e.Attempt, e.TriggeringActor = 2, "eve" }, `"eve", who started this attempt`},
		"nobody says who did":      {"gitea/issue_comment", func(_ *Event, e *Environment, _ *forgeOf) { e.Attempt = 2 }, "doesn't say who started it"},
		"other repository":         {"github/issue_comment", func(_ *Event, e *Environment, _ *forgeOf) { e.Repository = "acme/gadgets" }, `of repository "acme/widgets"`},
		"deleted comment":          {"github/issue_comment_deleted", nil, "was deleted"},
		"reader pushes a branch":   {"github/push_branch", forgets(func(f *forgeOf) { f.levels["ada"] = forge.LevelNone }), "may not write"},
		"edited by another":        {"github/issue_comment", func(e *Event, _ *Environment, _ *forgeOf) { e.Comment.Author = forge.User{ID: 14, Login: "eve"} }, `"eve", who wrote the comment`},
		"our own comment":          {"github/issue_comment", func(e *Event, _ *Environment, f *forgeOf) { e.Comment.Body, f.self = "done\n"+post.Marker, nil }, "is our own"},
		"marker, account unknown":  {"github/issue_comment", func(e *Event, _ *Environment, _ *forgeOf) { e.Comment.Body = post.Marker }, "is our own"},
		"pull_request_target":      {"github/pull_request_labeled", func(e *Event, _ *Environment, _ *forgeOf) { e.Name = "pull_request_target" }, "pull_request_target"},
		"event nobody thought of":  {"github/issue_comment", func(e *Event, _ *Environment, _ *forgeOf) { e.Name = "fork" }, `"fork" is not one that may start an agent`},
		"no sender":                {"github/issues_labeled", func(e *Event, _ *Environment, _ *forgeOf) { e.Sender = forge.User{} }, "names no sender"},
		"review without one":       {"github/pull_request_review", func(e *Event, _ *Environment, _ *forgeOf) { e.Review = nil }, "holds no review"},
		"comment on nothing":       {"github/issue_comment", func(e *Event, _ *Environment, _ *forgeOf) { e.Issue = nil }, "holds no comment"},
	} {
		t.Run(name, func(t *testing.T) {
			e, env, f := load(t, c.file), job(), newForge()
			if c.change != nil {
				c.change(&e, &env, f)
			}
			if err := judged(e, env, f); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, wanted %q", err, c.want)
			}
		})
	}
}

func TestAMarkerInAnothersCommentIsNoReasonToRefuse(t *testing.T) {
	e, f := load(t, "github/issue_comment"), newForge()
	e.Comment.Body, e.Comment.Author, e.Sender, f.self = post.Marker, forge.User{ID: 12, Login: "bob"}, forge.User{ID: 12, Login: "bob"}, nil
	if err := judged(e, job(), f); err != nil {
		t.Error(err)
	}
}

func TestAScheduleAsksTheForgeNothing(t *testing.T) {
	f := newForge()
	f.err = errors.New("asked")
	for _, file := range []string{"github/schedule", "gitea/schedule", "github/push_default", "gitea/push_default"} {
		if err := judged(load(t, file), job(), f); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
