package gitea

import (
	"context"
	"fmt"

	"code.gitea.io/sdk/gitea"
	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/term"
)

// keyRight is what deploy keys need of the host's credential (Gitea's
// routers/api/v1/api.go: reqToken, reqAdmin).
const keyRight = "administrator of the repository, with the scope write:repository"

// Keys are the deploy keys of a Gitea or Forgejo repository.
type Keys struct {
	forge *Forge
	id    int64
}

// Keys gives the deploy keys of the repository with this id, which is the forge's
// word, not the name's: the name that f was made with only stands in messages. They
// are asked for with the host's credential.
func (f *Forge) Keys(repository int64) *Keys { return &Keys{f, repository} }

// client is of the host's credential alone: a job's token is never tried.
func (k *Keys) client(ctx context.Context) (*gitea.Client, error) {
	if k.forge.config.Host.IsEmpty() {
		return nil, term.Errorf(term.StagePreflight, "", "asking the forge for the deploy keys of %q: %w: the host has no credential for %q", k.forge.config.Repository, forge.ErrRight, k.forge.config.Server).
			WithHint("name one in %s/config.yaml under `forges`, of an account that is %s", manifest.HostFolder, keyRight)
	}
	return k.forge.client(ctx, k.forge.config.Host)
}

// Rights asks for the repository by its id.
func (k *Keys) Rights(ctx context.Context) (forge.Rights, error) {
	client, err := k.client(ctx)
	if err != nil {
		return forge.Rights{}, err
	}
	return k.rights(client)
}

func (k *Keys) rights(client *gitea.Client) (forge.Rights, error) {
	question := fmt.Sprintf("asking the forge for the repository %q with the id %d", k.forge.config.Repository, k.id)
	repo, r, err := client.GetRepoByID(k.id)
	if err != nil {
		return forge.Rights{}, forge.KeyError(err, status(r), keyRight, "%s", question)
	}
	if repo == nil || repo.ID != k.id || k.id <= 0 {
		return forge.Rights{}, forge.KeyError(errNoAnswer, status(r), keyRight, "%s", question)
	}
	if _, _, err := forge.SplitRepository(repo.FullName); err != nil {
		return forge.Rights{}, err
	}
	if repo.Permissions == nil || !repo.Permissions.Admin {
		return forge.Rights{}, term.Errorf(term.StagePreflight, "", "%s: %w: the credential doesn't administer it", question, forge.ErrRight).
			WithHint("give the credential the right: %s", keyRight)
	}
	now, err := forge.Clock(r.Header)
	if err != nil {
		return forge.Rights{}, forge.KeyError(err, 0, keyRight, "%s", question)
	}
	return forge.Rights{Repository: repository(repo), Now: now}, nil
}

// DeployKeys reads all pages, and asks for the rights before and after.
func (k *Keys) DeployKeys(ctx context.Context) ([]forge.DeployKey, error) {
	client, err := k.client(ctx)
	if err != nil {
		return nil, err
	}
	return forge.Confirmed(
		func() (forge.Rights, error) { return k.rights(client) },
		func(owner, name string, page int) ([]forge.DeployKey, error) {
			return listed(client, owner, name, page)
		})
}

func listed(client *gitea.Client, owner, name string, page int) ([]forge.DeployKey, error) {
	list, r, err := client.ListDeployKeys(owner, name, gitea.ListDeployKeysOptions{ListOptions: gitea.ListOptions{Page: page, PageSize: perPage}})
	if err != nil {
		return nil, forge.KeyError(err, status(r), keyRight, "asking the forge for the deploy keys of \"%s/%s\"", owner, name)
	}
	return forge.ReadKeys(list, func(k *gitea.DeployKey) (forge.DeployKey, string) {
		if k == nil {
			return forge.DeployKey{}, ""
		}
		return forge.DeployKey{ID: k.ID, Title: k.Title, ReadOnly: k.ReadOnly}, k.Key
	})
}

// CreateDeployKey registers a key in the repository, wherever it is now.
func (k *Keys) CreateDeployKey(ctx context.Context, title, public string, write bool) (int64, error) {
	client, err := k.client(ctx)
	if err != nil {
		return 0, err
	}
	owner, name, err := forge.Located(k.rights(client))
	if err != nil {
		return 0, err
	}
	made, r, err := client.CreateDeployKey(owner, name, gitea.CreateKeyOption{Title: title, Key: public, ReadOnly: !write})
	if err == nil && (made == nil || made.ID <= 0) {
		err = errNoAnswer
	}
	if err != nil {
		return 0, forge.KeyError(err, status(r), keyRight, "registering the deploy key %q in \"%s/%s\"", title, owner, name)
	}
	return made.ID, nil
}

// DeleteDeployKey deletes by id. Gitea answers 204 too where there is none.
func (k *Keys) DeleteDeployKey(ctx context.Context, id int64) error {
	client, err := k.client(ctx)
	if err != nil {
		return err
	}
	owner, name, err := forge.Located(k.rights(client))
	if err != nil {
		return err
	}
	r, err := client.DeleteDeployKey(owner, name, id)
	return forge.KeyError(err, status(r), keyRight, "deleting deploy key %d of \"%s/%s\"", id, owner, name)
}

var _ forge.Keys = (*Keys)(nil)

// Repository finds the repository by its name, with the host's credential.
func (f *Forge) Repository(ctx context.Context) (forge.Repository, error) {
	client, err := f.Keys(0).client(ctx)
	if err != nil {
		return forge.Repository{}, err
	}
	r, answer, err := client.GetRepo(f.owner, f.name)
	if err == nil && (r == nil || r.ID <= 0) {
		err = errNoAnswer
	}
	if err != nil {
		return forge.Repository{}, forge.KeyError(err, status(answer), keyRight, "asking the forge for the repository %q", f.config.Repository)
	}
	return repository(r), nil
}

// Of gives the deploy keys of the repository with this id.
func (f *Forge) Of(id int64) forge.Keys { return f.Keys(id) }
