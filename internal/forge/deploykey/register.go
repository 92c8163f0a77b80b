package deploykey

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/term"
)

// refused is an error after which no request for a key is under way.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// Refused tells of an error of Register that no key will come of it: nothing was
// sent, or the forge refused, and no earlier request for the same key is still
// without an answer. After any other one a key may be there, or land later.
func Refused(err error) bool { return errors.As(err, new(refused)) }

// Register puts the key on the forge, and sees it there with the rights that were
// asked for. It may be called again with the same key: one that is there is done.
// The obligation has to be written before.
func Register(ctx context.Context, keys forge.Keys, key *Key, args Args) error {
	if err := ready(ctx, keys, key, args); err != nil {
		return key.failed(args, err)
	}
	_, created := keys.CreateDeployKey(ctx, args.Title, key.Public(), key.write)
	if !answered(created) {
		key.sent.Store(true)
	}
	if err := registered(ctx, keys, key, args, created); err != nil {
		return key.failed(args, err)
	}
	return nil
}

func (k *Key) failed(args Args, err error) error {
	if !k.sent.Load() {
		err = refused{err}
	}
	return term.Errorf(term.StageLaunch, "", "registering a deploy key in %q: %w", args.Repository, err)
}

// ready refuses to send a key anywhere but to the repository that was meant, or one
// that a sweep would take away at once.
func ready(ctx context.Context, keys forge.Keys, key *Key, args Args) error {
	if err := args.check(); err != nil {
		return err
	}
	if key.fingerprint != args.Fingerprint {
		return fmt.Errorf("looking at the obligation: it is for the key %s, not for %s", args.Fingerprint, key.fingerprint)
	}
	rights, err := keys.Rights(ctx)
	if err != nil {
		return err
	}
	if rights.Repository.ID != args.RepositoryID || !strings.EqualFold(rights.Repository.FullName, args.Repository) {
		return term.Errorf(term.StageLaunch, "", "looking at the repository: it is %q with the id %d now, not id %d", rights.Repository.FullName, rights.Repository.ID, args.RepositoryID).
			WithHint("it was renamed or replaced: start the job again, after naming it anew in the bottle's `for`")
	}
	title, err := ParseTitle(args.Title)
	if err == nil && !rights.Now.Before(title.Expiry) {
		err = term.Errorf(term.StageLaunch, "", "looking at the forge's clock: it is %s there, when the key has expired", rights.Now.UTC().Format("2006-01-02 15:04:05Z")).
			WithHint("set the clocks of this host and of the forge")
	}
	return err
}

// answered tells whether the forge has answered a creation with a refusal.
func answered(created error) bool {
	for _, kind := range []error{forge.ErrLogin, forge.ErrRight, forge.ErrAbsent, forge.ErrTaken} {
		if errors.Is(created, kind) {
			return true
		}
	}
	return false
}

// registered reads back what a creation that ended with created has brought.
func registered(ctx context.Context, keys forge.Keys, key *Key, args Args, created error) error {
	list, err := keys.DeployKeys(ctx)
	if err != nil {
		return errors.Join(created, err)
	}
	for _, k := range list {
		if k.Fingerprint == args.Fingerprint {
			return asAsked(k, key, args)
		}
	}
	if created == nil {
		return errors.New("reading it back: the forge took it, and doesn't list it")
	}
	return created
}

func asAsked(k forge.DeployKey, key *Key, args Args) error {
	if k.ReadOnly == key.write || k.Title != args.Title {
		return fmt.Errorf("reading it back: its title is %q and it is read-only: %t", term.Shorten(k.Title, 100), k.ReadOnly)
	}
	return nil
}
