package main

import (
	"errors"
	"fmt"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/forge/deploykey"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
	"github.com/spf13/cobra"
)

// sweepFlags are what `sweep` is told.
type sweepFlags struct {
	kind, server   string
	repositories   []string
	dryRun, asJSON bool
}

// sweepDocument is what `sweep --json` prints.
type sweepDocument struct {
	Schema int        `json:"schema"` // 1
	DryRun bool       `json:"dry_run"`
	Keys   []sweptKey `json:"keys"`
}

// sweptKey is one key that is to go, or a repository that couldn't be read.
type sweptKey struct {
	Repository string `json:"repository,omitempty"`
	Title      string `json:"title,omitempty"`
	Reason     string `json:"reason,omitempty"` // "expired" or "own"
	Removed    bool   `json:"removed"`
	Error      string `json:"error,omitempty"`
}

func sweepCommand() *cobra.Command {
	var f sweepFlags
	cmd := &cobra.Command{
		Use:   "sweep --server URL --repository OWNER/NAME",
		Short: "Remove the deploy keys that dead or lost hosts have left on a forge",
		Long: `Remove from repositories the deploy keys that runs have left there: those that have
expired by the forge's own clock, whichever host made them, and those of this host
whose run is dead. All others stay, whatever their title. The forge is asked with the
host's credential (forges in /etc/bot-bottle/config.yaml). Exit code 7 says that
something is left.`,
		Example: "  bot-bottle sweep --server https://gitea.example --repository acme/widgets --dry-run",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runSweep(cmd, f) },
	}
	cmd.Flags().StringVar(&f.kind, "forge", deploykey.Gitea, "gitea (Forgejo too) or github")
	cmd.Flags().StringVar(&f.server, "server", "", "address of the forge, as the host's configuration has it")
	cmd.Flags().StringSliceVar(&f.repositories, "repository", nil, "OWNER/NAME; repeatable, or comma-separated")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say what would be removed")
	jsonFlag(cmd, &f.asJSON)
	return cmd
}

func runSweep(cmd *cobra.Command, f sweepFlags) error {
	if f.server == "" || len(f.repositories) == 0 {
		return term.Errorf(term.StageUsage, "", "reading the flags: sweep needs --server and --repository").
			WithHint("bot-bottle sweep --server https://gitea.example --repository acme/widgets")
	}
	if f.kind != deploykey.Gitea && f.kind != deploykey.GitHub {
		return term.Errorf(term.StageUsage, "--forge", "choosing the forge: %q is none", f.kind).WithHint("use gitea or github")
	}
	w, err := openWorld(cmd.Context(), cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer w.close()
	var keys []forge.Keys
	for _, name := range f.repositories {
		place, err := deploykey.PlaceOf(f.kind, f.server, name, true)
		if err != nil {
			return &term.Error{Stage: term.StageUsage, Subject: "--repository", Err: err}
		}
		connection, err := keyForge(place)
		if err != nil {
			return err
		}
		repository, err := connection.Repository(cmd.Context())
		if err != nil {
			return err
		}
		keys = append(keys, connection.Of(repository.ID))
	}
	swept, err := runner.SweepKeys(cmd.Context(), w.deps, keys, f.dryRun)
	return errors.Join(tellSwept(cmd, swept, f), err)
}

func tellSwept(cmd *cobra.Command, swept []deploykey.Swept, f sweepFlags) error {
	document := sweepDocument{1, f.dryRun, []sweptKey{}}
	for _, s := range swept {
		k := sweptKey{Repository: s.Repository, Title: s.Key.Title, Reason: string(s.Reason), Removed: s.Removed}
		if s.Err != nil {
			k.Error = s.Err.Error()
		}
		document.Keys = append(document.Keys, k)
	}
	if f.asJSON {
		return writeJSON(cmd.OutOrStdout(), document)
	}
	var table term.Table
	for _, k := range document.Keys {
		word := "left"
		switch {
		case k.Removed:
			word = "removed"
		case f.dryRun && k.Error == "":
			word = "would go"
		}
		table.Row(word, k.Repository, k.Reason, k.Title, k.Error)
	}
	if len(document.Keys) == 0 {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "nothing to sweep")
		return err
	}
	_, err := table.WriteTo(cmd.OutOrStdout())
	return err
}
