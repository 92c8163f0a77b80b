package github

import (
	"context"
	"errors"
	"fmt"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/google/go-github/v92/github"
)

// keyRight is what deploy keys need
// (https://docs.github.com/rest/deploy-keys/deploy-keys).
const keyRight = "Administration: read and write"

// errNoAnswer says that the answer lacks what was asked for.
var errNoAnswer = errors.New("the answer lacks what was asked for")

// Keys are the deploy keys of a GitHub repository.
type Keys struct {
	forge *Forge
	id    int64
}

// Keys gives the deploy keys of the repository with this id. f has to be made with
// the host's credential: a job's token can't have the right.
func (f *Forge) Keys(repository int64) *Keys { return &Keys{f, repository} }

// Rights asks for the repository by its id and, as proof of the right, for its
// keys, which GitHub shows to nobody else. What it says of permissions is about the
// account and not about the token, and empty for an App.
func (k *Keys) Rights(ctx context.Context) (forge.Rights, error) {
	rights, err := k.located(ctx)
	if err != nil {
		return forge.Rights{}, err
	}
	owner, name, err := forge.SplitRepository(rights.Repository.FullName)
	if err != nil {
		return forge.Rights{}, err
	}
	_, err = k.page(ctx, owner, name, 1)
	return rights, err
}

// located is Rights before the proof.
func (k *Keys) located(ctx context.Context) (forge.Rights, error) {
	question := fmt.Sprintf("asking GitHub for the repository %q with the id %d", k.forge.subject(), k.id)
	repo, r, err := k.forge.client.Repositories.GetByID(ctx, k.id)
	if err == nil && (k.id <= 0 || repo.GetID() != k.id) {
		err = errNoAnswer
	}
	if err != nil {
		return forge.Rights{}, forge.KeyError(err, status(r), keyRight, "%s", question)
	}
	now, err := forge.Clock(r.Header)
	if err != nil {
		return forge.Rights{}, forge.KeyError(err, 0, keyRight, "%s", question)
	}
	return forge.Rights{Repository: repository(repo), Now: now}, nil
}

// DeployKeys reads all pages, and asks for the repository before and after.
func (k *Keys) DeployKeys(ctx context.Context) ([]forge.DeployKey, error) {
	return forge.Confirmed(
		func() (forge.Rights, error) { return k.located(ctx) },
		func(owner, name string, page int) ([]forge.DeployKey, error) { return k.page(ctx, owner, name, page) })
}

func (k *Keys) page(ctx context.Context, owner, name string, page int) ([]forge.DeployKey, error) {
	list, r, err := k.forge.client.Repositories.ListKeys(ctx, owner, name, &github.ListOptions{Page: page, PerPage: perPage})
	if err != nil {
		return nil, forge.KeyError(err, status(r), keyRight, "asking GitHub for the deploy keys of \"%s/%s\"", owner, name)
	}
	return forge.ReadKeys(list, func(k *github.Key) (forge.DeployKey, string) {
		return forge.DeployKey{ID: k.GetID(), Title: k.GetTitle(), ReadOnly: k.GetReadOnly()}, k.GetKey()
	})
}

// CreateDeployKey registers a key in the repository, wherever it is now.
func (k *Keys) CreateDeployKey(ctx context.Context, title, public string, write bool) (int64, error) {
	owner, name, err := forge.Located(k.located(ctx))
	if err != nil {
		return 0, err
	}
	made, r, err := k.forge.client.Repositories.CreateKey(ctx, owner, name,
		github.CreateDeployKeyRequest{Title: &title, Key: public, ReadOnly: new(!write)})
	if err == nil && made.GetID() <= 0 {
		err = errNoAnswer
	}
	if err != nil {
		return 0, forge.KeyError(err, status(r), keyRight, "registering the deploy key %q in \"%s/%s\"", title, owner, name)
	}
	return made.GetID(), nil
}

// DeleteDeployKey deletes by id. Where there is none GitHub answers 404, as for a
// repository that it hides: ErrAbsent, wrapped.
func (k *Keys) DeleteDeployKey(ctx context.Context, id int64) error {
	owner, name, err := forge.Located(k.located(ctx))
	if err != nil {
		return err
	}
	r, err := k.forge.client.Repositories.DeleteKey(ctx, owner, name, id)
	return forge.KeyError(err, status(r), keyRight, "deleting deploy key %d of \"%s/%s\"", id, owner, name)
}

var _ forge.Keys = (*Keys)(nil)

// Repository finds the repository by its name.
func (f *Forge) Repository(ctx context.Context) (forge.Repository, error) {
	r, answer, err := f.client.Repositories.Get(ctx, f.owner, f.name)
	if err == nil && r.GetID() <= 0 {
		err = errNoAnswer
	}
	if err != nil {
		return forge.Repository{}, forge.KeyError(err, status(answer), keyRight, "asking GitHub for the repository %q", f.subject())
	}
	return repository(r), nil
}

// Of gives the deploy keys of the repository with this id.
func (f *Forge) Of(id int64) forge.Keys { return f.Keys(id) }
