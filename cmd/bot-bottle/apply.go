package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/workspace"
	"github.com/bot-bottle/action/runner"
	"github.com/spf13/cobra"
)

// applyDocument is what `apply --json` prints.
type applyDocument struct {
	Schema  int      `json:"schema"` // 1
	Run     string   `json:"run"`
	Dir     string   `json:"dir"`
	Files   []string `json:"files"`
	Checked bool     `json:"checked_only,omitempty"`
}

type applyFlags struct {
	dir    string
	check  bool
	allow  []string
	asJSON bool
}

func applyCommand() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply RUN",
		Short: "Put a run's changes on the checkout",
		Long: `Put the changes of a run, by id or name, on the checkout it was started from: all
of them or, where one doesn't fit, none. Git is not run. The patch must be the one
whose digest the ledger holds.`,
		Example: "  bot-bottle apply first-job --check\n  bot-bottle apply first-job\n  bot-bottle apply k3q7wz2abc --dir ~/src/project",
		Args:    exactly("RUN"),
		RunE:    func(cmd *cobra.Command, args []string) error { return apply(cmd, args[0], f) },
	}
	cmd.Flags().StringVar(&f.dir, "dir", "", "checkout to change (default: the one the run was started from)")
	cmd.Flags().BoolVar(&f.check, "check", false, "only find out whether the changes fit")
	cmd.Flags().StringArrayVar(&f.allow, "allow", nil, "pattern of paths that may change although some tool runs them by itself; repeatable")
	jsonFlag(cmd, &f.asJSON)
	return cmd
}

func apply(cmd *cobra.Command, which string, f applyFlags) error {
	w, err := openWorld(cmd.Context(), cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer w.close()
	run, err := w.deps.Ledger.Find(cmd.Context(), which)
	if err != nil {
		return err
	}
	if run.Outcome == nil || run.Outcome.Patch == "" {
		return term.Errorf(term.StageUsage, run.ID, "applying the changes: this run has none").
			WithHint("bot-bottle inspect %s shows what came of it", run.ID)
	}
	dir := f.dir
	if dir == "" {
		dir = run.Workspace
	}
	from, err := w.deps.Places.ReadableReport(run)
	if err != nil {
		return err
	}
	patch, err := readPatch(from, run.Outcome.Patch, f.allow)
	if err != nil {
		return err
	}
	if err := workspace.Apply(cmd.Context(), dir, patch, workspace.ApplyOptions{Check: f.check}); err != nil {
		return err
	}
	return tellApplied(cmd, applyDocument{Schema: 1, Run: run.ID, Dir: dir, Checked: f.check}, patch, f.asJSON)
}

// readPatch reads the patch of a report folder and holds it against the digest
// that the ledger has.
func readPatch(dir, digest string, allow []string) (*workspace.Patch, error) {
	path := filepath.Join(dir, runner.PatchName)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, term.Errorf(term.StageCollect, "", "reading the changes: %w", err)
	}
	patch, err := workspace.ParsePatch(bytes.NewReader(data), workspace.Rules{Allow: allow})
	if err != nil {
		return nil, err
	}
	if patch.Digest() != digest {
		return nil, term.Errorf(term.StageCollect, path, "reading the changes: their digest is %s, the ledger has %s", patch.Digest(), digest).
			WithHint("somebody has changed the file since the run; don't apply it")
	}
	return patch, nil
}

func tellApplied(cmd *cobra.Command, d applyDocument, patch *workspace.Patch, asJSON bool) error {
	for _, c := range patch.Files() {
		d.Files = append(d.Files, c.Path)
	}
	if asJSON {
		return writeJSON(cmd.OutOrStdout(), d)
	}
	done := "changed"
	if d.Checked {
		done = "would change"
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s in %s\n", done, term.Count(int64(len(d.Files)), "file", "files"), d.Dir)
	return err
}
