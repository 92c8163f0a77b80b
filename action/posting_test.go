package action

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/escape"
	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/forge/forgetest"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
)

const commit = "1b4d7c0a2e1f4b0b8c1d2e3f4a5b6c7d8e9f0a1b"

// quietOutput is a step that nobody reads.
type quietOutput struct{ strings.Builder }

func (*quietOutput) Hurry() {}

// postingWorld is a step whose forge is a board; result is what Run and Attack give.
type postingWorld struct {
	World
	t      *testing.T
	board  *forgetest.Board
	vars   map[string]string
	result runner.Result
	out    quietOutput
}

func newPostingWorld(t *testing.T) *postingWorld {
	w := &postingWorld{t: t, board: forgetest.NewBoard(forge.User{ID: 7, Login: "bot"})}
	dir := t.TempDir()
	w.vars = map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/widgets", "GITHUB_SHA": commit, "GITHUB_SERVER_URL": "https://forge.example", "GITHUB_RUN_ID": "12",
		"GITHUB_WORKFLOW": "nightly", "GITHUB_JOB": "escape", "RUNNER_NAME": "box", "GITHUB_EVENT_NAME": "schedule",
		"GITHUB_STATE": filepath.Join(dir, "state"), "GITHUB_EVENT_PATH": filepath.Join(dir, "event.json"),
	}
	for _, name := range []string{"GITHUB_STATE", "GITHUB_EVENT_PATH"} {
		if err := os.WriteFile(w.vars[name], []byte(map[string]string{"GITHUB_EVENT_PATH": "{}"}[name]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.result = passed()
	w.World = World{
		Getenv: func(name string) string { return w.vars[name] }, Stdout: &w.out,
		Poster: func(Environment, Inputs) (forge.Poster, error) { return w.board, nil },
		Run:    func(context.Context, runner.Request, runner.Output, runner.Progress) runner.Result { return w.result },
		Attack: func(context.Context, string, string, *escape.Suite, runner.Progress) runner.Result { return w.result },
	}
	return w
}

func passed() runner.Result {
	return runner.Result{Report: report.Report{Run: report.Run{ID: "r", Name: "n"}, Outcome: report.Outcome{Verdict: report.Passed}}}
}

func (w *postingWorld) main(inputs map[string]string) runner.ExitCode {
	w.t.Helper()
	given := map[string]string{"token": "t", "post": "comment, status"}
	maps.Copy(given, inputs)
	return Main(w.t.Context(), Handover{Handle: "abcdefgh23", Inputs: given}, w.World)
}

func TestAJobsVerdictIsItsStatus(t *testing.T) {
	for verdict, c := range map[report.Verdict]struct {
		code  runner.ExitCode
		state forge.State
	}{
		report.Passed: {0, forge.Success}, report.Failed: {1, forge.Failure}, report.Unproven: {4, forge.Failure}, report.Broken: {8, forge.Error},
		report.Stopped: {130, forge.Error}, report.Incomplete: {7, forge.Error},
	} {
		w := newPostingWorld(t)
		w.result.Code, w.result.Report.Outcome = c.code, report.Outcome{Verdict: verdict, ExitCode: int(c.code)}
		w.result.Report.Doors.Doors = []report.Door{{Name: "egress", Refused: 2}}
		if code := w.main(map[string]string{"command": "true", "fail-on": "cleanup"}); code != 0 && code != c.code {
			t.Errorf("%s: step ended with %d", verdict, code)
		}
		s := w.board.Statuses[commit]
		if len(s) != 2 || s[0].State != forge.Pending || s[1].State != c.state || s[1].Description != string(verdict)+", 2 requests refused" ||
			s[1].Context != "bot-bottle: nightly / escape" || s[1].URL != "https://forge.example/acme/widgets/actions/runs/12" {
			t.Errorf("%s: %+v", verdict, s)
		}
		if len(w.board.Posted) != 0 {
			t.Errorf("nobody asked, and was answered: %+v", w.board.Posted)
		}
	}
}

func TestWhatCanNotBePostedFailsAStepThatPassed(t *testing.T) {
	w := newPostingWorld(t)
	w.board.Fail = func(string) error { return fmt.Errorf("no: %w", forge.ErrRight) }
	if code := w.main(map[string]string{"command": "true"}); code != runner.ExitPost || !strings.Contains(w.out.String(), "statuses: write") {
		t.Errorf("ended with %d: %s", code, w.out.String())
	}
	w = newPostingWorld(t)
	w.board.Fail = func(string) error { return errors.New("down") }
	w.result.Code, w.result.Report.Outcome = runner.ExitAgent, report.Outcome{Verdict: report.Failed, ExitCode: 1}
	if code := w.main(map[string]string{"command": "true"}); code != runner.ExitAgent || !strings.Contains(w.out.String(), "::error::bot-bottle: posting: down") {
		t.Errorf("ended with %d: %s", code, w.out.String())
	}
	if code := newPostingWorld(t).main(map[string]string{"command": "true", "token": ""}); code != runner.ExitUsage {
		t.Errorf("without a token: %d", code)
	}
}

// Gitea takes the token of a cancelled job for nothing; its end is said as the host.
func TestTheEndOfACancelledJobIsSaidAsTheHost(t *testing.T) {
	w := newPostingWorld(t)
	host := forgetest.NewBoard(forge.User{ID: 8, Login: "bottle"})
	w.World.HostPoster = func(Environment) (forge.Poster, error) { return host, nil }
	w.World.Run = func(context.Context, runner.Request, runner.Output, runner.Progress) runner.Result {
		w.board.Fail = func(string) error { return fmt.Errorf("no: %w", forge.ErrLogin) }
		w.result.Code, w.result.Report.Outcome = runner.ExitBroken, report.Outcome{Verdict: report.Stopped, ExitCode: 130}
		return w.result
	}
	w.main(map[string]string{"command": "true"})
	if s := host.Statuses[commit]; len(s) != 1 || s[0].State != forge.Error || s[0].Description != "stopped" {
		t.Errorf("got %+v; %s", s, w.out.String())
	}
	unasked := func(Environment) (forge.Poster, error) { t.Error("the host was asked for"); return nil, nil }
	w = newPostingWorld(t)
	w.World.HostPoster = unasked
	w.World.Run = func(context.Context, runner.Request, runner.Output, runner.Progress) runner.Result {
		w.board.Fail = func(string) error { return fmt.Errorf("no: %w", forge.ErrLogin) }
		w.result.Report.Remainders = []report.Remainder{{Kind: "guest"}} // it may still run
		return w.result
	}
	w.main(map[string]string{"command": "true"})
	w = newPostingWorld(t)
	w.World.HostPoster = unasked
	w.board.Fail = func(string) error { return fmt.Errorf("no: %w", forge.ErrRight) }
	if code := w.main(map[string]string{"command": "true"}); code != runner.ExitPost {
		t.Errorf("a right is missing: %d", code)
	}
}

func TestPostSaysThatMainWasKilled(t *testing.T) {
	w := newPostingWorld(t)
	w.World.Run = func(context.Context, runner.Request, runner.Output, runner.Progress) runner.Result {
		panic("killed")
	}
	inputs := map[string]string{"command": "true"}
	func() {
		defer func() { recover() }()
		w.main(inputs)
	}()
	state, err := os.ReadFile(w.vars["GITHUB_STATE"])
	if err != nil {
		t.Fatal(err)
	}
	_, w.vars["STATE_place"], _ = strings.Cut(strings.TrimSpace(string(state)), "=")
	h := Handover{Handle: "abcdefgh23", Inputs: map[string]string{"token": "t", "post": "status", "command": "true"}}
	for range 2 { // the second has nothing to do
		PostWorld{World: w.World}.abandon(t.Context(), newVoice(&w.out, w.Getenv), h)
	}
	if s := w.board.Statuses[commit]; len(s) != 2 || s[1].State != forge.Error || s[1].Description != "ended without a word" {
		t.Errorf("got %+v; %s", s, w.out.String())
	}
}

func TestAMainThatHadItsSayLeavesNothingToPost(t *testing.T) {
	w := newPostingWorld(t)
	w.main(map[string]string{"command": "true"})
	state, err := os.ReadFile(w.vars["GITHUB_STATE"])
	if err != nil || !strings.HasSuffix(string(state), "\nplace=\n") {
		t.Errorf("%q, %v", state, err)
	}
}

func TestTheIssueIsOpenWhileTheSuiteIsRed(t *testing.T) {
	w := newPostingWorld(t)
	v := newVoice(&w.out, w.Getenv)
	env, err := ReadEnvironment(w.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	in, err := ParseInputs(map[string]string{"token": "t", "post": "issue", "escape": "full"})
	if err != nil {
		t.Fatal(err)
	}
	end := func(d done) {
		t.Helper()
		told, err := w.begin(t.Context(), v, Handover{Handle: "abcdefgh23"}, in, env, place{Commit: commit})
		if err != nil {
			t.Fatal(err)
		}
		if r := told.end(t.Context(), d); r.Code != d.Code {
			t.Error(r.Err)
		}
	}
	red := escape.Report{Tier: "full", Backend: "gvisor", Cases: []escape.CaseReport{
		{ID: "N03", Title: "a host listener", Layer: "no network", Verdict: escape.Leaked, Users: []escape.UserReport{{Why: []string{"10.1.2.3 was reached"}}}},
		{ID: "N04", Title: "another", Layer: "no network", Verdict: escape.Held},
	}}
	stopped, refused := passed(), Refusal(term.Errorf(term.StagePreflight, "", "this host can't"))
	stopped.Report.Outcome.Verdict = report.Stopped
	end(done{Result: passed(), suite: &escape.Report{Held: true}})
	end(done{Result: stopped})
	if len(w.board.Issues) != 0 {
		t.Fatalf("opened for nothing: %+v", w.board.Issues)
	}
	end(done{Result: passed(), suite: &red})
	end(done{Result: stopped})
	if len(w.board.Issues) != 1 || w.board.Issues[0].Title != "bot-bottle: the sandbox-escape suite is red on box" {
		t.Fatalf("got %+v", w.board.Issues)
	}
	body := w.board.Issues[0].Body
	if !strings.Contains(body, "**leaked** N03: a host listener; no network should have held it") || strings.Contains(body, "N04") || strings.Contains(body, "10.1.2.3") {
		t.Errorf("got %s", body)
	}
	end(done{Result: refused})
	if len(w.board.Issues) != 1 || !strings.Contains(w.board.Issues[0].Body, "The suite did not run") {
		t.Errorf("got %+v", w.board.Issues)
	}
	end(done{Result: passed(), suite: &escape.Report{Held: true}})
	if len(w.board.Issues) != 0 || len(w.board.Closed) != 1 || !strings.Contains(w.board.Closed[0].Body, "holds again") {
		t.Errorf("got %+v, %+v", w.board.Issues, w.board.Closed)
	}
}

func TestTheSuiteAloneNeedsNobodysLeave(t *testing.T) {
	w := newPostingWorld(t)
	w.result = Refusal(term.Errorf(term.StagePreflight, "", "this host can't"))
	if code := w.main(map[string]string{"escape": "full", "post": "status, issue"}); code != runner.ExitPreflight || len(w.board.Issues) != 1 {
		t.Errorf("ended with %d: %+v", code, w.board.Issues)
	}
	if s := w.board.Statuses[commit]; len(s) != 2 || s[1].State != forge.Failure {
		t.Errorf("got %+v", s)
	}
}

func TestACommentThatIsTooLongIsSummarised(t *testing.T) {
	w := newPostingWorld(t)
	for i := range 30000 {
		w.result.Report.Notes = append(w.result.Report.Notes, fmt.Sprint("note ", i))
	}
	told := &telling{world: w.World}
	if text := told.text(t.Context(), done{Result: w.result}); len(text) > 1000 || !strings.Contains(text, "passed") {
		t.Errorf("%d bytes: %.200s", len(text), text)
	}
}

// The agent chooses the names of the files that it changes, and a comment is read by
// more people than a log.
func TestWhatHoldsASecretIsNotPosted(t *testing.T) {
	pat, own := "ghp"+"_"+strings.Repeat("a1B2c3D4e5F6", 3), "correct horse battery"
	for name, path := range map[string]string{"a token": pat, "a secret of the run's": own} {
		w := newPostingWorld(t)
		w.vars["GITHUB_STEP_SUMMARY"] = filepath.Join(t.TempDir(), "summary")
		if err := os.WriteFile(w.vars["GITHUB_STEP_SUMMARY"], nil, 0o600); err != nil {
			t.Fatal(err)
		}
		w.result.Report.Changes = &report.Changes{Files: []report.File{{Path: path, Kind: "add"}}}
		w.result.Secrets = []secret.Value{secret.New("TOKEN", own)}
		told := &telling{world: w.World}
		text := told.text(t.Context(), done{Result: w.result})
		w.main(map[string]string{"command": "true"})
		summary, err := os.ReadFile(w.vars["GITHUB_STEP_SUMMARY"])
		for _, said := range []string{text, string(summary)} {
			if err != nil || strings.Contains(said, path) || !strings.Contains(said, "withheld") {
				t.Errorf("%s: %v: %s", name, err, said)
			}
		}
	}
}

func TestARunsPageIsItsNumber(t *testing.T) {
	for want, vars := range map[string]map[string]string{
		"https://h/acme/widgets/actions/runs/7": {"GITHUB_RUN_ID": "7", "GITHUB_RUN_NUMBER": "3"},
		"https://h/acme/widgets/actions/runs/3": {"GITHUB_RUN_ID": "7", "GITHUB_RUN_NUMBER": "3", "FORGEJO_ACTIONS": "true"},
		"":                                      {"GITHUB_RUN_ID": "7/../../x"},
	} {
		e := Environment{ServerURL: "https://h", Repository: "acme/widgets"}
		if got := runURL(e, func(name string) string { return vars[name] }); got != want {
			t.Errorf("%v: %q", vars, got)
		}
	}
}
