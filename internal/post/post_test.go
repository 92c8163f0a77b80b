package post

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/forge/forgetest"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
)

const commit = "1b4d7c0a2e1f4b0b8c1d2e3f4a5b6c7d8e9f0a1b"

var (
	we       = forge.User{ID: 7, Login: "bot"}
	stranger = forge.User{ID: 8, Login: "bot"}
	job      = Job{Kinds: []Kind{Comment, Status}, Mark: "abc", Thread: 3, Commit: commit, Context: "bot-bottle: ci / agent", URL: "https://h/1"}
	errLost  = errors.New("the connection broke")
)

func only(method string, err error) func(string) error {
	return func(m string) error {
		if m == method {
			return err
		}
		return nil
	}
}

func TestAJobIsToldOfInOneCommentAndOneStatus(t *testing.T) {
	b := forgetest.NewBoard(we)
	p := New(b, job)
	if err := p.Begin(t.Context(), "at work"); err != nil {
		t.Fatal(err)
	}
	if len(b.Posted) != 1 || !strings.Contains(b.Posted[0].Body, "at work") || !strings.HasPrefix(b.Posted[0].Body, Marker) || b.Threads[b.Posted[0].ID] != 3 {
		t.Errorf("after Begin: %+v", b.Posted)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.End(ended, "it passed", forge.Success, "passed"); err != nil {
		t.Fatal(err)
	}
	if len(b.Posted) != 1 || !strings.Contains(b.Posted[0].Body, "it passed") || strings.Contains(b.Posted[0].Body, "at work") {
		t.Errorf("after End: %+v", b.Posted)
	}
	want := []forge.Status{{Context: job.Context, State: forge.Pending, Description: "at work", URL: job.URL}, {Context: job.Context, State: forge.Success, Description: "passed", URL: job.URL}}
	if !slices.Equal(b.Statuses[commit], want) {
		t.Errorf("got %+v", b.Statuses)
	}
}

func TestOnlyWhatIsAskedForIsTold(t *testing.T) {
	for name, change := range map[string]func(*Job){
		"nothing":              func(j *Job) { j.Kinds = nil },
		"the issue alone":      func(j *Job) { j.Kinds = []Kind{Issue} },
		"no thread, no commit": func(j *Job) { j.Thread, j.Commit = 0, "" },
	} {
		b, j := forgetest.NewBoard(we), job
		change(&j)
		p := New(b, j)
		if err := errors.Join(p.Begin(t.Context(), "x"), p.End(t.Context(), "x", forge.Success, "x"), p.Abandon(t.Context(), "x", "x")); err != nil || len(b.Calls()) != 0 {
			t.Errorf("%s: %v, %v", name, b.Calls(), err)
		}
	}
}

func TestNothingIsSaidTwiceBecauseAnAnswerWasLost(t *testing.T) {
	b := forgetest.NewBoard(we)
	b.Lose = only("CreateComment", errLost)
	p := New(b, job)
	if err := p.Begin(t.Context(), "at work"); !errors.Is(err, errLost) {
		t.Errorf("got %v", err)
	}
	b.Lose = nil
	if err := p.End(t.Context(), "it passed", forge.Success, "passed"); err != nil || len(b.Posted) != 1 || !strings.Contains(b.Posted[0].Body, "it passed") {
		t.Errorf("%v, %+v", err, b.Posted)
	}
}

func TestWhatCouldNotBeSaidAtFirstIsSaidAtTheEnd(t *testing.T) {
	b := forgetest.NewBoard(we)
	b.Fail = func(string) error { return errLost }
	p := New(b, job)
	if err := p.Begin(t.Context(), "at work"); !errors.Is(err, errLost) || term.StageOf(err, "") != term.StagePost || runner.CodeOf(err) != runner.ExitPost {
		t.Errorf("got %v", err)
	}
	b.Fail = nil
	if err := p.End(t.Context(), "it passed", forge.Success, "passed"); err != nil || len(b.Posted) != 1 || len(b.Statuses[commit]) != 1 {
		t.Errorf("%v, %+v", err, b.Posted)
	}
}

func TestACommentThatSomebodyRemovedIsMadeAgain(t *testing.T) {
	b := forgetest.NewBoard(we)
	p := New(b, job)
	if err := p.Begin(t.Context(), "at work"); err != nil {
		t.Fatal(err)
	}
	b.Posted = nil
	if err := p.End(t.Context(), "it passed", forge.Success, "passed"); err != nil || len(b.Posted) != 1 {
		t.Errorf("%v, %+v", err, b.Posted)
	}
}

func TestAMissingRightHasAHint(t *testing.T) {
	b := forgetest.NewBoard(we)
	b.Fail = only("SetStatus", fmt.Errorf("no: %w", forge.ErrRight))
	err := New(b, job).End(t.Context(), "x", forge.Success, "x")
	if !errors.Is(err, forge.ErrRight) || !strings.Contains(strings.Join(term.Hints(err), " "), "statuses: write") {
		t.Errorf("got %v, %v", err, term.Hints(err))
	}
	if len(b.Posted) != 1 {
		t.Error("a status that can't be set keeps the comment from being made")
	}
}

func TestAnAbandonedJobIsNotLeftPending(t *testing.T) {
	b := forgetest.NewBoard(we)
	if err := New(b, job).Begin(t.Context(), "at work"); err != nil {
		t.Fatal(err)
	}
	copied := forge.Comment{ID: 99, Author: stranger, Body: b.Posted[0].Body}
	b.Posted, b.Threads[99] = append([]forge.Comment{copied}, b.Posted...), 3
	other := job
	other.Mark = "def"
	if err := New(b, other).Begin(t.Context(), "at work"); err != nil {
		t.Fatal(err)
	}
	b.Statuses[commit] = b.Statuses[commit][:1]
	if err := New(b, job).Abandon(t.Context(), "it was killed", "killed"); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.Posted[0].Body, "killed") || !strings.Contains(b.Posted[1].Body, "it was killed") || strings.Contains(b.Posted[2].Body, "killed") {
		t.Errorf("got %+v", b.Posted)
	}
	if s := b.Statuses[commit]; len(s) != 2 || s[1].State != forge.Error || s[1].Description != "killed" {
		t.Errorf("got %+v", s)
	}
	if err := New(b, job).Abandon(t.Context(), "again", "again"); err != nil || strings.Contains(b.Posted[1].Body, "again") || len(b.Statuses[commit]) != 2 {
		t.Errorf("a job that had its say was overwritten: %v, %+v", err, b)
	}
}

