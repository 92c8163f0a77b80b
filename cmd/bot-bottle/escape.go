package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"

	"github.com/bot-bottle/action/action"
	"github.com/bot-bottle/action/internal/escape"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
	"github.com/spf13/cobra"
)

// escapeFlags are what `escape` is told.
type escapeFlags struct {
	backend, tier, report string
	cases                 []string
	list, asJSON          bool
}

func escapeCommand(c console) *cobra.Command {
	var f escapeFlags
	cmd := &cobra.Command{
		Use:   "escape",
		Short: "Attack a bottle from inside, and judge from outside whether it holds",
		Long: `Attack a bottle from inside, as root and as the agent, and judge from outside
whether it holds. The full tier boots a bottle of its own, with stand-ins on this
host's loopback as the hosts that it may reach; the quick tier needs none. No
agent takes part. The exit code is 5 if anything got out, or if a case did not
run or could not be judged. docs/escape.md lists the cases.`,
		Example: "  bot-bottle escape\n  bot-bottle escape --tier quick\n  bot-bottle escape --case H18,N03 --json\n  bot-bottle escape --list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.list {
				return listCases(cmd.OutOrStdout(), f.asJSON)
			}
			return runEscape(cmd, c, f)
		},
	}
	cmd.Flags().StringVar(&f.backend, "backend", "", "backend of the bottle (default: $BOT_BOTTLE_BACKEND, else auto)")
	cmd.Flags().StringVar(&f.tier, "tier", string(escape.Full), "quick or full")
	cmd.Flags().StringSliceVar(&f.cases, "case", nil, "only these cases, by ID; repeatable, or comma-separated")
	cmd.Flags().StringVar(&f.report, "report", "", "folder to write escape.json, escape.md and escape.xml (JUnit) to")
	cmd.Flags().BoolVar(&f.list, "list", false, "print the catalogue and attack nothing")
	jsonFlag(cmd, &f.asJSON)
	return cmd
}

// casesDocument is what `escape --list --json` prints.
type casesDocument struct {
	Schema int                 `json:"schema"` // 1
	Cases  []escape.CaseReport `json:"cases"`  // the verdict is the tier
}

func listCases(out io.Writer, asJSON bool) error {
	list := escape.Listing()
	if asJSON {
		return writeJSON(out, casesDocument{1, list})
	}
	var table term.Table
	table.Row("CASE", "TIER", "WHAT IS TRIED")
	for _, c := range list {
		table.Row(c.ID, string(c.Verdict), c.Title)
	}
	_, err := table.WriteTo(out)
	return err
}

func runEscape(cmd *cobra.Command, c console, f escapeFlags) error {
	if f.tier != string(escape.Quick) && f.tier != string(escape.Full) {
		return term.Errorf(term.StageUsage, "--tier", "choosing the tier: %q is none", f.tier).WithHint("use quick or full")
	}
	if err := harden(); err != nil {
		return err
	}
	ctx, end, err := begin(cmd.Context(), c, "auto")
	if err != nil {
		return err
	}
	defer end()
	suite, err := escape.New(ctx, escape.Tier(f.tier), f.cases)
	if err != nil {
		return orCause(ctx, err)
	}
	defer suite.Close()
	if f.report != "" {
		if err := os.MkdirAll(f.report, 0o700); err != nil {
			return term.Errorf(term.StageUsage, f.report, "making the report's folder: %w", err)
		}
	}
	result, err := attackOwnBottle(ctx, c, suite, f.backend, f.asJSON)
	if err != nil {
		return orCause(ctx, err)
	}
	c.hurry()
	if err := tellEscape(cmd.OutOrStdout(), suite.Report(), f); err != nil {
		return err
	}
	if result.Err != nil {
		return &exitError{code: result.Code, err: result.Err}
	}
	return nil
}

// attackOwnBottle boots a bottle for the suite alone, and settles it.
func attackOwnBottle(ctx context.Context, c console, suite *escape.Suite, backend string, asJSON bool) (runner.Result, error) {
	w, err := openWorld(ctx, c.stderr)
	if err != nil {
		return runner.Result{}, err
	}
	defer w.close()
	var progress runner.Progress
	if !asJSON {
		style := term.NewStyle(term.Colour(os.Stderr, os.Getenv))
		progress = &stages{term.NewProgress(c.stderr, term.Live(os.Stderr, os.Getenv), style)}
	}
	return w.attack(ctx, "", backend, suite, progress), nil
}

// attack runs the suite in a bottle that has its policy and no agent.
func (w *world) attack(ctx context.Context, name, backend string, suite *escape.Suite, progress runner.Progress) runner.Result {
	if w.configErr != nil {
		return action.Refusal(w.configErr)
	}
	backend = cmp.Or(backend, w.settings.Backend)
	if err := runner.CheckBackend(backend, w.deps.Backends); err != nil {
		return action.Refusal(err)
	}
	deps := w.deps
	if cmp.Or(backend, runner.Auto) == runner.Auto && machines(ctx, deps) {
		backend = "smolmachines" // named, because its bottles are made differently
	}
	plan := suite.Plan(backend)
	plan.Name = name
	deps.Progress = progress
	result := runner.Run(ctx, plan, deps)
	if result.Err != nil {
		return result
	}
	deps.Progress = nil
	err := suite.After(ctx, func(plan runner.Plan) runner.Result {
		plan.Backend = backend
		return runner.Run(ctx, plan, deps)
	})
	if err != nil {
		result.Err, result.Code = err, runner.CodeOf(err)
	}
	return result
}

// machines tells whether this host can run bottles in machines.
func machines(ctx context.Context, deps runner.Deps) bool {
	s, err := runner.Preflight(ctx, runner.SurveyOptions{Backend: "smolmachines"}, deps)
	return err == nil && s.Err() == nil
}

func tellEscape(out io.Writer, r escape.Report, f escapeFlags) error {
	var errs []error
	if f.report != "" {
		errs = append(errs, r.Write(f.report))
	}
	if f.asJSON {
		errs = append(errs, writeJSON(out, r))
	} else if len(r.Cases) > 0 {
		errs = append(errs, r.Table(out))
	}
	return errors.Join(errs...)
}
