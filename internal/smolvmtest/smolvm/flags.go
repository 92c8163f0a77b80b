package main

import (
	"fmt"
	"slices"
	"strings"
)

// parsed are a verb's arguments.
type parsed struct {
	position []string
	values   map[string][]string
	after    []string // what follows "--"
}

// parse reads args as clap does: options with a value, switches, and positions. short
// gives the long names.
func parse(args, options, switches []string, short map[string]string) (parsed, error) {
	p := parsed{values: map[string][]string{}}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			p.after = args[i+1:]
			return p, nil
		}
		if !strings.HasPrefix(arg, "-") {
			p.position = append(p.position, arg)
			continue
		}
		if long, ok := short[arg]; ok {
			arg = long
		}
		switch {
		case slices.Contains(switches, arg):
			p.values[arg] = append(p.values[arg], "")
		case slices.Contains(options, arg) && i+1 < len(args):
			i++
			p.values[arg] = append(p.values[arg], args[i])
		default:
			return p, fmt.Errorf("unexpected argument '%s' found", arg)
		}
	}
	return p, nil
}

func (p parsed) one(name string) string {
	if v := p.values[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

func (p parsed) has(name string) bool { return len(p.values[name]) > 0 }

// machine gives the name from where the release has it.
func (p parsed) machine(flag bool) (string, error) {
	switch {
	case flag && len(p.position) > 0:
		return "", fmt.Errorf("unexpected argument '%s' found", p.position[0])
	case flag && p.has("--name"):
		return p.one("--name"), nil
	case !flag && len(p.position) == 1:
		return p.position[0], nil
	}
	return "default", nil
}

var nameFlag = map[string]string{"-n": "--name", "-f": "--force"}
