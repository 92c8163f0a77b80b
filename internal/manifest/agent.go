package manifest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// providerCommand runs the command that the agent file or the caller gives.
const providerCommand = "command"

var agentLater = map[string]string{
	"skills":   "an agent's skills",
	"git-gate": "an agent's git identity",
	"model":    "a model",
	"color":    "a colour",
	"memory":   "an agent's memory",
}

// LoadAgent reads an agent file. The error lists everything that is wrong, each
// a *term.Error whose subject is "file:line".
func LoadAgent(path string) (Agent, error) {
	d, err := open(path)
	if err != nil {
		return Agent{}, err
	}
	a := Agent{Name: d.name, Path: path, Prompt: d.body}
	r := newReader()
	if n, ok := r.parse(d.yaml); ok {
		r.agent(n, &a)
	}
	if err := asError(path, r.faults); err != nil {
		return Agent{}, err
	}
	return a, nil
}

func (r *reader) agent(n ast.Node, a *Agent) {
	r.mapping(n, "", schema{
		fields: map[string]func(ast.Node, string){
			"name":        func(n ast.Node, at string) { r.agentName(n, at, a.Name) },
			"description": func(n ast.Node, at string) { a.Description, _ = r.text(n, at) },
			"bottle":      func(n ast.Node, at string) { a.Bottle = r.name(n, at) },
			"provider":    func(n ast.Node, at string) { a.Provider = r.provider(n, at) },
			"command":     func(n ast.Node, at string) { a.Command = r.command(n, at) },
		},
		later:    agentLater,
		required: []string{"provider"},
	})
}

func (r *reader) agentName(n ast.Node, at, want string) {
	if name, ok := r.text(n, at); ok && name != want {
		r.at(at, "rename the file or the agent, or remove the key", fmt.Errorf("%.80q is not the file's name %q", name, want))
	}
}

func (r *reader) name(n ast.Node, at string) string {
	name, ok := r.text(n, at)
	if !ok {
		return ""
	}
	if err := checkName(name); err != nil {
		r.at(at, "", err)
	}
	return name
}

func (r *reader) provider(n ast.Node, at string) string {
	name, ok := r.text(n, at)
	if ok && name != providerCommand {
		r.at(at, "write `provider: command` and give the program as `command`",
			fmt.Errorf("this build has no provider %.80q", name))
	}
	return name
}

// command takes an argument list, or a line for the shell.
func (r *reader) command(n ast.Node, at string) []string {
	if _, isList := n.(*ast.SequenceNode); !isList {
		line, ok := r.text(n, at)
		if !ok {
			return nil
		}
		if strings.TrimSpace(line) == "" {
			r.at(at, "", errors.New("it is empty"))
		}
		return []string{"/bin/sh", "-c", line}
	}
	var argv []string
	r.list(n, at, func(n ast.Node, at string) {
		arg, _ := r.text(n, at)
		argv = append(argv, arg)
	})
	if len(argv) == 0 || argv[0] == "" {
		r.at(at, "", errors.New("it names no program"))
	}
	return argv
}
