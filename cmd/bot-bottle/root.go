package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
	"github.com/spf13/cobra"
)

// exitError ends the command with a code of its own.
type exitError struct {
	code runner.ExitCode
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// execute parses the command line, runs the verb and gives the exit code.
func execute(args []string) int {
	c := newConsole()
	root := rootCommand(c)
	root.SetArgs(args)
	root.SetOut(answers{os.Stdout})
	understood := false
	root.PersistentPreRun = func(*cobra.Command, []string) { understood = true }
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return int(runner.ExitOK)
	}
	if !understood && term.StageOf(err, "") == "" { // the flag parser's
		err = term.Errorf(term.StageUsage, "", "reading the arguments: %w", err).WithHint("bot-bottle --help lists the commands, and each has a --help of its own")
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		exit = &exitError{code: runner.CodeOf(err), err: err}
	}
	c.explain(err)
	return int(exit.code)
}

func rootCommand(c console) *cobra.Command {
	root := &cobra.Command{
		Use:   "bot-bottle",
		Short: "Run a coding agent in a bottle",
		Long: `Run a coding agent in a bottle: a sandbox whose confinement is proven before the
agent starts, and out of which nothing gets but through guarded doors.

Exit codes: 0 done; 1 the agent failed, or its changes were refused; 2 wrong
usage, input or manifest; 3 this host can't; 4 confinement could not be proven,
no agent code ran; 5 an attack of the suite succeeded; 6 posting failed; 7
clean-up left something that 'bot-bottle reap' will try again; 8 the bottle or a
door broke; 124 time limit; 130 interrupted; 143 terminated.`,
		Version:       version,
		Args:          noSuchCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2, // cobra's own default, which it sets too late
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return term.Errorf(term.StageUsage, "", "%w", err).WithHint("%s --help shows the flags", cmd.CommandPath())
	})
	root.AddCommand(runCommand(c), applyCommand(), lsCommand(), inspectCommand(), reapCommand(), sweepCommand(),
		initCommand(), validateCommand(), preflightCommand(), escapeCommand(c), hostkeyCommand(), versionCommand())
	return root
}

// noSuchCommand is for arguments that no verb took.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := term.Errorf(term.StageUsage, "", "reading the arguments: unknown command %q", args[0])
	for _, meant := range cmd.SuggestionsFor(args[0]) {
		err.WithHint("did you mean %q?", meant)
	}
	return err.WithHint("%s --help lists the commands", cmd.CommandPath())
}