func TestAStatusOfAnotherRunOfTheJobIsLeftAlone(t *testing.T) {
	b := forgetest.NewBoard(we)
	b.Statuses[commit] = []forge.Status{{Context: job.Context, State: forge.Pending, URL: "https://h/2"}}
	if err := New(b, job).Abandon(t.Context(), "it was killed", "killed"); err != nil || len(b.Statuses[commit]) != 1 {
		t.Errorf("%v, %+v", err, b.Statuses)
	}
}

func TestOneIssueIsOpenWhileTheGateIsRed(t *testing.T) {
	b := forgetest.NewBoard(we)
	b.Issues = []forge.Issue{{Number: 100, Title: "red on box", Author: stranger}, {Number: 101, Title: "other", Author: we}}
	keep := func(body string, red bool) {
		t.Helper()
		if err := KeepIssue(t.Context(), b, "red on box", body, red); err != nil {
			t.Fatal(err)
		}
	}
	keep("all is well", false)
	if len(b.Issues) != 2 || len(b.Closed) != 0 {
		t.Fatalf("green with nothing open: %+v", b.Issues)
	}
	keep("first", true)
	keep("second", true)
	if len(b.Issues) != 3 || !strings.Contains(b.Issues[2].Body, "second") || !strings.Contains(b.Issues[2].Body, Marker) {
		t.Fatalf("red twice: %+v", b.Issues)
	}
	b.Issues = append(b.Issues, forge.Issue{Number: 200, Title: "red on box", Author: we})
	keep("third", true)
	if len(b.Issues) != 3 || len(b.Closed) != 1 || b.Closed[0].Number != 200 {
		t.Fatalf("two at once: %+v", b.Issues)
	}
	keep("held again", false)
	if len(b.Issues) != 2 || len(b.Closed) != 2 || !strings.Contains(b.Closed[1].Body, "held again") {
		t.Fatalf("green: %+v, %+v", b.Issues, b.Closed)
	}
	b.Fail = only("OpenIssues", forge.ErrRight)
	if err := KeepIssue(t.Context(), b, "red on box", "x", true); !errors.Is(err, forge.ErrRight) || len(b.Issues) != 2 {
		t.Errorf("got %v", err)
	}
}
