package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/forge/forgetest"
	"github.com/bot-bottle/action/internal/modeltest"
	"github.com/goccy/go-yaml"
)

// asked puts the recorded comment of testdata before a forge on which ada has
// this permission.
func (h *runnerHost) asked(event, permission string) *forgetest.Server {
	h.t.Helper()
	payload, err := os.ReadFile(filepath.Join(h.repository, "action/testdata", event+".json"))
	h.must(err)
	h.event("issue_comment", string(payload))
	access := fmt.Sprintf(`{"permission": %q, "user": {"id": 11, "login": "ada"}}`, permission)
	forge := forgetest.New(h.t, nil)
	forge.Answers = map[string]forgetest.Answer{}
	for _, api := range []string{"", "/api/v1"} {
		forge.Answers["GET "+api+"/repos/acme/widgets/collaborators/ada/permission"] = forgetest.Answer{Body: access}
		forge.Answers["GET "+api+"/repos/acme/widgets/issues/3/comments"] = forgetest.Answer{Body: "[]"}
	}
	h.vars["GITHUB_API_URL"], h.vars["GITHUB_SERVER_URL"], h.vars["GITHUB_TRIGGERING_ACTOR"] = forge.URL, forge.URL, "ada"
	return forge
}

// posts has the double of GitHub take what a job posts.
func (h *runnerHost) posts(s *forgetest.Server) {
	for call, body := range map[string]string{
		"POST /repos/acme/widgets/statuses/" + h.vars["GITHUB_SHA"]: "{}",
		"POST /repos/acme/widgets/issues/3/comments":                `{"id": 77, "user": {"id": 5}}`,
		"PATCH /repos/acme/widgets/issues/comments/77":              `{"id": 77}`,
		"GET /user":                          `{"id": 5, "login": "bot"}`,
		"GET /repos/acme/widgets/issues":     `[{"number": 9, "title": "bot-bottle: the sandbox-escape suite is red on box", "user": {"id": 5}}]`,
		"PATCH /repos/acme/widgets/issues/9": `{"number": 9}`,
	} {
		s.Answers[call] = forgetest.Answer{Body: body}
	}
}

// readmesInputs is the `with` of the README's workflow.
func (h *runnerHost) readmesInputs() map[string]string {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.repository, "README.md"))
	h.must(err)
	_, text, _ := strings.Cut(string(b), "```yaml\non:")
	text, _, _ = strings.Cut(text, "```")
	var w struct {
		Jobs map[string]struct {
			Steps []struct{ With map[string]string }
		}
	}
	h.must(yaml.Unmarshal([]byte("on:"+text), &w))
	inputs := w.Jobs["agent"].Steps[0].With
	if inputs["bottle"] != "claude-dev" {
		h.t.Fatalf("the README's workflow has %v", w)
	}
	return inputs
}

// hostBottle is a bottle of the host's.
func (h *runnerHost) hostBottle(name, front string) {
	h.t.Helper()
	h.write("etc/bot-bottle/bottles/"+name+".md", "---\n"+front+"\n---\n")
}

