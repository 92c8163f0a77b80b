package github

import (
	"context"
	"strings"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/google/go-github/v92/github"
)

// listRight is what a listing of repositories needs.
const listRight = "Metadata: read"

// Owned gives the repositories of a person or an organisation that the credential
// sees (https://docs.github.com/rest/repos/repos): of another person only the public
// ones. Of c the repository is not used. After an error it gives what was read before.
func Owned(ctx context.Context, c Config, owner string) ([]forge.OwnedRepository, error) {
	if err := forge.CheckLogin(owner); err != nil {
		return nil, err
	}
	client, err := newClient(c)
	if err != nil {
		return nil, err
	}
	account, r, err := client.Users.Get(ctx, owner)
	if err != nil {
		return nil, forge.KeyError(err, status(r), listRight, "asking GitHub for the account %q", owner)
	}
	list, err := lister(ctx, client, account)
	if err != nil {
		return nil, err
	}
	return forge.ListOwned(account.GetLogin(), func(number int) ([]forge.OwnedRepository, int, error) {
		page, r, err := list(github.ListOptions{Page: number, PerPage: perPage})
		if err != nil {
			return nil, 0, forge.KeyError(err, status(r), listRight, "asking GitHub for the repositories of %q", owner)
		}
		var owned []forge.OwnedRepository
		for _, o := range page {
			owned = append(owned, forge.OwnedRepository{Repository: repository(o), Admin: o.GetPermissions().GetAdmin()})
		}
		return owned, r.NextPage, nil
	})
}

// lister gives the listing that shows the most of an account: our own has one that
// shows what is private.
func lister(ctx context.Context, client *github.Client, account *github.User) (func(github.ListOptions) ([]*github.Repository, *github.Response, error), error) {
	login := account.GetLogin()
	if account.GetType() == "Organization" {
		return func(o github.ListOptions) ([]*github.Repository, *github.Response, error) {
			return client.Repositories.ListByOrg(ctx, login, &github.RepositoryListByOrgOptions{ListOptions: o})
		}, nil
	}
	own, r, err := client.Users.Get(ctx, "")
	if err != nil {
		return nil, forge.KeyError(err, status(r), listRight, "asking GitHub for our own account")
	}
	if strings.EqualFold(own.GetLogin(), login) {
		return func(o github.ListOptions) ([]*github.Repository, *github.Response, error) {
			return client.Repositories.ListByAuthenticatedUser(ctx, &github.RepositoryListByAuthenticatedUserOptions{Affiliation: "owner", ListOptions: o})
		}, nil
	}
	return func(o github.ListOptions) ([]*github.Repository, *github.Response, error) {
		return client.Repositories.ListByUser(ctx, login, &github.RepositoryListByUserOptions{ListOptions: o})
	}, nil
}
