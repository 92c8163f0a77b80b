package deploykey

import (
	"context"
	"errors"
	"time"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/term"
)

// Reason is why a key is swept.
type Reason string

// The reasons for which a key is swept.
const (
	Expired Reason = "expired" // by the forge's clock, whichever host made it
	Owned   Reason = "own"     // this host made it, and its run is dead
)

// Options say what is swept besides expired keys.
type Options struct {
	Host   string                        // the ledger's id of this host
	Own    func(fingerprint string) bool // has the ledger a row of it, of a run that is dead? nil: none
	DryRun bool                          // only say what would be removed
}

// Swept is one key that is to go, or with only Err set, a repository that couldn't
// be read.
type Swept struct {
	Repository string // as it is called now; empty if that isn't known
	Key        forge.DeployKey
	Title      Title
	Reason     Reason
	Removed    bool  // seen absent
	Err        error // why not; a *term.Error
}

// Sweep removes, from each repository, what a host that is lost or was down left
// there: keys with our title that have expired by the forge's own clock, and such of
// this host whose run is dead by its ledger. All others stay, whatever their title.
//
// It goes on after errors. The error joins those of all; the list has what was done.
func Sweep(ctx context.Context, repositories []forge.Keys, o Options) ([]Swept, error) {
	var all []Swept
	var failed error
	for _, keys := range repositories {
		for _, s := range sweep(ctx, keys, o) {
			all = append(all, s)
			failed = errors.Join(failed, s.Err)
		}
	}
	return all, failed
}

func sweep(ctx context.Context, keys forge.Keys, o Options) []Swept {
	rights, err := keys.Rights(ctx)
	var list []forge.DeployKey
	if err == nil {
		list, err = keys.DeployKeys(ctx)
	}
	if err != nil {
		return []Swept{{Repository: rights.Repository.FullName, Err: term.Errorf(term.StageSettle, "", "sweeping deploy keys: %w", err)}}
	}
	var all []Swept
	for _, k := range list {
		title, reason := o.judge(k, rights.Now)
		if reason != "" {
			all = append(all, o.clear(ctx, keys, Swept{Repository: rights.Repository.FullName, Key: k, Title: title, Reason: reason}))
		}
	}
	return all
}

// judge gives the reason for which a key has to go, if there is one.
func (o Options) judge(k forge.DeployKey, now time.Time) (Title, Reason) {
	title, err := ParseTitle(k.Title)
	switch {
	case err != nil:
		return title, ""
	case now.After(title.Expiry):
		return title, Expired
	case title.Host == o.Host && o.Own != nil && o.Own(k.Fingerprint):
		return title, Owned
	}
	return title, ""
}

func (o Options) clear(ctx context.Context, keys forge.Keys, s Swept) Swept {
	if o.DryRun {
		return s
	}
	err := remove(ctx, keys, func(k forge.DeployKey) (bool, error) {
		return k.Fingerprint == s.Key.Fingerprint && k.Title == s.Key.Title, nil
	})
	if s.Removed = err == nil; err != nil {
		s.Err = term.Errorf(term.StageSettle, "", "removing deploy key %q from %q: %w", s.Key.Title, s.Repository, err).
			WithHint("sweep again once the forge answers")
	}
	return s
}