// The bottle is what the README's needs: Claude Code's, with its token from a file
// of the host's. The model is ours, and sees the comment as the task.
func TestReadmesWorkflowRunsForAWriterAlone(t *testing.T) {
	h := newRunnerHost(t, true)
	h.vars["PATH"] += ":" + installedAgents(t)
	model := modeltest.Start(t, modeltest.Anthropic, modeltest.Script{
		Calls: []modeltest.Call{claudeCLI.shell("echo in the bottle as $(id -un)")}, Final: "all of it is done",
	})
	h.hostBottle("claude-dev", fmt.Sprintf(`for: {repositories: [acme/widgets], events: [issue_comment]}
agent_provider: {template: claude, auth_token: "file:%s"}
egress:
  routes:
    - {host: api.anthropic.com, connect_to: %q, addresses: [127.0.0.0/8], ca_file: %s}`,
		h.write("claude-token", theToken+"\n"), model.Address, h.write("model-ca.pem", model.CAs)))
	inputs := h.readmesInputs()
	inputs["token"], inputs["post"] = "job-token", "comment, status" // action.yml's default
	forge := h.asked("github/issue_comment", "write")
	h.posts(forge)
	s := h.step("one", inputs)
	r := s.do("main")
	if r.code != 0 || !strings.Contains(r.stdout, "all of it is done") || strings.Contains(r.String(), theToken) {
		t.Error(r)
	}
	said := model.Requests()
	if len(said) < 2 || !strings.Contains(string(said[0].Body), "@bottle please fix this") || !strings.Contains(string(said[len(said)-1].Body), "in the bottle as agent") {
		t.Errorf("the model was asked %d times, and wasn't given the comment, or not what its command printed", len(said))
	}
	told := strings.Join(forge.Said(), "\n")
	for _, want := range []string{
		`POST /repos/acme/widgets/issues/3/comments {"body":"<!-- bot-bottle`, "is at work on this", `PATCH /repos/acme/widgets/issues/comments/77 {"body":`, "passed (exit 0)",
		`POST /repos/acme/widgets/statuses/` + h.vars["GITHUB_SHA"] + ` {"state":"pending"`, `{"state":"success"`,
	} {
		if !strings.Contains(told, want) {
			t.Errorf("the forge wasn't told %s", want)
		}
	}
	if strings.Contains(told, theToken) || strings.Count(told, "POST /repos/acme/widgets/issues/3/comments") != 1 {
		t.Errorf("the forge was told %s", told)
	}
	for _, q := range forge.Asked() {
		if q.Header.Get("Authorization") != "Bearer job-token" {
			t.Errorf("%s was asked as %q", q.URL, q.Header.Get("Authorization"))
		}
	}
	stranger := h.asked("github/issue_comment", "read")
	s = h.step("two", inputs)
	if r := s.do("main"); r.code != 2 || !strings.Contains(r.stdout, "may not write to the repository") || s.outputs()["run-id"] != "" {
		t.Error(r)
	}
	if told := strings.Join(stranger.Said(), "\n"); strings.Contains(told, "POST") {
		t.Errorf("a stranger was answered: %s", told)
	}
	if r := s.do("post"); r.code != 0 {
		t.Error(r)
	}
	if n := len(h.ids()); n != 1 {
		t.Errorf("%d runs", n)
	}
	h.nothingLeft()
}

func TestABottleServesOnlyItsRepositoriesAndEvents(t *testing.T) {
	h := newRunnerHost(t, true)
	h.hostBottle("other", "for: {repositories: [acme/gadgets]}")
	h.hostBottle("nobody", "limits: {memory: 1GiB}")
	h.hostBottle("comments", "for: {repositories: [acme/widgets], events: [issue_comment]}")
	for _, name := range []string{"other", "nobody", "comments"} { // the event is a schedule
		s := h.step("one", map[string]string{"bottle": name, "command": "true"})
		if r := s.do("main"); r.code != 2 || !strings.Contains(r.stdout, fmt.Sprintf("checking bottle %q", name)) {
			t.Error(r)
		}
	}
	h.nothingLeft()
}

