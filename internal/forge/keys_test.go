package forge_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/forge/forgetest"
	"github.com/bot-bottle/action/internal/forge/gitea"
	"github.com/bot-bottle/action/internal/forge/github"
	"github.com/bot-bottle/action/internal/secret"
	"golang.org/x/crypto/ssh"
)

const repository = 4217

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// eachForge runs a test against the double of each forge.
func eachForge(t *testing.T, test func(*testing.T, *forgetest.KeyForge, forge.Keys)) {
	t.Helper()
	for _, name := range []string{"gitea", "github"} {
		t.Run(name, func(t *testing.T) {
			f := forgetest.NewKeyForge(t, noon)
			f.Add(repository, "acme/widgets")
			test(t, f, keysOf(t, f, name))
		})
	}
}

func keysOf(t *testing.T, f *forgetest.KeyForge, name string) forge.Keys {
	t.Helper()
	token := secret.New("host", forgetest.Credential)
	if name == "github" {
		client, err := github.New(github.Config{API: f.GitHubURL(), Repository: "acme/widgets", Token: token})
		if err != nil {
			t.Fatal(err)
		}
		return client.Keys(repository)
	}
	client, err := gitea.New(gitea.Config{Server: f.URL, Repository: "acme/widgets", Job: secret.New("job", "job-token"), Host: token})
	if err != nil {
		t.Fatal(err)
	}
	return client.Keys(repository)
}

// publicKey gives the nth of many keys, and its fingerprint.
func publicKey(t testing.TB, n int) (line, fingerprint string) {
	t.Helper()
	seed := fmt.Sprintf("%032d", n)
	key, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed([]byte(seed)).Public())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), ssh.FingerprintSHA256(key)
}

func TestDeployKeysAreCreatedListedAndDeleted(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		line, fingerprint := publicKey(t, 1)
		id, err := keys.CreateDeployKey(t.Context(), "a title", line, true)
		if err != nil {
			t.Fatal(err)
		}
		list, err := keys.DeployKeys(t.Context())
		if want := (forge.DeployKey{ID: id, Title: "a title", Fingerprint: fingerprint}); err != nil || len(list) != 1 || list[0] != want {
			t.Fatalf("got %+v, %v, want %+v", list, err, want)
		}
		if _, err := keys.CreateDeployKey(t.Context(), "another", line, true); !errors.Is(err, forge.ErrTaken) {
			t.Errorf("got %v", err)
		}
		if err := keys.DeleteDeployKey(t.Context(), id); err != nil || len(f.Held(repository)) != 0 {
			t.Errorf("got %v, left %v", err, f.Held(repository))
		}
	})
}

func TestRightsComeWithTheForgesNameAndClock(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		f.Rename(repository, "acme/gadgets")
		rights, err := keys.Rights(t.Context())
		if want := (forge.Rights{Repository: forge.Repository{ID: repository, FullName: "acme/gadgets"}, Now: noon}); err != nil || rights != want {
			t.Errorf("got %+v, %v", rights, err)
		}
	})
}

func TestNoRightsNoKeys(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		for name, c := range map[string]struct {
			set   func()
			kinds []error
		}{
			"not an administrator": {func() { f.SetAdmin(false) }, []error{forge.ErrRight, forge.ErrAbsent}}, // GitHub hides what isn't allowed
			"expired":              {func() { f.SetExpired(true) }, []error{forge.ErrLogin}},
			"hidden":               {func() { f.Hide(repository) }, []error{forge.ErrAbsent}},
		} {
			f.SetAdmin(true)
			f.SetExpired(false)
			c.set()
			_, rights := keys.Rights(t.Context())
			list, listing := keys.DeployKeys(t.Context())
			for _, err := range []error{rights, listing} {
				if list != nil || !errors.Is(err, c.kinds[0]) && !errors.Is(err, c.kinds[len(c.kinds)-1]) {
					t.Errorf("%s: %v, %v", name, list, err)
				}
			}
			f.Add(repository, "acme/widgets")
		}
	})
}

func TestAKeyIsFoundOnEachPage(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		f.SetPageSize(7)
		for i := range 23 {
			line, _ := publicKey(t, i)
			f.Put(repository, "x", line, false)
		}
		list, err := keys.DeployKeys(t.Context())
		_, last := publicKey(t, 22)
		if err != nil || len(list) != 23 || list[22].Fingerprint != last || !list[22].ReadOnly {
			t.Errorf("%d keys, %v", len(list), err)
		}
	})
}

// A key that is removed between two pages moves those after it, so that the first of
// the next page would never be seen.
func TestAListingThatChangesUnderWayIsBegunAgain(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		f.SetPageSize(2)
		var first int64
		for i := range 5 {
			line, _ := publicKey(t, i)
			if id := f.Put(repository, "x", line, false); i == 0 {
				first = id
			}
		}
		f.SetFault(func(r *http.Request) (forgetest.Answer, bool) {
			if r.URL.Query().Get("page") == "2" {
				f.Delete(repository, first)
			}
			return forgetest.Answer{}, false
		})
		list, err := keys.DeployKeys(t.Context())
		_, moved := publicKey(t, 2)
		found := false
		for _, k := range list {
			found = found || k.Fingerprint == moved
		}
		if err != nil || !found {
			t.Errorf("got %+v, %v", list, err)
		}
	})
}
