package action

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/pages"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/runner"
	"github.com/goccy/go-yaml"
)

// update has the reference written anew: go test ./action -run Reference -update
var update = flag.Bool("update", false, "write docs/reference anew")

// manifestOf is action.yml, as far as it is looked at.
type manifestOf struct {
	Name, Description, Author string
	Branding                  map[string]string
	Inputs                    yaml.MapSlice
	Outputs                   yaml.MapSlice
	Runs                      struct {
		Using, Main, Post string
		PostIf            string `yaml:"post-if"`
	}
}

// entry is one input or output.
type entry struct{ name, description, standard string }

func entries(t *testing.T, list yaml.MapSlice) []entry {
	t.Helper()
	var all []entry
	for _, item := range list {
		fields, ok := item.Value.(map[string]any)
		if !ok || fields["description"] == nil {
			t.Fatalf("%v has no description", item.Key)
		}
		e := entry{name: item.Key.(string), description: fields["description"].(string)}
		if d, ok := fields["default"].(string); ok {
			e.standard = d
		}
		all = append(all, e)
	}
	return all
}

func decode(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func actionFile(t *testing.T) manifestOf {
	t.Helper()
	var m manifestOf
	decode(t, "../action.yml", &m)
	return m
}

func TestActionFileAndCodeAgree(t *testing.T) {
	m := actionFile(t)
	given := map[string]string{}
	for _, e := range entries(t, m.Inputs) {
		given[e.name] = e.standard
	}
	if _, err := ParseInputs(given); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	for name := range given { // each is known, and nothing else is
		if _, err := ParseInputs(map[string]string{name: given[name]}); err != nil && strings.Contains(err.Error(), "knows no such input") {
			t.Errorf("the input %q is not read", name)
		}
	}
	var outputs []string
	for _, o := range Outputs(runner.Result{}) {
		outputs = append(outputs, o.Name)
	}
	var listed []string
	for _, e := range entries(t, m.Outputs) {
		listed = append(listed, e.name)
	}
	if !reflect.DeepEqual(outputs, listed) {
		t.Errorf("outputs %v, action.yml has %v", outputs, listed)
	}
	for _, script := range []string{m.Runs.Main, m.Runs.Post} {
		if _, err := os.Stat(filepath.Join("..", script)); err != nil {
			t.Error(err)
		}
	}
	if m.Runs.Using != "node24" || m.Runs.PostIf != "always()" {
		t.Errorf("got %+v", m.Runs)
	}
}

// same compares with the page in docs/reference, or writes it.
func same(t *testing.T, page, want string) {
	t.Helper()
	path := filepath.Join("../docs/reference", page)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("%s is not what it is made from (%v): go test ./action -run Reference -update", path, err)
	}
}

func TestReferenceOfTheActionIsUpToDate(t *testing.T) {
	m := actionFile(t)
	var b strings.Builder
	fmt.Fprintf(&b, "# The action's inputs and outputs\n\nMade from action.yml.\n\n<!-- not ours: the steps of a job -->\n```yaml\n- uses: bot-bottle/action@v1\n  with: { bottle: claude-dev }\n```\n\n## Inputs\n\n| input | default | |\n|---|---|---|\n")
	for _, e := range entries(t, m.Inputs) {
		standard := ""
		if e.standard != "" {
			standard = "`" + e.standard + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", e.name, standard, e.description)
	}
	b.WriteString("\n## Outputs\n\n| output | |\n|---|---|\n")
	for _, e := range entries(t, m.Outputs) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", e.name, e.description)
	}
	same(t, "action.md", b.String())
}

func TestReferenceOfExitCodesIsUpToDate(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Exit codes\n\nOf `bot-bottle run` and of the action. Where a job has several, the first of this table counts.\n\n| code | verdict | |\n|--:|---|---|\n")
	for _, m := range runner.ExitMeanings() {
		if m.Meaning == "" {
			t.Errorf("%d has no meaning", m.Code)
		}
		fmt.Fprintf(&b, "| %d | %s | %s |\n", m.Code, report.VerdictOf(int(m.Code)), m.Meaning)
	}
	same(t, "exit-codes.md", b.String())
}

// workflow is what these tests look at.
type workflow struct {
	On          any
	Permissions map[string]string
	Jobs        map[string]struct {
		If     string
		RunsOn string `yaml:"runs-on"`
		Steps  []struct {
			Uses string
			With map[string]string
		}
	}
}

// readmeWorkflow is the first YAML block of the README that has jobs.
func readmeWorkflow(t *testing.T) (w workflow) {
	t.Helper()
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(b), "```yaml\n")[1:] {
		text, _, _ := strings.Cut(block, "```")
		if strings.Contains(text, "\njobs:") {
			if err := yaml.Unmarshal([]byte(text), &w); err != nil {
				t.Fatal(err)
			}
			return w
		}
	}
	t.Fatal("the README has no workflow")
	return w
}

func TestTheWorkflowsUseWhatTheActionHas(t *testing.T) {
	known := map[string]bool{}
	for _, e := range entries(t, actionFile(t).Inputs) {
		known[e.name] = true
	}
	for _, path := range workflows(t) {
		var w workflow
		decode(t, path, &w)
		if w.Permissions == nil || len(w.Jobs) == 0 || w.On == nil {
			t.Errorf("%s: got %+v", path, w)
		}
		for _, job := range w.Jobs {
			for _, s := range job.Steps {
				if s.Uses != "bot-bottle/action@v1" {
					continue // another's, which is pinned
				}
				if _, err := ParseInputs(s.With); err != nil {
					t.Errorf("%s: %s: %v", path, s.Uses, err)
				}
				for name := range s.With {
					if !known[name] {
						t.Errorf("%s: action.yml has no input %q", path, name)
					}
				}
			}
		}
	}
}

func TestTheReadmesWorkflowIsTheOneToCopy(t *testing.T) {
	var file workflow
	decode(t, "../workflows/gitea/agent-on-comment.yml", &file)
	if got := readmeWorkflow(t); !reflect.DeepEqual(got, file) {
		t.Errorf("the README has %+v, workflows/gitea has %+v", got, file)
	}
}

// The workflows that pages show are ones that a forge takes, with inputs that the
// action has.
func TestTheWorkflowsOfThePagesAreSound(t *testing.T) {
	shown, err := pages.Marked("..", "workflow")
	if err != nil || len(shown) == 0 {
		t.Fatal(shown, err)
	}
	for _, b := range shown {
		for _, e := range lintWorkflow(t, []byte(b.Text)) {
			t.Errorf("%s: %v", b, e)
		}
		var w workflow
		if err := yaml.Unmarshal([]byte(b.Text), &w); err != nil {
			t.Errorf("%s: %v", b, err)
		}
		for _, job := range w.Jobs {
			for _, s := range job.Steps {
				if _, err := ParseInputs(s.With); s.Uses == "bot-bottle/action@v1" && err != nil {
					t.Errorf("%s: %v", b, err)
				}
			}
		}
	}
}