func TestGiteaIsAskedWithTheHostsCredential(t *testing.T) {
	if os.Getuid() != 0 {
		h := newRunnerHost(t, true) // the host's file can't be root's here: what is left is the refusal
		h.vars["GITEA_ACTIONS"] = "true"
		h.asked("gitea/issue_comment", "write")
		if r := h.step("one", map[string]string{"command": "true"}).do("main"); r.code != 3 {
			t.Error(r)
		}
		return
	}
	h := newRunnerHost(t, false)
	h.vars["GITEA_ACTIONS"] = "true"
	delete(h.vars, "GITHUB_API_URL")
	forge := h.asked("gitea/issue_comment", "write")
	delete(h.vars, "GITHUB_TRIGGERING_ACTOR") // Gitea has none
	inputs := map[string]string{"command": "echo worked", "token": "job-token"}
	r := h.step("one", inputs).do("main")
	if r.code != 3 || !strings.Contains(r.stdout, "the host has no credential") || !strings.Contains(r.stdout, "hint: name one in /etc/bot-bottle/config.yaml under `forges`") {
		t.Error(r)
	}
	token := h.write("token", "host-token\n")
	h.write("etc/bot-bottle/config.yaml", fmt.Sprintf("forges: [{url: %q, token: %q}]\n", forge.URL, "file:"+token))
	s := h.step("two", inputs)
	if r := s.do("main"); r.code != 0 || !strings.Contains(r.stdout, "worked") || strings.Contains(r.String(), "host-token") {
		t.Error(r)
	}
	if asked := forge.Asked(); len(asked) == 0 || asked[0].Header.Get("Authorization") != "token host-token" {
		t.Errorf("asked %d times", len(asked))
	}
	h.nothingLeft()
}

func TestTheSuiteRunsAloneOrBeforeTheAgent(t *testing.T) {
	h := newRunnerHost(t, true)
	forge := forgetest.New(t, map[string]forgetest.Answer{})
	h.posts(forge)
	h.vars["GITHUB_API_URL"], h.vars["RUNNER_NAME"] = forge.URL, "box"
	s := h.step("alone", map[string]string{"escape": "quick", "post": "status, issue", "token": "job-token"}) // as workflows/nightly-escape.yml
	if r := s.do("main"); r.code != 0 || !strings.Contains(r.stdout, "held  N03") || strings.Contains(r.stdout, "work done") || s.outputs()["verdict"] != "passed" {
		t.Error(r)
	}
	if told := strings.Join(forge.Said(), "\n"); !strings.Contains(told, `{"state":"success"`) || !strings.Contains(told, `PATCH /repos/acme/widgets/issues/9`) || !strings.Contains(told, `"state":"closed"`) {
		t.Errorf("the forge was told %s", told)
	}
	for _, name := range []string{"escape.json", "escape.md", "escape.xml"} {
		if _, err := os.Stat(filepath.Join(s.dir, "state/reports", s.outputs()["run-id"], name)); err != nil {
			t.Error(err)
		}
	}
	if summary := h.read(s.dir, "alone/summary"); !strings.Contains(summary, "every case held") {
		t.Errorf("summary: %s", summary)
	}
	s = h.step("before", map[string]string{"escape": "quick", "command": "echo worked", "fail-on": "agent,escape,refused"})
	r := s.do("main")
	if r.code != 0 || !strings.Contains(r.stdout, "worked") || !strings.Contains(r.stdout, "held  N03") {
		t.Error(r)
	}
	if refused := s.outputs()["refused"]; refused != "0" {
		t.Errorf("the suite's own requests count as the agent's: %q refused", refused)
	}
	s = h.step("full", map[string]string{"escape": "full", "command": "echo worked"})
	if r := s.do("main"); r.code != 0 || !strings.Contains(r.stdout, "held      H18") || !strings.Contains(r.stdout, "worked") {
		t.Error(r)
	}
	h.nothingLeft()
}

func TestPreflightOnlyLooksAtTheHost(t *testing.T) {
	h := newRunnerHost(t, true)
	s := h.step("one", map[string]string{"preflight-only": "true"})
	if r := s.do("main"); r.code != 0 || !strings.Contains(r.stdout, "ok ") || s.outputs()["verdict"] != "passed" {
		t.Error(r)
	}
	s = h.step("two", map[string]string{"preflight-only": "true", "backend": "nowhere"})
	if r := s.do("main"); r.code != 2 {
		t.Error(r)
	}
	if n := len(h.ids()); n != 0 {
		t.Errorf("%d runs", n)
	}
}
