package manifest_test

import (
	"reflect"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
)

func TestAWholeAgent(t *testing.T) {
	path := write(t, manifest.Agents, "fixer", "name: fixer\ndescription: |\n  Fixes.\n  All of it.\nbottle: dev\nprovider: command\ncommand: [sh, -c, \"echo $1\", \"\"]")
	a, err := manifest.LoadAgent(path)
	want := manifest.Agent{
		Name: "fixer", Path: path, Description: "Fixes.\nAll of it.\n", Bottle: "dev", Provider: "command",
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
		"":                                      "error: dev.md:1: provider: it is missing",
		"provider: claude":                      "error: dev.md:2: provider: this build has no provider \"claude\"\nhint: write `provider: command` and give the program as `command`",
		"provider: command\nbottle: ../x":       "error: dev.md:3: bottle: \"../x\" is not a name of lower-case letters, digits and hyphens",
		"provider: command\nname: other":        "error: dev.md:3: name: \"other\" is not the file's name \"dev\"\nhint: rename the file or the agent, or remove the key",
		"provider: command\ncommand: []":        "error: dev.md:3: command: it names no program",
		"provider: command\ncommand: [\"\", a]": "error: dev.md:3: command: it names no program",
		"provider: command\ncommand: \" \"":     "error: dev.md:3: command: it is empty",
		"provider: command\ncommand: [make, 1]": "error: dev.md:3: command[1]: it is a number, not text\nhint: put the value in quotes if it is meant as text",
		"provider: command\ncommand: {a: b}":    "error: dev.md:3: command: it is keys and values, not text\nhint: indent less if the keys belong further out",
		"provider: command\nskills: [a]":        "error: dev.md:3: skills: this build can't enforce an agent's skills yet" + remove,
		"provider: command\nmodel: opus":        "error: dev.md:3: model: this build can't enforce a model yet" + remove,
		"provider: command\negress: {}":         "error: dev.md:3: egress: unknown key\nhint: known here: bottle, command, description, name, provider",
		"provider: command\ncomand: [a]":        "error: dev.md:3: comand: unknown key\nhint: did you mean \"command\"?",
		"provider: command\n<<: {command: [a]}": "error: dev.md:3: a key here is not plain text",
	})
}
