package main

import (
	"context"
	"fmt"
	"os"

	"github.com/bot-bottle/action/backends/smolmachines"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/internal/doors"
	"github.com/bot-bottle/action/internal/escape/attack"
	"github.com/bot-bottle/action/internal/forge/deploykey"
	"github.com/bot-bottle/action/internal/guest"
	"github.com/bot-bottle/action/internal/guest/probe"
	"github.com/bot-bottle/action/internal/term"
)

// hidden runs the verbs that bot-bottle starts by itself, before any flag is
// parsed or any setting read; everything else is for the command line.
func hidden(argv []string, commandLine func([]string) int) int {
	if len(argv) < 2 {
		return commandLine(nil)
	}
	switch argv[1] {
	case confine.Verb:
		return confine.Main(argv[2:])
	case smolmachines.Verb:
		return smolmachines.Main(argv[2:])
	case "action":
		return actionVerb(argv[2:])
	case "sidecar":
		return tell(doors.Main(context.Background(), argv[2:]))
	case deploykey.Verb:
		return tell(serveDeployKey())
	case "guest":
		return guest.Main(argv[2:], map[string]func() int{
			"probe":  func() int { return probe.Main(os.Stdin, os.Stdout) },
			"attack": func() int { return attack.Main(os.Stdin, os.Stdout) },
		})
	}
	return commandLine(argv[1:])
}

func tell(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprint(os.Stderr, term.Explain(err))
	return 1
}
