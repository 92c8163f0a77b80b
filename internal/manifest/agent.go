package manifest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// agentMoved are keys that only a bottle may have, since an agent grants nothing.
var agentMoved = map[string]string{
	"bottle_config": "name a bottle of the host: `bottle: NAME`; an agent may come from a repository and grants nothing",
}

// LoadAgent reads an agent file. The error lists everything that is wrong, each
// a *term.Error whose subject is "file:line".
func LoadAgent(path string) (Agent, error) {
	d, err := open(path)
	if err != nil {
		return Agent{}, err
	}
	return readAgent(d)
}

// ParseAgent reads an agent from bytes that a repository holds. Path names them
// in messages and ends with the file's name.
func ParseAgent(path string, content []byte) (Agent, error) {
	if len(content) > maxFile {
		return Agent{}, asError([]Fault{{Path: path, Err: fmt.Errorf("it has more than %d bytes", maxFile)}})
	}
	d, err := takeApart(path, content)
	if err != nil {
		return Agent{}, err
	}
	return readAgent(d)
}

func readAgent(d document) (Agent, error) {
	a := Agent{Name: d.name, Path: d.path, Prompt: d.body}
	r := newReader(d.path)
	if n, ok := r.parse(d.yaml); ok {
		r.agent(n, &a)
	}
	if err := asError(r.faults); err != nil {
		return Agent{}, err
	}
	return a, nil
}

func (r *reader) agent(n ast.Node, a *Agent) {
	ignored := func(n ast.Node, at string) { r.text(n, at) }
	r.mapping(n, "", schema{
		fields: map[string]func(ast.Node, string){
			"name":        func(n ast.Node, at string) { r.agentName(n, at, a.Name) },
			"description": ignored, // what follows is for other readers of such files
			"color":       ignored,
			"memory":      ignored,
			"bottle":      func(n ast.Node, at string) { a.Bottle = r.name(n, at) },
			"provider":    func(n ast.Node, at string) { a.Provider = r.template(n, at) },
			"command":     func(n ast.Node, at string) { a.Command = r.command(n, at) },
			"model":       func(n ast.Node, at string) { a.Model = r.model(n, at) },
			"skills":      func(n ast.Node, at string) { r.skills(n, at) },
			"git-gate":    func(n ast.Node, at string) { a.User = r.agentGit(n, at) },
		},
		moved: agentMoved,
	})
	if a.Command != nil && a.Provider != "" && a.Provider != Command {
		r.at("command", "remove one of the two", fmt.Errorf("an agent of %s has no command of its own", a.Provider))
	}
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

// maxModel is far above what providers call their models.
const maxModel = 128

// CheckModel accepts what can be the name of a model on a command line.
func CheckModel(name string) error {
	foreign := func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("._:/@[]-", c))
	}
	if name == "" || len(name) > maxModel || name[0] == '-' || strings.ContainsFunc(name, foreign) {
		return fmt.Errorf("%.80q is not the name of a model", name)
	}
	return nil
}

func (r *reader) model(n ast.Node, at string) string {
	name, ok := r.text(n, at)
	if !ok {
		return ""
	}
	if err := CheckModel(name); err != nil {
		r.at(at, "write it as the provider does, or remove the key for its default", err)
	}
	return name
}

// skills are checked, so that what is refused today is refused for its real
// reason; none can be given to an agent yet.
func (r *reader) skills(n ast.Node, at string) {
	count, faults := 0, len(r.faults)
	r.list(n, at, func(n ast.Node, at string) {
		count++
		r.name(n, at)
	})
	if count > 0 && len(r.faults) == faults {
		r.at(at, notEnforcedHint, fmt.Errorf(notEnforced, "an agent's skills"))
	}
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
