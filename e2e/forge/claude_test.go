package forge

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// modelKey is what the host knows and the guest must not.
const modelKey = "sk-ant-real-6bXq0vT3mWcY8sJd"

// employ gives the host Claude Code, and the bottle "claude-dev" for it, whose model is
// m and which may push to the job's repository.
func (h *host) employ(m *model) {
	h.t.Helper()
	out, err := output(h.t.Context(), exec.CommandContext(h.t.Context(), "sh", "../../tools/agents.sh"))
	must(h.t, err)
	must(h.t, os.Symlink(filepath.Join(strings.TrimSpace(out), "node_modules/.bin/claude"), filepath.Join(h.dir, "bin/claude")))
	h.write("home/model-key", modelKey+"\n")
	h.configure("model.pem", m.authority)
	h.mayPush("")
	h.configure("bottles/claude-dev.md", fmt.Sprintf(`---
extends: dev
agent_provider: {template: claude, auth_token: "file:%s/home/model-key"}
egress: {routes: [{host: api.anthropic.com, connect_to: %q, addresses: [127.0.0.0/8], ca_file: /etc/bot-bottle/model.pem}]}
---
`, h.dir, m.address))
}

// readmesWorkflow is the README's, as it stands there.
func readmesWorkflow(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("../../README.md")
	must(t, err)
	_, after, found := strings.Cut(string(b), "## In CI\n\n<!-- workflow -->\n```yaml\n")
	text, _, ended := strings.Cut(after, "```")
	if !found || !ended {
		t.Fatal("the README has no workflow")
	}
	return map[string]string{".gitea/workflows/agent.yml": text}
}

func TestClaudeCodeDoesWhatACommentAsksFor(t *testing.T) {
	t.Parallel()
	rootOnly(t)
	h := newHost(t, "claude", true)
	m := newModel(t, "pwd; git status -sb; echo blue > colour && git add colour && git commit -qm 'Set the colour' && git push 2>&1", "The colour is blue now, @ada. ![x](http://x.invalid/y)")
	h.employ(m)
	must(t, h.repo.commit(t.Context(), readmesWorkflow(t)))
	from := time.Now()
	j, log, issue := h.asked()
	t.Logf("comment to the job's end: %v", time.Since(from).Round(time.Millisecond))
	if j.Conclusion != "success" {
		t.Fatalf("the job ended with %q:\n%s", j.Conclusion, log)
	}
	for _, words := range []string{"The colour is wrong", "@bottle please", "/workspace", "* [new branch]"} {
		if heard, keys := m.heard(words); !heard || slices.ContainsFunc(keys, func(k string) bool { return k != modelKey }) {
			t.Errorf("the model did not hear %q, with the keys %q", words, keys)
		}
	}
	pulls, err := h.repo.pullRequests(t.Context())
	must(t, err)
	if branches := h.pushedBranches(); len(branches) != 1 || len(pulls) != 1 || pulls[0].Head.Ref != branches[0] {
		t.Errorf("branches %v, pull requests %+v", branches, pulls)
	}
	said := h.answered(issue)
	if !strings.Contains(said, "```text\nThe colour is blue now, @ada. ![x](http://x.invalid/y)\n```") {
		t.Errorf("the comment:\n%s", said)
	}
	for _, secret := range []string{modelKey, theForge(t).bot.token, "PRIVATE KEY"} {
		if strings.Contains(log+said, secret) {
			t.Errorf("%q is in the log or in the comment", secret)
		}
	}
	h.noKeys()
	h.awaitNothingLeft()
}
