package forge

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mayPush gives the host the bottle "dev", which may push to the job's own repository,
// with more keys.
func (h *host) mayPush(more string) {
	h.t.Helper()
	h.trust()
	h.configure("bottles/dev.md", fmt.Sprintf("---\nfor: {repositories: [%s]}\ngit-gate:\n  user: {name: Bottle, email: bottle@forge.invalid}\n  repos: {self: {key: {provider: gitea}}}\n%s---\n", h.repo.fullName(), more))
}

// asked has a writer ask for it in a new issue, and gives the run's job, its log, and
// the issue.
func (h *host) asked() (job, string, int64) {
	h.t.Helper()
	issue, err := h.repo.issue(h.t.Context(), h.repo.as, "The colour is wrong", "It is not the one that was asked for.")
	must(h.t, err)
	j, log := h.end(h.commented(h.repo.as, issue, "@bottle please"))
	return j, log, issue
}

// works are the steps of a job on a comment with this command.
func works(command string) string {
	return uses("backend: gvisor", "bottle: dev", "pull-request: true", "escape: quick", "command: "+strconv.Quote(command))
}

// answered is the only comment of ours below an issue, apart from the one that asked.
func (h *host) answered(issue int64) string {
	h.t.Helper()
	all, err := h.repo.comments(h.t.Context(), issue)
	must(h.t, err)
	var ours []string
	for _, c := range all {
		if strings.Contains(c.Body, "<!-- bot-bottle -->") {
			ours = append(ours, c.Body)
		}
	}
	if len(ours) != 1 {
		h.t.Fatalf("%d comments of ours: %+v", len(ours), all)
	}
	return ours[0]
}

// noKeys sees that the forge has no deploy key of ours.
func (h *host) noKeys() {
	h.t.Helper()
	keys, err := h.repo.deployKeys(h.t.Context())
	must(h.t, err)
	if len(keys) != 0 {
		h.t.Errorf("deploy keys: %+v", keys)
	}
}

// pushedBranches are those that runs have made.
func (h *host) pushedBranches() (names []string) {
	h.t.Helper()
	all, err := h.repo.branches(h.t.Context())
	must(h.t, err)
	for _, b := range all {
		if strings.HasPrefix(b.Name, "bottle/") {
			names = append(names, b.Name)
		}
	}
	return names
}

func TestACommentBecomesAPullRequest(t *testing.T) {
	t.Parallel()
	rootOnly(t)
	eachService(t, "pull", func(t *testing.T, h *host) {
		h.mayPush("")
		must(t, h.repo.commit(t.Context(), workflow("issue_comment", works("echo blue > colour && git add colour && git commit -qm 'Set the colour' && git push -q && echo pushed as $BOT_BOTTLE_BRANCH"))))
		from := time.Now()
		j, log, issue := h.asked()
		t.Logf("comment to the job's end: %v", time.Since(from).Round(time.Millisecond))
		if j.Conclusion != "success" || !strings.Contains(log, "pushed as bottle/") {
			t.Fatalf("the job ended with %q:\n%s", j.Conclusion, log)
		}
		branches := h.pushedBranches()
		if len(branches) != 1 {
			t.Fatalf("branches: %v", branches)
		}
		head := h.repo.headOf(t, branches[0])
		pulls, err := h.repo.pullRequests(t.Context())
		must(t, err)
		if len(pulls) != 1 || pulls[0].Head.SHA != head || pulls[0].Base.Ref != "main" || pulls[0].Title != "bot-bottle: The colour is wrong" ||
			!strings.Contains(pulls[0].Body, fmt.Sprintf("For #%d.", issue)) {
			t.Errorf("pull requests: %+v", pulls)
		}
		said := h.answered(issue)
		for _, words := range []string{fmt.Sprintf("Pull request #%d has the work.", pulls[0].Number), "passed (exit 0)", "`refs/heads/" + branches[0] + "` to `self`", "add `colour`", "## The agent's last words\n\n```text\npushed as " + branches[0] + "\n```", "Log](" + h.forge.url} {
			if !strings.Contains(said, words) {
				t.Errorf("the comment lacks %q:\n%s", words, said)
			}
		}
		statuses, err := h.repo.statuses(t.Context(), h.repo.headOf(t, "main"))
		must(t, err)
		if len(statuses) == 0 || statuses[0].State != "success" || statuses[0].Description != "passed, 1 file changed" {
			t.Errorf("statuses: %+v", statuses)
		}
		h.noKeys()
		h.awaitNothingLeft()
	})
}

// pat is a token of GitHub's form without its beginning, which the guest puts before it,
// so that no command line holds it.
const pat = "9mKq2VxT7bNcY4sJd0RwEfGhLpZuAi3oX5v8"

