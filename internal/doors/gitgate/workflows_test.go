package gitgate

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/sshtest"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/workflow"
)

// Workflows that exist in the upstream, and that no push may change.
const (
	ciFile      = ".gitea/workflows/ci.yml"
	onHost      = "on: push\njobs: { build: { runs-on: nixos, steps: [{ run: make }] } }\n"
	onForge     = "on: push\njobs: { build: { runs-on: ubuntu-latest, steps: [{ run: make }] } }\n"
	pullRequest = "on: pull_request\njobs: { build: { runs-on: nixos, steps: [{ run: make }] } }\n"
)

// buildWorld is a world with the real judge, whose upstream has these files on main
// beside a Makefile, and whose bottle accepts some of them.
func buildWorld(t *testing.T, files map[string]string, accepted ...string) *world {
	t.Helper()
	j, err := NewJudge(JudgeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(o *Options) {
		o.Judge = j
		o.Repositories[0].Push.Refs = append(o.Repositories[0].Push.Refs, "refs/heads/release/1", "refs/tags/*")
		o.Repositories[0].Push.HostWorkflows = accepted
	})
	all := map[string]string{"Makefile": "all:\n"}
	maps.Copy(all, files)
	w.Commit("widgets.git", "main", all)
	return w
}

// evilMakefile is what an agent would have the host run.
func (w *world) evilMakefile() (dir string) {
	w.t.Helper()
	dir = w.clone()
	w.change(dir, map[string]string{"Makefile": "all:\n\tcat /etc/shadow\n"})
	return dir
}

func TestABuildFileThatAWorkflowWouldRunOnTheHostIsNotPushed(t *testing.T) {
	w := buildWorld(t, map[string]string{ciFile: onHost})
	dir := w.evilMakefile()
	w.refusedPush(t, dir, RuleHostWorkflow, `outside of any bottle: ".gitea/workflows/ci.yml": job "build" on "nixos" by push`, "HEAD:"+pushable)
	w.refusedPush(t, dir, RuleHostWorkflow, "accepts that with `host_workflows: [.gitea/workflows/ci.yml]` under", "HEAD:"+pushable)
	w.log.checkLines(t)
}

// What runs is what the pushed commit has, whatever has become of main since then.
func TestAnOldCommitsWorkflowCountsForWhatBranchesFromIt(t *testing.T) {
	w := buildWorld(t, map[string]string{ciFile: onHost})
	dir := w.evilMakefile()
	w.Commit("widgets.git", "main", map[string]string{ciFile: onForge})
	git(t, dir, "fetch", "--quiet", "origin")
	w.refusedPush(t, dir, RuleHostWorkflow, `job "build" on "nixos" by push`, "HEAD:"+pushable)
	git(t, dir, "tag", "v1")
	git(t, dir, "tag", "--annotate", "--message", "a tag of a tag", "v2", "v1")
	w.refusedPush(t, dir, RuleHostWorkflow, `job "build" on "nixos" by push`, "v2")
}

// A pull request can start the base's workflows, which the branch may not have.
func TestTheBasesWorkflowsCountForWhatBranchesFromBefore(t *testing.T) {
	w := buildWorld(t, map[string]string{"README": "more\n"})
	dir := w.evilMakefile()
	w.Commit("widgets.git", "main", map[string]string{ciFile: pullRequest})
	git(t, dir, "fetch", "--quiet", "origin")
	w.refusedPush(t, dir, RuleHostWorkflow, `job "build" on "nixos" by pull_request`, "HEAD:"+pushable)
}

func TestWhichWorkflowsStandAgainstAPush(t *testing.T) {
	const hosted = "runs-on: nixos } }\n"
	for name, c := range map[string]struct {
		files    map[string]string
		accepted []string
		ref      string
		words    string // empty: it passes
	}{
		"accepted by name":            {map[string]string{ciFile: onHost}, []string{ciFile}, pushable, ""},
		"another accepted":            {map[string]string{ciFile: onHost}, []string{".github/workflows/ci.yml"}, pushable, `by push`},
		"on the forge's own machine":  {map[string]string{ciFile: onForge}, nil, pushable, ""},
		"for a pull request":          {map[string]string{ciFile: pullRequest}, nil, pushable, `by pull_request`},
		"for main alone":              {map[string]string{ciFile: "on: { push: { branches: [main] } }\njobs: { a: { " + hosted}, nil, pushable, ""},
		"for releases":                {map[string]string{ciFile: "on: { push: { branches: ['release/*'] } }\njobs: { a: { " + hosted}, nil, "refs/heads/release/1", `by push`},
		"for a tag":                   {map[string]string{ciFile: "on: { push: { tags: ['v*'] } }\njobs: { a: { " + hosted}, nil, "refs/tags/v1", `by push`},
		"for tags, and a branch":      {map[string]string{ciFile: "on: { push: { tags: ['v*'] } }\njobs: { a: { " + hosted}, nil, pushable, ""},
		"in a folder below":           {map[string]string{".gitea/workflows/a/b.yml": onHost}, nil, pushable, `"build" on "nixos"`},
		"not to be read":              {map[string]string{ciFile: "on: ["}, nil, pushable, `".gitea/workflows/ci.yml" can't be read`},
		"not to be read, accepted":    {map[string]string{ciFile: "on: ["}, []string{ciFile}, pushable, ""},
		"too large":                   {map[string]string{ciFile: onForge + strings.Repeat("#\n", workflow.MaxFile/2)}, nil, pushable, `".gitea/workflows/ci.yml" can't be read`},
		"too large, accepted":         {map[string]string{ciFile: onForge + strings.Repeat("#\n", workflow.MaxFile/2)}, []string{ciFile}, pushable, ""},
		"one of two accepted":         {map[string]string{ciFile: onHost, ".gitea/workflows/b c.yml": onHost}, []string{ciFile}, pushable, "`host_workflows: [\".gitea/workflows/b c.yml\"]`"},
		"called by another":           {map[string]string{ciFile: "on: push\njobs: { a: { uses: ./.gitea/workflows/host.yml } }\n", ".gitea/workflows/host.yml": strings.Replace(onHost, "push", "workflow_call", 1)}, nil, pushable, `".gitea/workflows/host.yml": job "build"`},
		"called by another, accepted": {map[string]string{ciFile: "on: push\njobs: { a: { uses: ./.gitea/workflows/host.yml } }\n", ".gitea/workflows/host.yml": strings.Replace(onHost, "push", "workflow_call", 1)}, []string{".gitea/workflows/host.yml"}, pushable, ""},
		"a file in a folder's place":  {map[string]string{".gitea": "x"}, nil, pushable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := buildWorld(t, c.files, c.accepted...)
			dir := w.evilMakefile()
			if c.words != "" {
				w.refusedPush(t, dir, RuleHostWorkflow, c.words, "HEAD:"+c.ref)
				return
			}
			git(t, dir, "push", "--quiet", "origin", "HEAD:"+c.ref)
			if w.Ref("widgets.git", c.ref) != git(t, dir, "rev-parse", "HEAD") {
				t.Error("it did not arrive")
			}
		})
	}
}

