package main

import (
	"fmt"
	"io"
	"time"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
	"github.com/bot-bottle/action/runner/ledger"
	"github.com/spf13/cobra"
)

// lsDocument is what `ls --json` prints.
type lsDocument struct {
	Schema int       `json:"schema"` // 1
	Runs   []runLine `json:"runs"`   // newest first
}

// runLine is one run, in `ls` and `inspect`.
type runLine struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	State     string     `json:"state"` // "live", "dead" (reap will settle it) or "settled"
	Created   time.Time  `json:"created"`
	Finished  *time.Time `json:"finished,omitempty"`
	Bottle    string     `json:"bottle,omitempty"`
	Agent     string     `json:"agent,omitempty"`
	Backend   string     `json:"backend"`
	Alias     string     `json:"alias,omitempty"`
	Workspace string     `json:"workspace,omitempty"`
	ExitCode  *int       `json:"exit_code,omitempty"`
	Files     int        `json:"changed_files,omitempty"`
	Patch     string     `json:"patch_sha256,omitempty"`
	Report    string     `json:"report"`
}

func lsCommand() *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List runs that are live or not settled",
		Example: "  bot-bottle ls\n  bot-bottle ls --all --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := openWorld(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer w.close()
			lines, err := listRuns(cmd, w, all)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), lsDocument{1, lines})
			}
			return printRuns(cmd.OutOrStdout(), lines, all)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "past runs too")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func listRuns(cmd *cobra.Command, w *world, all bool) ([]runLine, error) {
	list := w.deps.Ledger.OpenRuns
	if all {
		list = w.deps.Ledger.Runs
	}
	runs, err := list(cmd.Context())
	if err != nil {
		return nil, err
	}
	lines := make([]runLine, 0, len(runs))
	for _, r := range runs {
		line, err := lineOf(w.deps, r)
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func lineOf(deps runner.Deps, r ledger.Run) (runLine, error) {
	live, err := deps.Ledger.Live(r.ID)
	if err != nil {
		return runLine{}, err
	}
	line := runLine{
		ID: r.ID, Name: r.Name, State: string(r.State), Created: r.Created, Bottle: r.Bottle, Agent: r.Agent,
		Backend: r.Backend, Workspace: r.Workspace, Report: deps.Places.Report(r),
	}
	if r.State == ledger.StateOpen {
		line.State = map[bool]string{true: "live", false: "dead"}[live]
	}
	if r.Alias.IsValid() {
		line.Alias = r.Alias.String()
	}
	if !r.Finished.IsZero() {
		line.Finished = &r.Finished
	}
	if o := r.Outcome; o != nil {
		line.ExitCode, line.Files, line.Patch = &o.ExitCode, o.Files, o.Patch
	}
	return line, nil
}

func printRuns(out io.Writer, lines []runLine, all bool) error {
	if len(lines) == 0 {
		what := "no run is live"
		if all {
			what = "no run yet"
		}
		_, err := fmt.Fprintln(out, what)
		return err
	}
	var table term.Table
	table.Row("ID", "NAME", "STATE", "BOTTLE", "AGENT", "BACKEND", "EXIT", "STARTED")
	for _, l := range lines {
		exit := ""
		if l.ExitCode != nil {
			exit = fmt.Sprint(*l.ExitCode)
		}
		table.Row(l.ID, l.Name, l.State, l.Bottle, l.Agent, l.Backend, exit, l.Created.Local().Format(time.DateTime))
	}
	_, err := table.WriteTo(out)
	return err
}
