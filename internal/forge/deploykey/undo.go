package deploykey

import (
	"context"
	"errors"
	"fmt"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/term"
)

// errStays says that a key is listed after its deletion.
var errStays = errors.New("the forge still lists it")

// Undo makes the key of args absent and sees it absent; it is nil where there was
// none. Keys are those of the repository with args' id, which may have another name
// by now. A repository that can't be seen tells nothing, so that is an error.
//
// The key is found by its fingerprint. That it has args' title too is what marks it
// as ours: a row that somebody else wrote must not take away a key of theirs.
//
// As an intended key may land after its absence was seen, call it through the
// journal, which then keeps the obligation until its landing time and calls again.
func Undo(ctx context.Context, keys forge.Keys, args Args) error {
	err := args.check()
	if err == nil {
		err = undo(ctx, keys, args)
	}
	if err == nil {
		return nil
	}
	return term.Errorf(term.StageSettle, "", "removing deploy key %s from %q: %w", args.Fingerprint, args.Repository, err).
		WithHint("run bot-bottle reap once the forge answers; or remove the key %q from the repository's settings", args.Title)
}

func undo(ctx context.Context, keys forge.Keys, args Args) error {
	rights, err := keys.Rights(ctx)
	if err != nil {
		return err
	}
	if rights.Repository.ID != args.RepositoryID {
		return fmt.Errorf("looking at the repository: its id is %d, not %d", rights.Repository.ID, args.RepositoryID)
	}
	return remove(ctx, keys, func(k forge.DeployKey) (bool, error) {
		if k.Fingerprint != args.Fingerprint {
			return false, nil
		}
		if k.Title != args.Title {
			return false, fmt.Errorf("looking at the key: its title is %q, not ours", term.Shorten(k.Title, 100))
		}
		return true, nil
	})
}

// remove deletes each key that is wanted gone, and sees them absent. A deletion that
// fails is no matter if the key is gone: only the listing counts.
func remove(ctx context.Context, keys forge.Keys, wanted func(forge.DeployKey) (bool, error)) error {
	found, err := matching(ctx, keys, wanted)
	if err != nil || len(found) == 0 {
		return err
	}
	var failed error
	for _, k := range found {
		failed = errors.Join(failed, keys.DeleteDeployKey(ctx, k.ID))
	}
	found, err = matching(ctx, keys, wanted)
	switch {
	case err != nil:
		return errors.Join(failed, err)
	case len(found) == 0:
		return nil
	case failed != nil:
		return failed
	}
	return errStays
}

func matching(ctx context.Context, keys forge.Keys, wanted func(forge.DeployKey) (bool, error)) ([]forge.DeployKey, error) {
	list, err := keys.DeployKeys(ctx)
	if err != nil {
		return nil, err
	}
	var found []forge.DeployKey
	for _, k := range list {
		ok, err := wanted(k)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, k)
		}
	}
	return found, nil
}
