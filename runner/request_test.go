package runner_test

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
)

var update = flag.Bool("update", false, "write testdata anew")

// host is a host's folders of bottles and agents, and a checkout.
type host struct {
	t   testing.TB
	dir string
}

func newHost(t testing.TB, files map[string]string) host {
	t.Helper()
	h := host{t, t.TempDir()}
	for name, content := range files {
		h.write(name, content)
	}
	return h
}

func (h host) path(name string) string { return filepath.Join(h.dir, name) }

func (h host) write(name, content string) {
	h.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(h.path(name)), 0o755), os.WriteFile(h.path(name), []byte(content), 0o644)); err != nil {
		h.t.Fatal(err)
	}
}

// commit commits everything in the folder repo and gives the commit's id.
func (h host) commit() string {
	h.t.Helper()
	var out []byte
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-q", "--allow-empty", "-m", "x"}, {"rev-parse", "HEAD"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = h.path("repo")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@x.invalid", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@x.invalid"}
		var err error
		if out, err = cmd.CombinedOutput(); err != nil {
			h.t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	return strings.TrimSpace(string(out))
}

// request asks with the host's folders and an environment of these variables.
func (h host) request(variables ...string) runner.Request {
	return runner.Request{
		BottleDirs: []string{h.path("bottles")}, AgentDirs: []string{h.path("agents")}, Backend: runner.Auto,
		Lookup: func(name string) (string, bool) {
			for _, v := range variables {
				if n, value, _ := strings.Cut(v, "="); n == name {
					return value, true
				}
			}
			return "", false
		},
	}
}

// fails checks what is printed of the error of req, without the host's folder.
func (h host) fails(req runner.Request, stage term.Stage, want string) {
	h.t.Helper()
	_, err := runner.MakePlan(h.t.Context(), req)
	if err == nil {
		h.t.Errorf("there is no error, but was to be:\n%s", want)
		return
	}
	if got := strings.ReplaceAll(term.Explain(err), h.dir+"/", ""); strings.TrimSpace(got) != want || term.StageOf(err, "") != stage {
		h.t.Errorf("it says (%s)\n%s\nnot\n%s", term.StageOf(err, ""), got, want)
	}
}

var three = map[string]string{
	"bottles/base.md": "---\nenv:\n  LANG: C.UTF-8\n  KEY: ${HOST_KEY}\n  WHO: base\nlimits: {memory: 2GiB, requests: 500}\negress: {presets: [pypi]}\n---\n",
	"bottles/dev.md": "---\nextends: base\nfor: {repositories: [acme/*], events: [issue_comment]}\nenv: {WHO: dev, PIN: ?Your pin}\n" +
		"egress:\n  presets: [crates]\n  routes:\n    - host: api.example.com\n      matches: [{path: {value: /v1}, methods: [GET, POST]}]\n      auth: {scheme: Bearer, token_ref: \"env:API_TOKEN\"}\n---\n",
	"bottles/ci.md":   "---\nextends: dev\nenv: {WHO: ci}\nlimits: {timeout: 10m}\ngit-gate: {user: {name: CI, email: ci@example.com}}\n---\n",
	"agents/fixer.md": "---\nbottle: dev\ncommand: [make, test]\ngit-gate: {user: {name: Fixer}}\n---\nYou mend tests.\n",
	"agents/plain.md": "---\nprovider: command\ncommand: \"true\"\n---\n",
}

func ask(name, _ string) (secret.Value, error) { return secret.New(name, "1234"), nil }

func TestARequestBecomesAPlan(t *testing.T) {
	h := newHost(t, three)
	req := h.request("HOST_KEY=k3y", "API_TOKEN=t0ken")
	req.Name, req.Agent, req.Bottles, req.Ask, req.Timeout, req.Root, req.Prompt = "n", "fixer", []string{"ci"}, ask, 90*time.Second, true, "Mend it"
	p, err := runner.MakePlan(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	stdin, _ := io.ReadAll(p.Task.Stdin)
	got := []string{p.Name, p.Bottle, p.Agent, p.Provider, strings.Join(p.Lineage, ">"), strings.Join(p.Task.Argv, " "), string(stdin), p.Backend, p.Policy.Limits.Timeout.String()}
	want := []string{"n", "ci", "fixer", "command", "base>dev>ci", "make test", "Mend it", "auto", "1m30s"}
	if !slices.Equal(got, want) || !p.Task.Root || p.Secrets["env:API_TOKEN"].Reveal() != "t0ken" {
		t.Errorf("the plan is %q", got)
	}
	env := map[string]string{}
	for _, v := range p.Policy.Env {
		env[v.Name] = v.Value
	}
	if env["WHO"] != "ci" || env["PIN"] != "1234" || env["KEY"] != "k3y" || env["GIT_AUTHOR_NAME"] != "Fixer" || env["GIT_AUTHOR_EMAIL"] != "ci@example.com" {
		t.Errorf("the variables are %v", env)
	}
}

func TestACommandNeedsNoBottleAndReachesNothing(t *testing.T) {
	req := newHost(t, three).request()
	req.Argv = []string{"id"}
	for _, job := range []*manifest.Job{nil, {Repository: "any/thing"}} {
		req.Job = job
		p, err := runner.MakePlan(t.Context(), req)
		if err != nil || p.Bottle != runner.NoBottle || len(p.Policy.Egress.Routes) != 0 || len(p.Policy.Env) != 0 {
			t.Errorf("%+v, %v", p, err)
		}
	}
}

func TestTheCallersBottlesTakeThePlaceOfTheAgents(t *testing.T) {
	h := newHost(t, three)
	req := h.request("HOST_KEY=k")
	req.Agent, req.Bottles = "fixer", []string{"base"}
	if p, err := runner.MakePlan(t.Context(), req); err != nil || p.Bottle != "base" {
		t.Errorf("%+v, %v", p.Bottle, err)
	}
}

func TestWhatIsWrongInARequest(t *testing.T) {
	h := newHost(t, three)
	h.write("bottles/claude-dev.md", "---\nextends: claude\n---\n")
	h.write("agents/lost.md", "---\nbottle: relase\ncommand: a\n---\n")
	h.write("agents/talker.md", "---\nbottle: claude-dev\nprovider: codex\n---\nTalk.")
	h.write("agents/idle.md", "---\nbottle: base\n---\n")
	with := func(change func(*runner.Request)) runner.Request {
		req := h.request("HOST_KEY=k", "API_TOKEN=t")
		change(&req)
		return req
	}
	for want, c := range map[string]struct {
		stage  term.Stage
		change func(*runner.Request)
	}{
		"error: reading the arguments: there is nothing to run\nhint: name an agent with --agent, or give a command: bot-bottle run -- COMMAND": {
			term.StageUsage, func(*runner.Request) {}},
		"error: reading the arguments: there is nothing to run: neither a command nor an agent_provider in bottle \"base\"\n" +
			"hint: build the bottle on an agent CLI's, such as `extends: claude`, or give a command: bot-bottle run -- COMMAND": {
			term.StageUsage, func(r *runner.Request) { r.Agent = "idle" }},
		"error: agents/plain.md: choosing a bottle: agent \"plain\" names none\nhint: name one with --bottle, or in the agent's file: `bottle: NAME`": {
			term.StageManifest, func(r *runner.Request) { r.Agent = "plain" }},
		"error: agents/lost.md: choosing the bottle of agent \"lost\": there is no bottle \"relase\"\n" +
			"hint: bottles come from this host's own folders: bottles\nhint: there are these: base, ci, claude-dev, dev": {
			term.StageManifest, func(r *runner.Request) { r.Agent = "lost" }},
		"error: there is no bottle \"bse\"\nhint: did you mean \"base\"?": {
			term.StageManifest, func(r *runner.Request) { r.Agent, r.Bottles = "fixer", []string{"bse"} }},
		"error: there is no agent \"fixr\"\nhint: did you mean \"fixer\"?": {
			term.StageManifest, func(r *runner.Request) { r.Agent = "fixr" }},
		"error: agents/talker.md: choosing a provider: the agent is for codex, the bottle \"claude-dev\" for claude\n" +
			"hint: name a bottle with `agent_provider: {template: codex}`": {
			term.StageManifest, func(r *runner.Request) { r.Agent, r.Prompt = "talker", "Talk" }},
		"error: --prompt: reading the task: there is none for claude to do\nhint: say it with --prompt, or from a file with --prompt-file": {
			term.StageUsage, func(r *runner.Request) { r.Bottles, r.Prompt = []string{"claude-dev"}, " \n" }},
		"error: --prompt: reading the task: a command has no task in words\nhint: leave out one of the two": {
			term.StageUsage, func(r *runner.Request) { r.Argv, r.Prompt = []string{"id"}, "x" }},
		"error: --prompt: reading the task: it has 1048577 bytes, more than 1048576\nhint: put what is long into a file of the workspace and name it": {
			term.StageUsage, func(r *runner.Request) { r.Agent, r.Prompt = "fixer", strings.Repeat("x", 1<<20+1) }},
		"error: --prompt: reading the task: it holds a NUL byte\nhint: write it as text": {
			term.StageUsage, func(r *runner.Request) { r.Agent, r.Prompt = "fixer", "a\x00b" }},
		"error: --model: reading the model: a command has none\nhint: leave out one of the two": {
			term.StageUsage, func(r *runner.Request) { r.Argv, r.Model = []string{"id"}, "opus" }},
		"error: --model: reading the model: \"-x\" is not the name of a model\nhint: write it as the provider does": {
			term.StageUsage, func(r *runner.Request) { r.Bottles, r.Model = []string{"claude-dev"}, "-x" }},
		"error: bottles/base.md:4: env.KEY: the host's environment has no variable \"HOST_KEY\"\nhint: set HOST_KEY in the environment of bot-bottle": {
			term.StageManifest, func(r *runner.Request) {
				r.Agent, r.Bottles = "fixer", []string{"base"}
				r.Lookup = func(string) (string, bool) { return "", false }
			}},
		"error: bottles/dev.md:4: env.PIN: the value is asked for, and there is no terminal to ask on\n" +
			"hint: run it from a terminal, or take the value from the host: `PIN: ${NAME}`": {
			term.StageManifest, func(r *runner.Request) { r.Agent = "fixer" }},
	} {
		h.fails(with(c.change), c.stage, want)
	}
}

func TestUnderARunnerABottleHasToServeTheJob(t *testing.T) {
	h := newHost(t, three)
	req := h.request("HOST_KEY=k", "API_TOKEN=t")
	req.Ask = ask
	req.Agent = "fixer"
	req.Job = &manifest.Job{Repository: "acme/web", Event: "issue_comment", Ref: "refs/heads/main"}
	p, err := runner.MakePlan(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "any job can give itself another policy") { // the folder is the tests' user's
		t.Errorf("the warnings are %q", p.Warnings)
	}
	req.Job = &manifest.Job{Repository: "evil/web", Event: "issue_comment"}
	h.fails(req, term.StageManifest, "error: bottles/dev.md: checking bottle \"dev\": it doesn't serve repository \"evil/web\"\nhint: whoever owns the host can add it to the bottle's `for.repositories`")
	req.Job = &manifest.Job{Repository: "acme/web", Event: "pull_request_target"}
	h.fails(req, term.StageManifest, "error: bottles/dev.md: checking bottle \"dev\": it doesn't serve event \"pull_request_target\"\nhint: whoever owns the host can add it to the bottle's `for.events`")
	req.Job = &manifest.Job{Repository: "acme/web", Event: "issue_comment"}
	req.Bottles = []string{"dev", "base"} // base names nobody
	h.fails(req, term.StageManifest, "error: bottles/base.md: checking bottle \"base\": it doesn't name the repositories that it serves\n"+
		"hint: a runner takes jobs of many repositories; in a bottle of the host write `for: {repositories: [\"acme/web\"]}`")
}

func TestARepositorysAgentsComeFromTheCommitAlone(t *testing.T) {
	h := newHost(t, three)
	h.write("repo/.bot-bottle/agents/mender.md", "---\nbottle: base\ncommand: [committed]\n---\n")
	h.write("repo/.bot-bottle/agents/fixer.md", "---\nbottle: base\ncommand: [the-repositorys]\n---\n")
	h.write("repo/.bot-bottle/agents/greedy.md", "---\nbottle: production\ncommand: [x]\n---\n")
	h.write("repo/.bot-bottle/agents/broken.md", "---\nbottle: base\negress: {}\n---\n")
	base := h.commit()
	h.write("repo/.bot-bottle/agents/mender.md", "---\nbottle: ci\ncommand: [changed]\n---\n")
	h.write("repo/.bot-bottle/agents/planted.md", "---\nbottle: ci\ncommand: [planted]\n---\n")
	h.commit()

	req := h.request("HOST_KEY=k", "API_TOKEN=t")
	req.Ask = ask
	req.Repository = &runner.RepositoryAgents{Dir: h.path("repo"), Rev: base}
	argv := func(agent string) string {
		req.Agent = agent
		p, err := runner.MakePlan(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return p.Bottle + " " + strings.Join(p.Task.Argv, " ")
	}
	if got := argv("mender"); got != "base committed" {
		t.Errorf("the agent is %q", got)
	}
	if got := argv("fixer"); got != "dev make test" { // the host's own comes first
		t.Errorf("the agent is %q", got)
	}
	req.Agent = "planted"
	h.fails(req, term.StageManifest, "error: there is no agent \"planted\"\nhint: there are these: fixer, plain")
	req.Agent = "greedy"
	h.fails(req, term.StageManifest, "error: "+base[:12]+":.bot-bottle/agents/greedy.md: choosing the bottle of agent \"greedy\": there is no bottle \"production\"\n"+
		"hint: bottles come from this host's own folders: bottles\nhint: there are these: base, ci, dev")
	req.Agent = "broken"
	h.fails(req, term.StageManifest, "error: "+base[:12]+":.bot-bottle/agents/broken.md:3: egress: unknown key\n"+
		"hint: known here: bottle, color, command, description, git-gate, memory, model, name, provider, skills")
	req.Agent, req.Repository.Rev = "mender", strings.Repeat("0", 40)
	if _, err := runner.MakePlan(t.Context(), req); err == nil {
		t.Error("an agent came from no commit")
	}
}

func TestARepositorysAgentsMustNotDifferInCaseAlone(t *testing.T) {
	h := newHost(t, three)
	h.write("repo/.bot-bottle/agents/mender.md", "---\nbottle: base\ncommand: [a]\n---\n")
	h.write("repo/.bot-bottle/agents/Mender.md", "---\nbottle: base\ncommand: [b]\n---\n")
	base := h.commit()
	req := h.request("HOST_KEY=k")
	req.Agent, req.Repository = "mender", &runner.RepositoryAgents{Dir: h.path("repo"), Rev: base}
	h.fails(req, term.StageManifest, "error: "+base[:12]+":.bot-bottle/agents/mender.md: reading agent \"mender\": the repository also has \"Mender.md\", which differs in case alone\n"+
		"hint: rename or remove one of the two; names are in lower case")
}

func TestBottlesOfARepositoryAreIgnoredWithAWarning(t *testing.T) {
	h := newHost(t, three)
	h.write("repo/.bot-bottle/bottles/base.md", "---\nenv: {WHO: evil}\n---\n")
	h.write("repo/bottles/evil.md", "---\n---\n")
	h.commit()
	req := h.request("HOST_KEY=k")
	req.Agent, req.Bottles, req.Workspace = "fixer", []string{"base"}, &runner.Workspace{Dir: h.path("repo")}
	p, err := runner.MakePlan(t.Context(), req)
	if err != nil || len(p.Warnings) != 2 || !strings.Contains(p.Warnings[0], `".bot-bottle/bottles" of the workspace are ignored`) {
		t.Errorf("the warnings are %q, %v", p.Warnings, err)
	}
	if !slices.ContainsFunc(p.Policy.Env, func(v policy.EnvVar) bool { return v.Name == "WHO" && v.Value == "base" }) {
		t.Errorf("the variables are %v", p.Policy.Env)
	}
	req.Bottles = []string{"evil"}
	h.fails(req, term.StageManifest, "error: there is no bottle \"evil\"\nhint: there are these: base, ci, dev")
}

func TestThePreviewShowsWhatHoldsAndNoSecret(t *testing.T) {
	h := newHost(t, three)
	h.write("bottles/claude-dev.md", "---\nextends: claude\nagent_provider: {template: claude, auth_token: \"env:CLAUDE\"}\nsupervise: true\n---\n")
	h.write("agents/talker.md", "---\nbottle: claude-dev\nmodel: opus\n---\nBe kind.\n\nBe brief.\n")
	for name, change := range map[string]func(*runner.Request){
		"command":      func(r *runner.Request) { r.Argv = []string{"make", "test"} },
		"merged":       func(r *runner.Request) { r.Agent, r.Bottles, r.Timeout = "fixer", []string{"ci", "base"}, time.Minute },
		"not-held-yet": func(r *runner.Request) { r.Agent, r.Prompt = "talker", "Mend the test.\n::error::no\n" },
		"under-a-runner": func(r *runner.Request) {
			r.Agent, r.Job = "fixer", &manifest.Job{Repository: "acme/web", Event: "issue_comment"}
		},
	} {
		req := h.request("HOST_KEY=hunter2", "API_TOKEN=hunter2", "CLAUDE=hunter2")
		req.Ask = func(string, string) (secret.Value, error) {
			t.Error("somebody is asked")
			return secret.Value{}, nil
		}
		change(&req)
		preview, ok, _ := runner.Explain(t.Context(), req)
		if !ok {
			t.Fatalf("%s: nothing is shown", name)
		}
		yaml, err := manifest.YAML(preview)
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := json.Marshal(preview)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(yaml+string(asJSON), "hunter2") {
			t.Errorf("%s shows a secret:\n%s", name, yaml)
		}
		golden(t, filepath.Join("testdata", "preview", name+".yaml"), strings.ReplaceAll(yaml, h.dir, "/HOST"))
	}
}

// golden compares got with a file, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		t.Errorf("%s: %v\ngot\n%s\nwant\n%s", path, err, got, want)
	}
}

func TestAPreviewFailsAsTheJobWould(t *testing.T) {
	h := newHost(t, three)
	req := h.request("HOST_KEY=k")
	req.Agent = "fixer"
	_, ok, err := runner.Explain(t.Context(), req)
	if !ok || err == nil || !strings.Contains(err.Error(), "API_TOKEN") {
		t.Errorf("%v, %v", ok, err)
	}
	req.Agent = "absent"
	if _, ok, err := runner.Explain(t.Context(), req); ok || err == nil {
		t.Errorf("%v, %v", ok, err)
	}
}
