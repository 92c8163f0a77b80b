package runner

import (
	"context"
	"encoding/json"
	"maps"
	"time"

	"github.com/bot-bottle/action/internal/doors/gitgate"
	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/forge/deploykey"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/journal"
)

// keySlack is added to a run's time limit for the life of its key, by the forge's
// clock, after which anybody may sweep it: time to start and to settle, and twice.
const keySlack = 30 * time.Minute

// mintKeys has each remote's forge make a key for this run, before anything of the
// guest's runs.
func (r *run) mintKeys(ctx context.Context) error {
	secrets := maps.Clone(r.plan.Secrets)
	if secrets == nil {
		secrets = map[string]secret.Value{}
	}
	for _, g := range r.plan.Policy.Git {
		if g.Forge == "" {
			continue
		}
		value, err := r.mintKey(ctx, g)
		if err != nil {
			return err
		}
		secrets[g.KeyName] = value
	}
	r.plan.Secrets = secrets
	return nil
}

func (r *run) mintKey(ctx context.Context, g policy.GitRemote) (none secret.Value, err error) {
	place, err := placeOfKey(g)
	if err != nil {
		return none, err
	}
	place, now, err := r.deps.KeyHelper.Locate(ctx, place)
	if err != nil {
		return none, err
	}
	expiry := now.Add(r.plan.Policy.Limits.WithDefaults().Timeout + keySlack)
	key, args, err := deploykey.Generate(r.deps.Ledger.HostID(), r.id, expiry, place)
	if err != nil {
		return none, err
	}
	err = r.journal.Effect(ctx, deploykey.Kind, args, deploykey.LandsIn, func(ctx context.Context) error {
		err := r.deps.KeyHelper.Register(ctx, place, key, args)
		if deploykey.Refused(err) {
			return journal.Over(err)
		}
		return err
	})
	if err != nil {
		return none, err
	}
	return key.Secret()
}

// placeOfKey is where a key of the remote lets in. It may push only if the bottle
// does.
func placeOfKey(g policy.GitRemote) (deploykey.Place, error) {
	u, err := gitgate.ParseAddress(g.URL)
	if err != nil {
		return deploykey.Place{}, err
	}
	server := g.Server
	if server == "" {
		server = "https://" + u.Host
	}
	place, err := deploykey.PlaceOf(g.Forge, server, u.Repository(), len(g.Push) > 0)
	if err != nil {
		return place, term.Errorf(term.StageManifest, g.Name, "reading the git remote %q: %w", g.Name, err).
			WithHint("a forge makes keys for the repository OWNER/NAME of the URL; name its address as `server` where it isn't https and the URL's host")
	}
	return place, nil
}

// undoDeployKey removes a run's key, with the credential that the host has now.
type undoDeployKey struct {
	afterGuest
	connect deploykey.Connect
}

// Version is that of deploykey.Args.
func (undoDeployKey) Version() int { return deploykey.Version }

// Deadline is for a slow forge.
func (undoDeployKey) Deadline() time.Duration { return deploykey.UndoDeadline }

// Undo removes the key and sees it absent.
func (u undoDeployKey) Undo(ctx context.Context, version int, raw json.RawMessage) error {
	args, err := deploykey.Decode(version, raw)
	if err != nil {
		return err
	}
	connection, err := u.connect(deploykey.Place{Forge: args.Forge, Server: args.Server, Repository: args.Repository, RepositoryID: args.RepositoryID})
	if err != nil {
		return err
	}
	return deploykey.Undo(ctx, connection.Of(args.RepositoryID), args)
}

// ownKeys tells, of the fingerprints of deploy keys, which the ledger has a row of
// whose run is dead.
func ownKeys(ctx context.Context, deps Deps) (func(fingerprint string) bool, error) {
	runs, err := deps.Ledger.OpenRuns(ctx)
	if err != nil {
		return nil, err
	}
	own := map[string]bool{}
	for _, r := range runs {
		live, err := deps.Ledger.Live(r.ID)
		if err != nil {
			return nil, err
		}
		if live {
			continue
		}
		obligations, err := deps.Ledger.Obligations(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		for _, o := range obligations {
			if args, err := deploykey.Decode(o.Version, o.Args); o.Kind == deploykey.Kind && err == nil {
				own[args.Fingerprint] = true
			}
		}
	}
	return func(fingerprint string) bool { return own[fingerprint] }, nil
}

// SweepKeys removes from repositories the deploy keys that dead or lost hosts left.
func SweepKeys(ctx context.Context, deps Deps, repositories []forge.Keys, dryRun bool) ([]deploykey.Swept, error) {
	own, err := ownKeys(ctx, deps)
	if err != nil {
		return nil, err
	}
	return deploykey.Sweep(ctx, repositories, deploykey.Options{Host: deps.Ledger.HostID(), Own: own, DryRun: dryRun})
}
