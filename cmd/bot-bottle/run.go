package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
	"github.com/spf13/cobra"
)

// runFlags are the flags of `run`.
type runFlags struct {
	bottle      string
	bottlesDir  string
	agent       string
	agentsDir   string
	backend     string
	name        string
	workspace   string
	uncommitted bool
	allow       []string
	timeout     time.Duration
	root        bool
	reportDir   string
	lifeline    string
	quiet       bool
	asJSON      bool
}

func runCommand(c console) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] [-- COMMAND [ARG...]]",
		Short: "Run an agent, or a command, in a new bottle",
		Long: `Run an agent, or a command, in a new bottle. The bottle's policy says what it may
reach; without a bottle it reaches nothing. The confinement is proven before the
agent starts. When it has ended, however it ended, nothing of it is left but the
report.

The agent's stdout and stderr are passed through, made harmless for the terminal
and for a CI runner. With --json one document goes to stdout, the agent's output
to stderr.`,
		Example: `  bot-bottle run -- id -u
  bot-bottle run --bottle web --agent fixer --workspace .
  bot-bottle run --bottle web --workspace . --timeout 10m -- make test`,
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, c, f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.bottle, "bottle", "", "bottle to use (default: the agent's, else one that reaches nothing)")
	flags.StringVar(&f.bottlesDir, "bottles-dir", "", "folder with bottles (default: ~/.bot-bottle/bottles, /etc/bot-bottle/bottles)")
	flags.StringVar(&f.agent, "agent", "", "agent to run")
	flags.StringVar(&f.agentsDir, "agents-dir", "", "folder with agents (default: ~/.bot-bottle/agents, /etc/bot-bottle/agents)")
	flags.StringVar(&f.backend, "backend", "", "what runs the guest: auto, gvisor (default: $BOT_BOTTLE_BACKEND, else auto)")
	flags.StringVar(&f.name, "name", "", "name of the run, unique among live ones")
	flags.StringVar(&f.workspace, "workspace", "", "git checkout that the guest gets a copy of")
	flags.BoolVar(&f.uncommitted, "uncommitted", false, "the copy has the checkout's uncommitted changes")
	flags.StringArrayVar(&f.allow, "allow", nil, "pattern of paths that may change although some tool runs them by itself; repeatable")
	flags.DurationVar(&f.timeout, "timeout", 0, "time limit of the agent's work (default: the bottle's)")
	flags.BoolVar(&f.root, "root", false, "the agent is root in the guest")
	flags.StringVar(&f.reportDir, "report-dir", "", "new folder for the report (default: in the state folder)")
	flags.StringVar(&f.lifeline, "lifeline", "auto", "whose death ends the job: parent, fd:N, none; auto is parent where CI is set")
	flags.BoolVar(&f.quiet, "quiet", false, "no progress and no table")
	jsonFlag(cmd, &f.asJSON)
	return cmd
}

func run(cmd *cobra.Command, c console, f runFlags, args []string) error {
	if err := harden(); err != nil {
		return err
	}
	ctx, end, err := begin(cmd.Context(), c, f.lifeline)
	if err != nil {
		return err
	}
	defer end()
	if cmd.ArgsLenAtDash() > 0 || cmd.ArgsLenAtDash() < 0 && len(args) > 0 {
		return term.Errorf(term.StageUsage, "", "reading the arguments: unexpected %q", args[0]).
			WithHint("put a command after --: bot-bottle run -- %s", args[0])
	}
	w, err := openWorld(ctx, c.stderr)
	if err != nil {
		return orCause(ctx, err)
	}
	defer w.close()
	plan, err := makePlan(ctx, w, f, cmd.Flags().Changed("timeout"), args)
	if err != nil {
		return orCause(ctx, err)
	}
	w.deps.Stdout, w.deps.Stderr = c.stdout, c.stderr
	if f.asJSON {
		w.deps.Stdout = c.stderr
	}
	style := term.NewStyle(term.Colour(os.Stderr, os.Getenv))
	if !f.quiet && !f.asJSON {
		w.deps.Progress = &stages{term.NewProgress(c.stderr, term.Live(os.Stderr, os.Getenv), style)}
	}
	result := runner.Run(ctx, plan, w.deps)
	return tellResult(c, f, style, result)
}

// orCause gives the reason why ctx was ended, where it was, instead of err.
func orCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// stages tells a waiting person of a job's stages.
type stages struct{ progress *term.Progress }

// Begin draws the stage; the agent's own output needs the line.
func (s *stages) Begin(stage string) {
	s.progress.Begin(stage)
	if stage == runner.WorkStage {
		s.progress.Yield()
	}
}

// End prints how long the stage took.
func (s *stages) End(_ string, _ time.Duration, ok bool) {
	if ok {
		s.progress.Done("")
		return
	}
	s.progress.Failed()
}

// tellResult prints the document or the table, and the error if there is one.
func tellResult(c console, f runFlags, style term.Style, r runner.Result) error {
	c.hurry()
	told := &exitError{code: r.Code, err: r.Err}
	if f.asJSON {
		if err := writeReport(c.stdout, r.Report); err != nil && r.Code == runner.ExitOK {
			return err
		}
	} else if !f.quiet && r.Report.Run.ID != "" {
		if err := report.Table(c.stderr, r.Report, style); err != nil && r.Code == runner.ExitOK {
			return term.Errorf(term.StagePost, "stderr", "writing the table: %w", err)
		}
	}
	if r.Code == runner.ExitOK {
		return nil
	}
	return told
}

func writeReport(w io.Writer, r report.Report) error {
	r.Schema = report.Schema
	return writeJSON(w, r)
}

// makePlan turns flags and manifests into a plan, without any effect.
func makePlan(ctx context.Context, w *world, f runFlags, timeoutGiven bool, argv []string) (runner.Plan, error) {
	backend := cmp.Or(f.backend, w.settings.Backend)
	if err := runner.CheckBackend(backend, w.deps.Backends); err != nil {
		return runner.Plan{}, err
	}
	plan, err := fromManifests(f, argv)
	if err != nil {
		return plan, err
	}
	plan.Name, plan.Task.Root, plan.Backend = f.name, f.root, backend
	if timeoutGiven {
		if f.timeout <= 0 {
			return plan, term.Errorf(term.StageUsage, "--timeout", "reading the time limit: %v is not more than 0", f.timeout).
				WithHint("give a duration such as 90s, 10m or 2h")
		}
		plan.Policy.Limits.Timeout = f.timeout
	}
	if f.reportDir != "" {
		if plan.ReportDir, err = filepath.Abs(f.reportDir); err != nil {
			return plan, fmt.Errorf("finding the report folder: %w", err)
		}
	}
	return plan, withWorkspace(ctx, &plan, f)
}

func withWorkspace(ctx context.Context, plan *runner.Plan, f runFlags) error {
	if f.workspace == "" {
		for flag, given := range map[string]bool{"--uncommitted": f.uncommitted, "--allow": len(f.allow) > 0} {
			if given {
				return term.Errorf(term.StageUsage, flag, "reading the flags: it needs --workspace").
					WithHint("name the checkout with --workspace DIR, or leave %s out", flag)
			}
		}
		return nil
	}
	dir, err := filepath.Abs(f.workspace)
	if err != nil {
		return fmt.Errorf("finding the workspace: %w", err)
	}
	plan.Workspace = &runner.Workspace{Dir: dir, Uncommitted: f.uncommitted, Allow: f.allow}
	return plan.Workspace.Check(ctx)
}
