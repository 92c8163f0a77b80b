package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
	"github.com/bot-bottle/action/runner/ledger"
	"github.com/spf13/cobra"
)

// inspectDocument is what `inspect --json` prints.
type inspectDocument struct {
	Schema      int              `json:"schema"` // 1
	Run         runLine          `json:"run"`
	Obligations []obligationLine `json:"obligations"` // newest first
	Report      *report.Report   `json:"report,omitempty"`
}

type obligationLine struct {
	Kind    string `json:"kind"`
	Holding string `json:"holding"` // "intended" or "held"
}

func inspectCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "inspect RUN",
		Short:   "Show a run: its report and what it still owes",
		Long:    "Show a run, by id or by name (the newest of that name): its report and what it still owes.",
		Example: "  bot-bottle inspect first-job\n  bot-bottle inspect k3q7wz2abc --json",
		Args:    exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := openWorld(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer w.close()
			d, err := inspect(cmd, w, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), d)
			}
			return printInspection(cmd, d)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func inspect(cmd *cobra.Command, w *world, which string) (inspectDocument, error) {
	d := inspectDocument{Schema: 1, Obligations: []obligationLine{}}
	run, err := w.deps.Ledger.Find(cmd.Context(), which)
	if err != nil {
		return d, err
	}
	if d.Run, err = lineOf(w.deps, run); err != nil {
		return d, err
	}
	owed, err := w.deps.Ledger.Obligations(cmd.Context(), run.ID)
	if err != nil {
		return d, err
	}
	for _, o := range owed {
		d.Obligations = append(d.Obligations, obligationLine{o.Kind, string(o.Holding)})
	}
	d.Report, err = readReport(w.deps.Places, run)
	return d, err
}

// readReport gives nil where there is none yet.
func readReport(places runner.Places, run ledger.Run) (*report.Report, error) {
	dir, err := places.ReadableReport(run)
	if err == nil {
		var r report.Report
		if r, err = report.ReadDir(dir); err == nil {
			return &r, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return nil, err
}

func printInspection(cmd *cobra.Command, d inspectDocument) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "run %s (%s), %s\n", d.Run.ID, d.Run.Name, d.Run.State)
	for _, o := range d.Obligations {
		fmt.Fprintf(out, "owes: %s (%s)\n", o.Kind, o.Holding)
	}
	if d.Report == nil {
		_, err := fmt.Fprintln(out, "no report yet")
		return err
	}
	return report.Table(out, *d.Report, term.NewStyle(term.Colour(os.Stdout, os.Getenv)))
}

// exactly wants one argument for each name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return term.Errorf(term.StageUsage, "", "reading the arguments: wanted %v, got %d", names, len(args)).
			WithHint("usage: %s", cmd.UseLine())
	}
}