// Forges may follow a link or not.
func TestALinkAmongTheWorkflowsCountsAsExposed(t *testing.T) {
	for name, words := range map[string]string{".gitea/workflows": `".gitea/workflows" can't be read`, ciFile: `".gitea/workflows/ci.yml" can't be read`} {
		w := buildWorld(t, map[string]string{"README": "more\n"})
		theirs := filepath.Join(t.TempDir(), "c")
		git(t, w.dir, "clone", "--quiet", filepath.Join(w.Server.Dir, "widgets.git"), theirs)
		link := sshtest.Git(theirs, "hash-object", "-w", "--stdin")
		link.Stdin = strings.NewReader("/etc")
		id, err := link.Output()
		if err != nil {
			t.Fatal(err)
		}
		git(t, theirs, "update-index", "--add", "--cacheinfo", "120000,"+strings.TrimSpace(string(id))+","+name)
		git(t, theirs, "commit", "--quiet", "--message", "x")
		git(t, theirs, "push", "--quiet")
		w.refusedPush(t, w.evilMakefile(), RuleHostWorkflow, words, "HEAD:"+pushable)
	}
}

func TestWorkflowsAreLookedAtBeforeTheJob(t *testing.T) {
	for name, c := range map[string]struct {
		files    map[string]string
		accepted []string
		words    string
	}{
		"exposed":  {map[string]string{ciFile: onHost}, nil, `".gitea/workflows/ci.yml": job "build" on "nixos" by push`},
		"accepted": {map[string]string{ciFile: onHost}, []string{ciFile}, ""},
		"harmless": {map[string]string{ciFile: onForge}, nil, ""},
		"for tags": {map[string]string{ciFile: "on: { push: { tags: ['v*'] } }\njobs: { a: { runs-on: nixos } }\n"}, nil, `job "a" on "nixos" by push`},
	} {
		w := buildWorld(t, c.files, c.accepted...)
		err := w.door.Workflows(context.Background(), "widgets", "")
		if (err == nil) != (c.words == "") || err != nil && !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (term.StageOf(err, "") != term.StagePreflight || !strings.Contains(strings.Join(term.Hints(err), "\n"), "`host_workflows: [.gitea/workflows/ci.yml]` under `git-gate.repos.widgets`")) {
			t.Errorf("%s: %q, %q", name, term.StageOf(err, ""), term.Hints(err))
		}
	}
}

func TestTheCommitOfTheJobIsLookedAtToo(t *testing.T) {
	w := buildWorld(t, map[string]string{ciFile: onHost})
	old := w.Ref("widgets.git", "main")
	w.Commit("widgets.git", "main", map[string]string{ciFile: onForge})
	for commit, exposed := range map[string]bool{"": false, old: true, strings.Repeat("1", 40): false} {
		if err := w.door.Workflows(context.Background(), "widgets", commit); (err != nil) != exposed {
			t.Errorf("at %q: %v", commit, err)
		}
	}
	for _, wrong := range [][2]string{{"widgets", "--all"}, {"gadgets", ""}} {
		if err := w.door.Workflows(context.Background(), wrong[0], wrong[1]); err == nil {
			t.Errorf("%q was looked at", wrong)
		}
	}
}

func TestAnUpstreamThatTellsNoWorkflows(t *testing.T) {
	w := buildWorld(t, map[string]string{"README": "more\n"})
	git(t, filepath.Join(w.Server.Dir, "widgets.git"), "update-ref", "-d", "refs/heads/main")
	if err := w.door.Workflows(context.Background(), "widgets", ""); err != nil {
		t.Errorf("an empty one: %v", err)
	}
	w.Before(func(string) error { return errors.New("down for maintenance") })
	if err := w.door.Workflows(context.Background(), "widgets", ""); err == nil || !strings.Contains(err.Error(), "down for maintenance") {
		t.Errorf("one that is down: %v", err)
	}
}
