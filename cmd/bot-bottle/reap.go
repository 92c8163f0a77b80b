package main

import (
	"fmt"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
	"github.com/bot-bottle/action/runner/journal"
	"github.com/spf13/cobra"
)

// reapDocument is what `reap --json` prints.
type reapDocument struct {
	Schema int `json:"schema"` // 1
	journal.Report
}

func reapCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reap",
		Short: "Undo what dead runs have left",
		Long: `Undo what dead runs have left: processes, folders, aliases. Live runs are never
touched, and any number of reaps may run at once. 'bot-bottle run' does the same
before it starts. Exit code 7 says that something is left.`,
		Example: "  bot-bottle reap\n  bot-bottle reap --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := openWorld(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer w.close()
			reaped, err := runner.Reap(cmd.Context(), w.deps)
			if err != nil {
				return err
			}
			return tellReaped(cmd, reaped, asJSON)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func tellReaped(cmd *cobra.Command, reaped journal.Report, asJSON bool) error {
	if asJSON {
		if err := writeJSON(cmd.OutOrStdout(), reapDocument{1, reaped}); err != nil {
			return err
		}
	} else {
		printReaped(cmd, reaped)
	}
	if n := len(reaped.Remainders); n > 0 {
		return term.Errorf(term.StageSettle, "", "reaping: %s could not be undone", term.Count(int64(n), "obligation", "obligations")).
			WithHint("see above what stands in the way, then run bot-bottle reap again")
	}
	return nil
}

func printReaped(cmd *cobra.Command, reaped journal.Report) {
	out := cmd.OutOrStdout()
	if len(reaped.Reaped)+len(reaped.Remainders) == 0 {
		fmt.Fprintln(out, "nothing to reap")
	}
	for _, id := range reaped.Reaped {
		fmt.Fprintf(out, "%s settled\n", id)
	}
	for _, m := range reaped.Remainders {
		fmt.Fprintf(out, "%s still owes %s: %s\n", m.Run, m.Kind, m.Reason)
	}
}
