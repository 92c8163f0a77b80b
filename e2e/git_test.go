package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/sshtest"
)

// gitBottle is a bottle that reaches the repository widgets.git of server, and may
// push a branch of the run's own to it.
func (w *world) gitBottle(server *sshtest.Server, more string) {
	w.t.Helper()
	key := w.write("key", server.Key)
	w.must(os.Chmod(key, 0o600))
	w.write("bottles/dev.md", fmt.Sprintf("---\ngit-gate:\n  user: {name: Agent, email: agent@example.com}\n  repos:\n    widgets: {url: %q, host_key: %q, key: {provider: static, path: %s}%s}\n---\n",
		server.URL("widgets.git"), server.HostKey, key, more))
}

func TestTheAgentClonesAndPushesThroughTheGate(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		server := sshtest.New(t)
		server.Repository("widgets.git", map[string]string{"README": "hello\n"})
		w.gitBottle(server, "")
		script := `set -e
git clone -q ` + server.URL("widgets.git") + ` c; cd c; cat README
echo changed > README; git commit -qam change
git push origin HEAD:refs/heads/main 2>&1 | grep "does not list"
git push -q origin HEAD:$BOT_BOTTLE_BRANCH; git log -1 --format=%an; git rev-parse HEAD`
		r := w.run("run", "--bottles-dir", filepath.Join(w.dir, "bottles"), "--bottle", "dev", "--", "sh", "-c", script)
		if r.code != 0 || !strings.Contains(r.stdout, "hello\n") || !strings.Contains(r.stdout, "does not list") || !strings.Contains(r.stdout, "\nAgent\n") {
			t.Fatal(r)
		}
		branches := sshtest.Run(t, filepath.Join(server.Dir, "widgets.git"), "for-each-ref", "--format=%(objectname)", "refs/heads/bottle/")
		if words := strings.Fields(r.stdout); branches != words[len(words)-1] {
			t.Errorf("the upstream has %q: %s", branches, r)
		}
		if !strings.Contains(r.stderr+r.stdout, "git-gate") {
			t.Errorf("the doors' record does not name the git-gate: %s", r)
		}
		w.nothingLeft()
	})
}

func TestASecretDoesNotPassTheGate(t *testing.T) {
	w := newWorld(t, true)
	server := sshtest.New(t)
	server.Repository("widgets.git", map[string]string{"README": "hello\n"})
	w.gitBottle(server, "")
	script := `git clone -q ` + server.URL("widgets.git") + ` c; cd c
printf 'key = "%s%s"\n' ghp_ 9f3kD02lqPz8Xw1Rm4Tn6Vb7Yc5Ad0Se2Gh1 > k; git add k; git commit -qm x
git push origin HEAD:$BOT_BOTTLE_BRANCH`
	r := w.run("run", "--bottles-dir", filepath.Join(w.dir, "bottles"), "--bottle", "dev", "--", "sh", "-c", script)
	if r.code != 1 || !strings.Contains(r.stdout+r.stderr, "remote: bot-bottle: gitleaks found a secret in \"k\"") || !strings.Contains(r.stdout+r.stderr, "rule github-pat, line 1") {
		t.Error(r)
	}
	for _, command := range server.Commands() {
		if strings.Contains(command, "receive-pack") {
			t.Errorf("the upstream saw %q", command)
		}
	}
	w.nothingLeft()
}
