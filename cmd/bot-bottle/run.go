package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
	"github.com/spf13/cobra"
)

// runFlags are the flags of `run`.
type runFlags struct {
	bottles     []string
	bottlesDir  string
	agent       string
	agentsDir   string
	agentsRev   string
	prompt      string
	promptFile  string
	model       string
	dryRun      bool
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
  bot-bottle run --bottle claude-dev --workspace . --prompt "Mend the failing test"
  bot-bottle run --bottle web --workspace . --timeout 10m -- make test
  bot-bottle run --bottle dev --bottle claude --agent fixer --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, c, f, args) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.bottles, "bottle", nil, "bottle to use; repeatable, later ones win (default: the agent's, else, for a command, one that reaches nothing)")
	flags.StringVar(&f.bottlesDir, "bottles-dir", "", "folder with bottles (default: ~/.bot-bottle/bottles, /etc/bot-bottle/bottles)")
	flags.StringVar(&f.agent, "agent", "", "agent to run")
	flags.StringVar(&f.agentsDir, "agents-dir", "", "folder with agents (default: ~/.bot-bottle/agents, /etc/bot-bottle/agents)")
	flags.StringVar(&f.agentsRev, "agents-rev", "", "commit of the workspace whose .bot-bottle/agents count too; name the base branch's, not a pull request's")
	flags.StringVar(&f.prompt, "prompt", "", "what the agent is to do")
	flags.StringVar(&f.promptFile, "prompt-file", "", "file that says it, - for standard input")
	flags.StringVar(&f.model, "model", "", "model to use (default: the agent's, else the provider's)")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print what would be done, secrets by name only, and start nothing")
	flags.StringVar(&f.backend, "backend", "", "what runs the guest: auto, smolmachines, gvisor or docker (default: $BOT_BOTTLE_BACKEND, else auto)")
	flags.StringVar(&f.name, "name", "", "name of the run, unique among live ones")
	flags.StringVar(&f.workspace, "workspace", "", "git checkout that the guest gets a copy of")
	flags.BoolVar(&f.uncommitted, "uncommitted", false, "the copy has the checkout's uncommitted changes")
	flags.StringArrayVar(&f.allow, "allow", nil, "pattern of paths that may change although some tool runs them by itself; repeatable")
	flags.DurationVar(&f.timeout, "timeout", 0, "time limit of the agent's work (default: the bottle's)")
	flags.BoolVar(&f.root, "root", false, "the agent is root in the guest")
	flags.StringVar(&f.reportDir, "report-dir", "", "new folder for the report (default: in the state folder)")
	flags.StringVar(&f.lifeline, "lifeline", "auto", "whose death ends the job: parent, fd:N, none; auto is parent under a runner")
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
	if f.dryRun {
		req, err := requestOf(f, cmd.Flags().Changed("timeout"), args)
		if err != nil {
			return err
		}
		return orCause(ctx, dryRun(ctx, answers{c.stdout}, req, f.asJSON))
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
	for _, warning := range plan.Warnings {
		fmt.Fprintf(c.stderr, "warning: %s\n", warning)
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

// Tell prints a line about the stage.
func (s *stages) Tell(line string) { s.progress.Say("%s", line) }

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
		if err := writeReport(answers{c.stdout}, r.Report); err != nil && r.Code == runner.ExitOK {
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
	if w.configErr != nil {
		return runner.Plan{}, w.configErr
	}
	f.backend = cmp.Or(f.backend, w.settings.Backend)
	if err := runner.CheckBackend(f.backend, w.deps.Backends); err != nil {
		return runner.Plan{}, err
	}
	req, err := requestOf(f, timeoutGiven, argv)
	if err != nil {
		return runner.Plan{}, err
	}
	return runner.MakePlan(ctx, req)
}
