package forge_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/forge/forgetest"
	"github.com/bot-bottle/action/internal/forge/gitea"
	"github.com/bot-bottle/action/internal/forge/github"
	"github.com/bot-bottle/action/internal/secret"
)

// owners are the two ways to ask one double.
func owners(f *forgetest.KeyForge) map[string]func(context.Context, string) ([]forge.OwnedRepository, error) {
	token := secret.New("host", forgetest.Credential)
	return map[string]func(context.Context, string) ([]forge.OwnedRepository, error){
		"gitea": func(ctx context.Context, owner string) ([]forge.OwnedRepository, error) {
			return gitea.Owned(ctx, gitea.Config{Server: f.URL, Host: token}, owner)
		},
		"github": func(ctx context.Context, owner string) ([]forge.OwnedRepository, error) {
			return github.Owned(ctx, github.Config{API: f.GitHubURL(), Token: token}, owner)
		},
	}
}

func names(list []forge.OwnedRepository) (names []string) {
	for _, r := range list {
		name := r.FullName
		if !r.Admin {
			name += " (skipped)"
		}
		names = append(names, name)
	}
	return names
}

// Pages that the credential may see nothing of are not the end.
func TestOwnedReadsEveryPage(t *testing.T) {
	f := forgetest.NewKeyForge(t, time.Now())
	f.AddOwner("acme", true)
	f.AddOwner(forgetest.CredentialOwner, false)
	f.SetPageSize(2)
	for id, name := range []string{"", "acme/a", "acme/b", "acme/c", "acme/d", "acme/e", "bot/own", "acmeother/x"} {
		if id > 0 {
			f.Add(int64(id), name)
		}
	}
	f.Hide(1)
	f.Hide(2)
	f.SetStranger(4)
	for name, owned := range owners(f) {
		list, err := owned(t.Context(), "acme")
		if want := []string{"acme/c", "acme/d (skipped)", "acme/e"}; err != nil || !slices.Equal(names(list), want) {
			t.Errorf("%s: %v, %v", name, names(list), err)
		}
		if list, err := owned(t.Context(), forgetest.CredentialOwner); err != nil || !slices.Equal(names(list), []string{"bot/own"}) {
			t.Errorf("%s: of our own: %v, %v", name, names(list), err)
		}
	}
}

func TestOwnedSaysWhatWentWrong(t *testing.T) {
	f := forgetest.NewKeyForge(t, time.Now())
	f.AddOwner("acme", true)
	f.AddOwner(forgetest.CredentialOwner, false)
	f.SetPageSize(1)
	f.Add(1, "acme/a")
	f.Add(2, "acme/b")
	f.SetFault(func(r *http.Request) (forgetest.Answer, bool) {
		return forgetest.Answer{Status: http.StatusForbidden, Body: `{"message": "no"}`}, r.URL.Query().Get("page") == "2"
	})
	for name, owned := range owners(f) {
		if list, err := owned(t.Context(), "acme"); err == nil || !slices.Equal(names(list), []string{"acme/a"}) {
			t.Errorf("%s: a listing that breaks off: %v, %v", name, names(list), err)
		}
		if _, err := owned(t.Context(), "nobody"); err == nil || !strings.Contains(err.Error(), `"nobody"`) {
			t.Errorf("%s: an owner who isn't there: %v", name, err)
		}
		if _, err := owned(t.Context(), "../x"); err == nil {
			t.Errorf("%s: a name that is none is asked for", name)
		}
	}
}

func TestAListingOfRepositoriesEnds(t *testing.T) {
	n := 0
	_, err := forge.ListOwned("acme", func(number int) ([]forge.OwnedRepository, int, error) { n++; return nil, number + 1, nil })
	if err == nil || n > 1000 {
		t.Errorf("after %d pages: %v", n, err)
	}
	if _, err := forge.ListOwned("acme", func(number int) ([]forge.OwnedRepository, int, error) { return nil, 1, nil }); err != nil {
		t.Errorf("a page that names itself as the next: %v", err)
	}
}
