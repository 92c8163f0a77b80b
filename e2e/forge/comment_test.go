package forge

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// rootOnly ends a test that needs files of the host's owner, where the tests are
// not root's. A skip is not a pass, so that in CI it is a failure.
func rootOnly(t *testing.T) {
	t.Helper()
	switch {
	case os.Getuid() == 0:
	case os.Getenv("CI") != "":
		t.Fatal("would be skipped, which is a failure in CI: the host's configuration has to be root's")
	default:
		t.Skip("the host's configuration has to be root's")
	}
}

// trust gives the host a token of the account bottle, which administers the
// repository: a job's own can't ask who may write, nor make deploy keys. It says, too,
// how the forge's repositories are reached.
func (h *host) trust() {
	h.t.Helper()
	must(h.t, h.repo.collaborator(h.t.Context(), "bottle", "admin"))
	h.write("home/forge-token", theForge(h.t).bot.token+"\n")
	h.configure("config.yaml", fmt.Sprintf("forges: [{url: %q, token: \"file:%s/home/forge-token\", ssh: \"git@%s\", host_key: %q}]\n",
		h.forge.url, h.dir, h.forge.ssh, h.forge.hostKeyOnly(h.t)))
}

// commented gives the run that the account's comment has started.
func (h *host) commented(as *client, issue int64, body string) run {
	h.t.Helper()
	return h.started(func() error { return h.repo.comment(h.t.Context(), as, issue, body) })
}

func TestAReadersCommentStartsNoBottle(t *testing.T) {
	t.Parallel()
	rootOnly(t)
	h := newHost(t, "reader", true)
	h.trust()
	must(t, h.repo.commit(t.Context(), workflow("issue_comment", uses("backend: gvisor", "command: echo worked"))))
	issue, err := h.repo.issue(t.Context(), h.repo.as, "the colour", "it is wrong")
	must(t, err)
	j, log := h.end(h.commented(theForge(t).rob, issue, "@bottle please"))
	if j.Conclusion != "failure" || !strings.Contains(log, `"rob", who wrote the comment, may not write to the repository`) {
		t.Errorf("the job ended with %q:\n%s", j.Conclusion, log)
	}
	if strings.Contains(log, theForge(t).bot.token) {
		t.Error("the host's token is in the log")
	}
	if runs := h.bottleRuns("--all"); len(runs) != 0 {
		t.Errorf("runs: %+v", runs)
	}
}

func TestAWritersCommentStartsABottle(t *testing.T) {
	t.Parallel()
	rootOnly(t)
	h := newHost(t, "writer", true)
	h.trust()
	must(t, h.repo.commit(t.Context(), workflow("issue_comment", uses("backend: gvisor", "command: echo worked"))))
	issue, err := h.repo.issue(t.Context(), theForge(t).rob, "the colour", "it is wrong")
	must(t, err)
	j, log := h.end(h.commented(h.repo.as, issue, "@bottle please"))
	if j.Conclusion != "success" || !strings.Contains(log, "worked\n") {
		t.Errorf("the job ended with %q:\n%s", j.Conclusion, log)
	}
	h.awaitNothingLeft()
}
