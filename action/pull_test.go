package action

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/runner"
)

// proposing is a step on an issue's comment, whose agent pushed a branch.
func proposing(t *testing.T) *postingWorld {
	w := newPostingWorld(t)
	w.vars["GITHUB_REF"] = "refs/heads/trunk"
	w.result.Report.Pushes = []report.Push{
		{Repository: "other", Ref: "refs/heads/elsewhere", Commit: commit}, {Repository: "self", Ref: "refs/heads/bottle/r", Commit: commit},
	}
	return w
}

func (w *postingWorld) propose(inputs map[string]string) runner.ExitCode {
	w.t.Helper()
	given := map[string]string{"command": "true", "pull-request": "true"}
	for name, value := range inputs {
		given[name] = value
	}
	return w.main(given)
}

func TestWhatWasPushedBecomesAPullRequest(t *testing.T) {
	w := proposing(t)
	if code := w.propose(nil); code != 0 {
		t.Fatalf("ended with %d: %s", code, w.out.String())
	}
	if len(w.board.Pulls) != 1 || w.board.Pulls[0].HeadRef != "bottle/r" || w.board.Pulls[0].BaseRef != "trunk" || w.board.Pulls[0].Title != "bot-bottle: work of run r" {
		t.Fatalf("got %+v", w.board.Pulls)
	}
	if code := w.propose(nil); code != 0 || len(w.board.Pulls) != 1 {
		t.Errorf("a second step: %d, %+v", code, w.board.Pulls)
	}
	if w.propose(map[string]string{"pull-request": "false"}); len(w.board.Pulls) != 1 {
		t.Errorf("nobody asked: %+v", w.board.Pulls)
	}
}

func TestAPullRequestThatCantBe(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*postingWorld)
		code   runner.ExitCode
		words  string
	}{
		"nothing was done":         {func(w *postingWorld) { w.result.Report.Pushes = nil }, 0, ""},
		"nothing was pushed":       {func(w *postingWorld) { w.result.Report.Pushes = nil; w.changed() }, runner.ExitPost, "the agent changed files and pushed none"},
		"only elsewhere":           {func(w *postingWorld) { w.result.Report.Pushes = w.result.Report.Pushes[:1]; w.changed() }, runner.ExitPost, "pushed none"},
		"a tag":                    {func(w *postingWorld) { w.result.Report.Pushes[1].Ref = "refs/tags/v1"; w.changed() }, runner.ExitPost, "pushed none"},
		"no branch to go into":     {func(w *postingWorld) { w.vars["GITHUB_REF"] = "refs/tags/v1" }, runner.ExitPost, "into which branch"},
		"a forge that says no":     {func(w *postingWorld) { w.board.Fail = noPull }, runner.ExitPost, "pull-requests: write"},
		"an agent that has failed": {func(w *postingWorld) { w.result.Code = runner.ExitAgent }, runner.ExitAgent, ""},
	} {
		w := proposing(t)
		c.change(w)
		if code := w.propose(nil); code != c.code || !strings.Contains(w.out.String(), c.words) || len(w.board.Pulls) != 0 {
			t.Errorf("%s: ended with %d: %s\n%+v", name, code, w.out.String(), w.board.Pulls)
		}
	}
}

// changed gives the result a patch.
func (w *postingWorld) changed() {
	w.result.Report.Changes = &report.Changes{Files: []report.File{{Path: "a", Kind: "add"}}}
	w.result.Report.Dir = w.t.TempDir()
}

func noPull(method string) error {
	if strings.HasSuffix(method, "PullRequest") {
		return fmt.Errorf("no: %w", forge.ErrRight)
	}
	return nil
}

func TestWhereAPullRequestGoes(t *testing.T) {
	own := forge.Repository{ID: 7, FullName: "acme/widgets"}
	pr := forge.PullRequest{Head: own, HeadRef: "corners", Base: own, BaseRef: "main"}
	fork := pr
	fork.Head.ID = 8
	event := Event{Repository: EventRepository{DefaultBranch: "main"}}
	for want, got := range map[string]string{
		"corners": baseBranch(Environment{Ref: "refs/heads/trunk"}, event, &pr),
		"main":    baseBranch(Environment{Ref: "refs/heads/trunk"}, event, &fork),
		"trunk":   baseBranch(Environment{Ref: "refs/heads/trunk"}, event, nil),
	} {
		if got != want {
			t.Errorf("got %q, wanted %q", got, want)
		}
	}
	if got := baseBranch(Environment{Ref: "refs/pull/7/merge"}, event, nil); got != "main" {
		t.Errorf("of no branch: %q", got)
	}
}

func TestTheAnswerIsQuotedAndHoldsNoSecret(t *testing.T) {
	dir := t.TempDir()
	d := done{Result: passed()}
	d.Report.Dir, d.Report.Agent = dir, &report.Agent{}
	d.Secrets = []secret.Value{secret.New("TOKEN", "correct-horse-battery")}
	for said, want := range map[string]string{
		"I did it, @ada ![x](y)\n":            "\n## The agent's last words\n\n```text\nI did it, @ada ![x](y)\n```\n",
		"here it is: correct-horse-battery\n": "withheld",
		" \n":                                 "",
	} {
		if err := os.WriteFile(filepath.Join(dir, runner.AgentLogName), []byte(said), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := answer(t.Context(), d, newCensor(d.Secrets)); got != want && (want != "withheld" || !strings.Contains(got, want) || strings.Contains(got, "horse")) {
			t.Errorf("%q: got %q", said, got)
		}
	}
}
