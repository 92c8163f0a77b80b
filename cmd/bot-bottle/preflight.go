package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/workflow"
	"github.com/bot-bottle/action/preflight"
	"github.com/bot-bottle/action/runner"
	"github.com/bot-bottle/action/runner/ledger"
	"github.com/spf13/cobra"
)

// preflightDocument is what `preflight --json` prints.
type preflightDocument struct {
	Schema   int                 `json:"schema"`            // 1
	Ready    bool                `json:"ready"`             // a job could run
	Backend  string              `json:"backend,omitempty"` // that it would get
	Host     []preflight.Finding `json:"host"`
	Backends []prospectLine      `json:"backends"` // strongest first
}

type prospectLine struct {
	Backend  string              `json:"backend"`
	Ready    bool                `json:"ready"`
	Findings []preflight.Finding `json:"findings"`
}

func preflightCommand() *cobra.Command {
	var backend, dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "preflight",
		Short: "Check whether this host can run bottles, and say what to do where it can't",
		Long: `Check whether this host can run bottles, and say what to do where it can't. Nothing
of the host is changed. A service sees less than a shell does: start this as the
runner's user, or in a job with the action's input preflight-only. The exit code
is 3 if no job could run. Every finding is explained in docs/reference/findings.md.`,
		Example: "  bot-bottle preflight\n  bot-bottle preflight --backend gvisor --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			start := time.Now()
			w, err := lookAround(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if dir == "" {
				dir = hereIfCheckout()
			} else if info, err := os.Stat(dir); err != nil || !info.IsDir() {
				return term.Errorf(term.StageUsage, "--workspace", "opening the checkout: %q is not a folder", dir).
					WithHint("name the folder of a checkout, whose workflows are then read")
			}
			survey, err := w.survey(cmd.Context(), cmp.Or(backend, w.settings.Backend), dir)
			if err != nil {
				return err
			}
			return tellSurvey(cmd.OutOrStdout(), survey, asJSON, time.Since(start))
		},
	}
	cmd.Flags().StringVar(&backend, "backend", "", "check one backend only, or auto for all (default: $BOT_BOTTLE_BACKEND, else auto)")
	cmd.Flags().StringVar(&dir, "workspace", "", "checkout whose workflows are looked at (default: the current folder, if it has any)")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// hereIfCheckout gives the current folder if it has workflows.
func hereIfCheckout() string {
	here, err := os.Getwd()
	if err != nil || !slices.ContainsFunc(workflow.Folders, func(f string) bool {
		info, err := os.Stat(filepath.Join(here, f))
		return err == nil && info.IsDir()
	}) {
		return ""
	}
	return here
}

// survey looks at the host for one backend, or all of them.
func (w *world) survey(ctx context.Context, backend, workspace string) (runner.Survey, error) {
	if w.configErr != nil {
		return runner.Survey{}, w.configErr
	}
	folders, err := bottleFolders("", os.Getenv)
	if err != nil {
		return runner.Survey{}, err
	}
	o := runner.SurveyOptions{Backend: backend, Policy: folders, Runner: ledger.UnderRunner(os.Getenv), Workspace: workspace}
	return runner.Preflight(ctx, o, w.deps)
}

func tellSurvey(out io.Writer, s runner.Survey, asJSON bool, took time.Duration) error {
	if err := writeSurvey(out, s, asJSON, took); err != nil {
		return err
	}
	if s.Backend() != "" {
		return nil
	}
	return &exitError{code: runner.ExitPreflight, err: term.Errorf(term.StagePreflight, "", "looking at this host: no job could run").
		WithHint("follow the remedies of what failed; docs/reference/findings.md explains each")}
}

func writeSurvey(out io.Writer, s runner.Survey, asJSON bool, took time.Duration) error {
	if asJSON {
		return writeJSON(out, surveyDocument(s))
	}
	text := findingsTable("host", s.Host)
	for _, p := range s.Backends {
		text += findingsTable("backend "+p.Backend, p.Findings)
	}
	if b := s.Backend(); b != "" {
		text += fmt.Sprintf("\nready: jobs get the backend %s (looked for %v)\n", b, took.Round(time.Millisecond))
	}
	_, err := io.WriteString(out, text)
	return err
}

func surveyDocument(s runner.Survey) preflightDocument {
	d := preflightDocument{Schema: 1, Ready: s.Backend() != "", Backend: s.Backend(), Host: s.Host, Backends: []prospectLine{}}
	for _, p := range s.Backends {
		d.Backends = append(d.Backends, prospectLine{p.Backend, p.Ready(), p.Findings})
	}
	return d
}

// findingsTable lists findings under a heading, with the remedies below the lines
// that they are for.
func findingsTable(heading string, findings []preflight.Finding) string {
	table := term.Table{Indent: "  "}
	for _, f := range findings {
		table.Row(string(f.Status), f.ID, neutralize.Text(f.Subject), neutralize.Text(f.Found))
	}
	text := heading + "\n" + table.String()
	for _, f := range findings {
		if f.Remedy != "" {
			text += fmt.Sprintf("  %s: %s\n", f.ID, neutralize.Text(f.Remedy))
		}
	}
	return text
}
