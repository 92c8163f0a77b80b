package main

import (
	"context"
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
	owners         []string
	dryRun, asJSON bool
}

// sweepDocument is what `sweep --json` prints.
type sweepDocument struct {
	Schema int        `json:"schema"` // 1
	DryRun bool       `json:"dry_run"`
	Keys   []sweptKey `json:"keys"`
	// Skipped are repositories of an owner that the credential doesn't administer.
	Skipped []string `json:"skipped,omitempty"`
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
		Use:   "sweep --server URL {--repository OWNER/NAME | --owner OWNER}",
		Short: "Remove the deploy keys that dead or lost hosts have left on a forge",
		Long: `Remove from repositories the deploy keys that runs have left there: those that have
expired by the forge's own clock, whichever host made them, and those of this host
whose run is dead. All others stay, whatever their title. The forge is asked with the
host's credential (forges in /etc/bot-bottle/config.yaml). Exit code 7 says that
something is left.

With --owner it goes over all repositories of a person or an organisation that the
credential administers, and names those that it sees and doesn't: there, nothing was
looked at.`,
		Example: "  bot-bottle sweep --server https://gitea.example --repository acme/widgets --dry-run\n  bot-bottle sweep --server https://gitea.example --owner acme",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runSweep(cmd, f) },
	}
	cmd.Flags().StringVar(&f.kind, "forge", deploykey.Gitea, "gitea (Forgejo too) or github")
	cmd.Flags().StringVar(&f.server, "server", "", "address of the forge, as the host's configuration has it")
	cmd.Flags().StringSliceVar(&f.repositories, "repository", nil, "OWNER/NAME; repeatable, or comma-separated")
	cmd.Flags().StringSliceVar(&f.owners, "owner", nil, "all repositories of a person or an organisation; repeatable, or comma-separated")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say what would be removed")
	jsonFlag(cmd, &f.asJSON)
	return cmd
}

func runSweep(cmd *cobra.Command, f sweepFlags) error {
	if f.server == "" || len(f.repositories)+len(f.owners) == 0 {
		return term.Errorf(term.StageUsage, "", "reading the flags: sweep needs --server, and --repository or --owner").
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
	keys, err := f.named(cmd.Context())
	if err != nil {
		return err
	}
	owned, skipped, unread := f.owned(cmd.Context())
	swept, err := runner.SweepKeys(cmd.Context(), w.deps, append(keys, owned...), f.dryRun)
	return errors.Join(tellSwept(cmd, swept, skipped, f), unread, err)
}

// named gives the deploy keys of the repositories that were named.
func (f sweepFlags) named(ctx context.Context) (keys []forge.Keys, err error) {
	for _, name := range f.repositories {
		place, err := deploykey.PlaceOf(f.kind, f.server, name, true)
		if err != nil {
			return nil, &term.Error{Stage: term.StageUsage, Subject: "--repository", Err: err}
		}
		connection, err := keyForge(place)
		if err != nil {
			return nil, err
		}
		repository, err := connection.Repository(ctx)
		if err != nil {
			return nil, err
		}
		keys = append(keys, connection.Of(repository.ID))
	}
	return keys, nil
}

// owned gives the deploy keys of the owners' repositories that the credential
// administers, and the names of the others. After an error it gives what was found
// before, which is swept all the same.
func (f sweepFlags) owned(ctx context.Context) (keys []forge.Keys, skipped []string, failed error) {
	for _, owner := range f.owners {
		list, err := ownedBy(ctx, deploykey.Place{Forge: f.kind, Server: f.server}, owner)
		if err != nil {
			failed = errors.Join(failed, &term.Error{Stage: term.StageSettle, Subject: owner, Err: err})
		}
		administered := len(keys)
		for _, r := range list {
			if !r.Admin {
				skipped = append(skipped, r.FullName)
				continue
			}
			place, err := deploykey.PlaceOf(f.kind, f.server, r.FullName, true)
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			connection, err := keyForge(place)
			if err != nil {
				return keys, skipped, errors.Join(failed, err)
			}
			keys = append(keys, connection.Of(r.ID))
		}
		if err == nil && len(keys) == administered {
			failed = errors.Join(failed, noneOwned(owner, len(list)))
		}
	}
	return keys, skipped, failed
}

// noneOwned is the error of an owner at whom there is nothing to look at: rather a
// mistake than a success.
func noneOwned(owner string, seen int) error {
	return term.Errorf(term.StageSettle, owner, "sweeping the repositories of %q: the host's credential sees %s and administers none", owner, term.Count(int64(seen), "repository", "repositories")).
		WithHint("give the account of the credential the right to administer them, or see that %q is the name of the owner", owner)
}

func tellSwept(cmd *cobra.Command, swept []deploykey.Swept, skipped []string, f sweepFlags) error {
	document := sweepDocument{1, f.dryRun, []sweptKey{}, skipped}
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
	for _, name := range skipped {
		table.Row("skipped", name, "not administered")
	}
	if len(document.Keys) == 0 {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), "nothing to sweep"); err != nil {
			return err
		}
	}
	_, err := table.WriteTo(cmd.OutOrStdout())
	return err
}