func TestPushesThatAreRefusedReachNothing(t *testing.T) {
	t.Parallel()
	rootOnly(t)
	h := newHost(t, "refused", true)
	h.mayPush("")
	for name, c := range map[string]struct{ change, said, rule, told string }{
		"a secret":   {"printf token=gh%s_%s p " + pat + " > notes", "gitleaks: rule github-pat, line 1", "secret", ""},
		"a workflow": {"mkdir -p .gitea/workflows && echo 'on: push' > .gitea/workflows/x.yml", "which a forge or the host would run or obey", "protected-path", "git-gate: {repos: {NAME: {protected: [FILE]}}}"},
		"main":       {"echo x > x", "the bottle does not list", "ref-not-listed", "git-gate: {repos: {NAME: {push: [REF]}}}"},
	} {
		to := ""
		if name == "main" {
			to = " origin HEAD:main"
		}
		must(t, h.repo.commit(t.Context(), workflow("issue_comment", works(c.change+" && git add -A && git commit -qm x; git push"+to+" 2>&1"))))
		before := h.repo.headOf(t, "main")
		j, log, issue := h.asked()
		if j.Conclusion != "failure" || !strings.Contains(log, c.said) {
			t.Errorf("%s: the job ended with %q:\n%s", name, j.Conclusion, log)
		}
		said := h.answered(issue)
		if !strings.Contains(said, "| `"+c.rule+"` | 1 |") || !strings.Contains(said, c.told) {
			t.Errorf("%s: the comment:\n%s", name, said)
		}
		if strings.Contains(said, "ghp_"+pat) {
			t.Errorf("%s: the secret is in the comment:\n%s", name, said)
		}
		if branches := h.pushedBranches(); len(branches) != 0 || h.repo.headOf(t, "main") != before {
			t.Errorf("%s: pushed: %v", name, branches)
		}
		h.noKeys()
	}
	h.awaitNothingLeft()
}

// longPush is a job on a push whose agent may push, and goes on for longer than any
// test.
var longPush = uses("backend: gvisor", "bottle: dev", "command: echo the agent is up; sleep 3600")

// underWayWithKey starts it, and waits until its agent works and the forge has its key.
func (h *host) underWayWithKey() run {
	h.t.Helper()
	r := h.push(longPush)
	must(h.t, h.repo.awaitLog(h.t.Context(), r, "the agent is up\n"))
	keys, err := h.repo.deployKeys(h.t.Context())
	must(h.t, err)
	if len(keys) != 1 || keys[0].ReadOnly || !strings.HasPrefix(keys[0].Title, "bot-bottle/") {
		h.t.Fatalf("the agent works, and the keys are %+v", keys)
	}
	return r
}

// status is the newest of the run's commit.
func (h *host) status(of run) string {
	h.t.Helper()
	all, err := h.repo.statuses(h.t.Context(), of.HeadSHA)
	must(h.t, err)
	for _, s := range all {
		if strings.HasPrefix(s.Context, "bot-bottle") {
			return s.State + ": " + s.Description
		}
	}
	return ""
}

func TestACancelledJobsKeyIsGone(t *testing.T) {
	t.Parallel()
	rootOnly(t)
	h := newHost(t, "keycancel", true)
	h.mayPush("")
	r := h.underWayWithKey()
	must(t, h.repo.cancel(t.Context(), r))
	h.end(r)
	h.awaitNothingLeft()
	h.noKeys()
	must(t, eventually(t.Context(), "the status tells", func() (bool, error) { return !strings.HasPrefix(h.status(r), "pending"), nil }))
}

// This runner calls a job that it was told to stop a success: what is to be believed is
// our status.
func TestAJobOfAStoppedRunnerIsNoSuccess(t *testing.T) {
	t.Parallel()
	rootOnly(t)
	h := newHost(t, "keyterm", true)
	h.mayPush("")
	r := h.underWayWithKey()
	must(t, h.runner.signal(syscall.SIGTERM))
	must(t, h.runner.await())
	h.awaitNothingLeft()
	h.noKeys()
	if s := h.status(r); strings.HasPrefix(s, "success") || strings.HasPrefix(s, "pending") || s == "" {
		t.Errorf("the status is %q", s)
	}
}

func TestTheNextJobRemovesAKilledServicesKey(t *testing.T) {
	t.Parallel()
	rootOnly(t)
	h := newHost(t, "keykill", true)
	h.mayPush("")
	h.underWayWithKey()
	h.killService()
	if keys, err := h.repo.deployKeys(t.Context()); err != nil || len(keys) != 1 {
		t.Fatalf("keys: %+v, %v", keys, err)
	}
	h.start()
	h.succeeds(uses("backend: gvisor", "command: echo the next one"), "the next one\n")
	h.awaitNothingLeft()
	h.noKeys()
}

// fork makes one of the repository for the account.
func (r *repository) fork(t *testing.T, as *client) *repository {
	t.Helper()
	must(t, as.post(t.Context(), r.path("/forks"), map[string]any{}, nil))
	return &repository{r.forge, as.login, r.name, as}
}

