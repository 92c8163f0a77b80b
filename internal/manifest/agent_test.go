package manifest_test

import (
	"reflect"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
)

func TestAWholeAgent(t *testing.T) {
	path := write(t, manifest.Agents, "fixer", "name: fixer\ndescription: |\n  Fixes.\n  All of it.\ncolor: red\nmemory: user\nskills: []\nbottle: dev\nmodel: claude-opus-4-1\ngit-gate: {user: {name: Fixer, email: fixer@example.com}}\nprovider: command\ncommand: [sh, -c, \"echo $1\", \"\"]")
	a, err := manifest.LoadAgent(path)
	want := manifest.Agent{
		Name: "fixer", Path: path, Bottle: "dev", Provider: "command", Model: "claude-opus-4-1",
		User:    manifest.GitUser{Name: "Fixer", Email: "fixer@example.com"},
		Command: []string{"sh", "-c", "echo $1", ""}, Prompt: "You are careful.",
	}
	if err != nil || !reflect.DeepEqual(a, want) {
		t.Errorf("the agent is %+v, %v", a, err)
	}
}

func TestACommandLineGoesToTheShell(t *testing.T) {
	a, err := manifest.LoadAgent(write(t, manifest.Agents, "dev", "provider: command\ncommand: |\n  set -e\n  make test\n"))
	if want := []string{"/bin/sh", "-c", "set -e\nmake test\n"}; err != nil || !reflect.DeepEqual(a.Command, want) {
		t.Errorf("the command is %q, %v", a.Command, err)
	}
}

func TestWhatIsWrongInAnAgent(t *testing.T) {
	const remove = "\nhint: remove the key; what isn't enforced must not look as if it were"
	messages(t, manifest.Agents, map[string]string{
		"provider: claud":                       "error: dev.md:2: provider: there is no provider \"claud\"\nhint: did you mean \"claude\"?",
		"provider: pi":                          "error: dev.md:2: provider: there is no provider \"pi\"\nhint: write one of: claude, codex, gemini, command",
		"provider: claude\ncommand: [a]":        "error: dev.md:3: command: an agent of claude has no command of its own\nhint: remove one of the two",
		"provider: command\nbottle: ../x":       "error: dev.md:3: bottle: \"../x\" is not a name of lower-case letters, digits and hyphens",
		"provider: command\nname: other":        "error: dev.md:3: name: \"other\" is not the file's name \"dev\"\nhint: rename the file or the agent, or remove the key",
		"provider: command\ncommand: []":        "error: dev.md:3: command: it names no program",
		"provider: command\ncommand: [\"\", a]": "error: dev.md:3: command: it names no program",
		"provider: command\ncommand: \" \"":     "error: dev.md:3: command: it is empty",
		"provider: command\ncommand: [make, 1]": "error: dev.md:3: command[1]: it is a number, not text\nhint: put the value in quotes if it is meant as text",
		"provider: command\ncommand: {a: b}":    "error: dev.md:3: command: it is keys and values, not text\nhint: indent less if the keys belong further out",
		"provider: command\nskills: [a]":        "error: dev.md:3: skills: this build can't enforce an agent's skills yet" + remove,
		"skills: [Not_Kebab]":                   "error: dev.md:2: skills[0]: \"Not_Kebab\" is not a name of lower-case letters, digits and hyphens",
		"model: --help":                         "error: dev.md:2: model: \"--help\" is not the name of a model\nhint: write it as the provider does, or remove the key for its default",
		"model: [a]":                            "error: dev.md:2: model: it is a list, not text\nhint: give a single value",
		"git-gate: {repos: {}}":                 "error: dev.md:2: git-gate.repos: this key can't stand here\nhint: move it to a bottle: an agent may come from a repository and grants nothing",
		"bottle_config: {}":                     "error: dev.md:2: bottle_config: this key can't stand here\nhint: name a bottle of the host: `bottle: NAME`; an agent may come from a repository and grants nothing",
		"provider: command\negress: {}":         "error: dev.md:3: egress: unknown key\nhint: known here: bottle, color, command, description, git-gate, memory, model, name, provider, skills",
		"provider: command\ncomand: [a]":        "error: dev.md:3: comand: unknown key\nhint: did you mean \"command\"?",
		"provider: command\n<<: {command: [a]}": "error: dev.md:3: a key here is not plain text",
	})
}
