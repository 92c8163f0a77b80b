package main

import (
	"strings"
	"testing"
)

// What `--help` shows as an example is of a verb that there is, with flags and a number
// of arguments that it takes.
func TestTheExamplesOfEachVerbAreTaken(t *testing.T) {
	for _, verb := range rootCommand(console{}).Commands() {
		for line := range strings.Lines(verb.Example) {
			args := strings.Fields(strings.ReplaceAll(line, `"`, ""))
			if quoted := strings.Split(line, `"`); len(quoted) == 3 {
				args = append(append(strings.Fields(quoted[0]), quoted[1]), strings.Fields(quoted[2])...)
			}
			if len(args) == 0 {
				continue
			}
			cmd, rest, err := rootCommand(console{}).Find(args[1:])
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err == nil {
				err = cmd.ValidateArgs(cmd.Flags().Args())
			}
			if err != nil || args[0] != "bot-bottle" || cmd.Name() != verb.Name() {
				t.Errorf("%s: %q: %v", verb.Name(), line, err)
			}
		}
	}
}
