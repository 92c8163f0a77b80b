package gitea

import (
	"context"

	"code.gitea.io/sdk/gitea"
	"github.com/bot-bottle/action/internal/forge"
)

// listRight is what a listing of repositories needs of the host's credential.
const listRight = "the scopes read:user and read:repository"

// Owned gives the repositories of a person or an organisation that the host's
// credential sees (Gitea's routers/api/v1/user/repo.go, ListUserRepos, which knows
// both). Of c the repository is not used. After an error it gives what was read
// before.
func Owned(ctx context.Context, c Config, owner string) ([]forge.OwnedRepository, error) {
	if err := forge.CheckLogin(owner); err != nil {
		return nil, err
	}
	client, err := (&Forge{config: c}).client(ctx, c.Host)
	if err != nil {
		return nil, err
	}
	return forge.ListOwned(owner, func(number int) ([]forge.OwnedRepository, int, error) {
		list, r, err := client.ListUserRepos(owner, gitea.ListReposOptions{ListOptions: gitea.ListOptions{Page: number, PageSize: perPage}})
		if err != nil {
			return nil, 0, forge.KeyError(err, status(r), listRight, "asking the forge for the repositories of %q", owner)
		}
		var owned []forge.OwnedRepository
		for _, o := range list {
			owned = append(owned, forge.OwnedRepository{Repository: repository(o), Admin: o != nil && o.Permissions != nil && o.Permissions.Admin})
		}
		return owned, r.NextPage, nil
	})
}
