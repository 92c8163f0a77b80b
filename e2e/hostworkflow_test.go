package e2e

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/sshtest"
)

// hostWorkflow is one that a forge's runner on the host would start for each push.
var hostWorkflow = map[string]string{
	"Makefile":                "all:\n",
	".gitea/workflows/ci.yml": "on: push\njobs: { build: { runs-on: nixos, steps: [{ run: make }] } }\n",
}

// pushMakefile changes the build file and pushes it.
func pushMakefile(server *sshtest.Server) string {
	return `set -e; echo the agent has begun
git clone -q ` + server.URL("widgets.git") + ` c; cd c
printf 'all:\n\tid\n' > Makefile; git commit -qam change; git push -q origin HEAD:$BOT_BOTTLE_BRANCH`
}

func TestAJobWhosePushTheHostWouldRunDoesNotStart(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		server := sshtest.New(t)
		server.Repository("widgets.git", hostWorkflow)
		w.gitBottle(server, "")
		r := w.run("run", "--bottles-dir", filepath.Join(w.dir, "bottles"), "--bottle", "dev", "--", "sh", "-c", pushMakefile(server))
		if r.code != 3 || strings.Contains(r.stdout, "the agent has begun") {
			t.Fatal(r)
		}
		for _, words := range []string{
			`".gitea/workflows/ci.yml": job "build" on "nixos" by push`,
			"hint: or accept them with `host_workflows: [.gitea/workflows/ci.yml]` under `git-gate.repos.widgets` of the bottle",
		} {
			if !strings.Contains(r.stderr, words) {
				t.Errorf("it doesn't say %q: %s", words, r)
			}
		}
		w.nothingLeft()
	})
}

func TestAWorkflowThatTheBottleAcceptsStopsNoJob(t *testing.T) {
	w := newWorld(t, true)
	server := sshtest.New(t)
	server.Repository("widgets.git", hostWorkflow)
	w.gitBottle(server, ", host_workflows: [.gitea/workflows/ci.yml]")
	r := w.run("run", "--bottles-dir", filepath.Join(w.dir, "bottles"), "--bottle", "dev", "--", "sh", "-c", pushMakefile(server))
	if r.code != 0 || sshtest.Run(t, filepath.Join(server.Dir, "widgets.git"), "for-each-ref", "refs/heads/bottle/") == "" {
		t.Error(r)
	}
	if !strings.Contains(r.stdout+r.stderr, "workflows  ") {
		t.Errorf("the time that it took is not told: %s", r)
	}
	w.nothingLeft()
}

// Where nothing can be pushed nothing is asked.
func TestAJobThatMayNotPushAsksForNoWorkflows(t *testing.T) {
	w := newWorld(t, true)
	server := sshtest.New(t)
	server.Repository("widgets.git", hostWorkflow)
	w.gitBottle(server, ", push: []")
	r := w.run("run", "--bottles-dir", filepath.Join(w.dir, "bottles"), "--bottle", "dev", "--", "true")
	if r.code != 0 || len(server.Commands()) != 0 {
		t.Errorf("the upstream saw %q: %s", server.Commands(), r)
	}
}

func TestAnUpstreamThatIsDownStopsAJobThatWouldPush(t *testing.T) {
	w := newWorld(t, true)
	server := sshtest.New(t)
	server.Repository("widgets.git", hostWorkflow)
	server.Before(func(string) error { return errors.New("down for maintenance") })
	w.gitBottle(server, "")
	r := w.run("run", "--bottles-dir", filepath.Join(w.dir, "bottles"), "--bottle", "dev", "--", "true")
	if r.code != 3 || !strings.Contains(r.stderr, "asking the upstream of \"widgets\" for its workflows") || !strings.Contains(r.stderr, "down for maintenance") {
		t.Error(r)
	}
	w.nothingLeft()
}