func TestAForksPullRequestStartsNoBottle(t *testing.T) {
	t.Parallel()
	rootOnly(t)
	h := newHost(t, "fork", true)
	h.mayPush("")
	must(t, h.repo.commit(t.Context(), workflow("issue_comment", works("echo $((40+2)) worked"))))
	fork := h.repo.fork(t, theForge(t).rob)
	must(t, fork.commit(t.Context(), map[string]string{"evil": "x"}))
	var made struct{ Number int64 }
	must(t, fork.as.post(t.Context(), h.repo.path("/pulls"), map[string]any{"head": "rob:main", "base": "main", "title": "harmless"}, &made))
	j, log := h.end(h.commented(h.repo.as, made.Number, "@bottle please"))
	if j.Conclusion != "failure" || !strings.Contains(log, "fork") || strings.Contains(log, "42 worked") {
		t.Errorf("the job ended with %q:\n%s", j.Conclusion, log)
	}
	if runs := h.bottleRuns("--all"); len(runs) != 0 {
		t.Errorf("runs: %+v", runs)
	}
	h.noKeys()
}

func TestAnAgentCantSpeakToTheRunner(t *testing.T) {
	t.Parallel()
	h := newHost(t, "commands", true)
	lines := []string{"::set-output name=branch::evil", "::error::evil", "##[error]evil", "::add-mask::e", "::stop-commands::x", "::save-state name=handle::evil", "::set-env name=PATH::/evil"}
	command := "printf 'x\\r::error::evil\\n'"
	for _, line := range lines {
		command += "; echo '" + line + "'"
	}
	log := h.succeeds(uses("backend: gvisor", "post: none", "command: "+strconv.Quote(command+"; echo said $((40+2))")), "said 42\n", "x\n", "set-output:: branch=\n")
	_, log, found := strings.Cut(log, "::group::agent\n")
	if !found {
		t.Fatalf("the log has no agent:\n%s", log)
	}
	for line := range strings.Lines(log) {
		_, said, _ := strings.Cut(line, " ") // behind the time
		if strings.HasPrefix(said, "::error") || strings.HasPrefix(said, "##[") || strings.Contains(line, "\r") || strings.HasPrefix(said, "::set-env") {
			t.Errorf("%q reached the runner", line)
		}
	}
	h.awaitNothingLeft()
}

// heldN03 is a line of the suite's table.
var heldN03 = regexp.MustCompile(`held +N03`)

func TestTheNightlyGateRunsBySchedule(t *testing.T) {
	t.Parallel()
	h := newHost(t, "nightly", true)
	b, err := os.ReadFile("../../workflows/gitea/nightly-escape.yml")
	must(t, err)
	// The quick tier, since the other tests fill this machine meanwhile: a night is quiet.
	text := strings.NewReplacer("17 3 * * *", "* * * * *", "escape: full", "escape: quick").Replace(string(b))
	text, _, found := strings.Cut(text, "      - if: always()") // there is no mirror of upload-artifact here
	if !found || !strings.Contains(text, "* * * * *") || !strings.Contains(text, "escape: quick") {
		t.Fatalf("the workflow has changed:\n%s", b)
	}
	r := h.started(func() error {
		return h.repo.commit(t.Context(), map[string]string{".gitea/workflows/nightly.yml": text})
	})
	j, log := h.end(r)
	if j.Conclusion != "success" || !strings.Contains(log, "triggered by event: schedule") || !heldN03.MatchString(log) {
		t.Errorf("the job ended with %q:\n%s", j.Conclusion, log)
	}
	if s := h.status(r); s != "success: passed" {
		t.Errorf("the status is %q", s)
	}
	h.awaitNothingLeft()
}

// What a runner makes of `on: push` the forge decides: the bottle's own branch would
// have it run, outside of the bottle, whatever the agent wrote.
func TestAJobWhosePushTheRunnerWouldRunDoesNotStart(t *testing.T) {
	t.Parallel()
	rootOnly(t)
	h := newHost(t, "hostrun", true)
	h.mayPush("")
	files := workflow("issue_comment", works("echo $((40+2)) worked"))
	files[".gitea/workflows/deep/build.yml"] = "on: push\njobs:\n  build:\n    runs-on: nixos\n    steps:\n      - run: echo built\n"
	h.end(h.started(func() error { return h.repo.commit(t.Context(), files) })) // Gitea looks there
	j, log, _ := h.asked()
	if j.Conclusion != "failure" || strings.Contains(log, "42 worked") || !strings.Contains(log, `".gitea/workflows/deep/build.yml": job "build" on "nixos" by push`) || !strings.Contains(log, "host_workflows: [.gitea/workflows/deep/build.yml]") {
		t.Errorf("the job ended with %q:\n%s", j.Conclusion, log)
	}
	h.noKeys()
	h.awaitNothingLeft()
}
