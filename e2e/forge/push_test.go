package forge

import (
	"fmt"
	"strings"
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
	return uses("backend: gvisor", "bottle: dev", "pull-request: true", "command: "+command)
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
