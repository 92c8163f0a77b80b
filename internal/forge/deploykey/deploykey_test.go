package deploykey_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/forge/deploykey"
	"github.com/bot-bottle/action/internal/forge/forgetest"
	"github.com/bot-bottle/action/internal/forge/gitea"
	"github.com/bot-bottle/action/internal/forge/github"
	"github.com/bot-bottle/action/internal/secret"
	"golang.org/x/crypto/ssh"
)

const (
	repository = 4217
	host       = "abcdefghijklmnop"
	run        = "qrstuvwxyz"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// eachForge runs a test against the double of each forge.
func eachForge(t *testing.T, test func(*testing.T, *forgetest.KeyForge, forge.Keys)) {
	t.Helper()
	for _, name := range []string{deploykey.Gitea, deploykey.GitHub} {
		t.Run(name, func(t *testing.T) {
			f := forgetest.NewKeyForge(t, noon)
			f.Add(repository, "acme/widgets")
			test(t, f, keysOf(t, f, name, repository))
		})
	}
}

func keysOf(t *testing.T, f *forgetest.KeyForge, name string, id int64) forge.Keys {
	t.Helper()
	token := secret.New("host", forgetest.Credential)
	if name == deploykey.GitHub {
		client, err := github.New(github.Config{API: f.GitHubURL(), Repository: "acme/widgets", Token: token})
		must(t, err)
		return client.Keys(id)
	}
	client, err := gitea.New(gitea.Config{Server: f.URL, Repository: "acme/widgets", Host: token})
	must(t, err)
	return client.Keys(id)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func place() deploykey.Place {
	return deploykey.Place{Forge: deploykey.Gitea, Server: "https://gitea.example", Repository: "acme/widgets", RepositoryID: repository, Write: true}
}

func generate(t testing.TB) (*deploykey.Key, deploykey.Args) {
	t.Helper()
	key, args, err := deploykey.Generate(host, run, noon.Add(time.Hour), place())
	must(t, err)
	return key, args
}

func registered(t *testing.T, keys forge.Keys) (*deploykey.Key, deploykey.Args) {
	t.Helper()
	key, args := generate(t)
	must(t, deploykey.Register(t.Context(), keys, key, args))
	return key, args
}

func TestAKeyPrintsNothingOfItsPrivateHalf(t *testing.T) {
	key, args := generate(t)
	text, err := json.Marshal(map[string]any{"key": key, "args": args})
	must(t, err)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", key)
	value, err := key.Secret()
	must(t, err)
	private, err := ssh.ParseRawPrivateKey([]byte(value.Reveal()))
	must(t, err)
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v %s %x %d", key, key, key, key, key, key), string(text), log.String(), fmt.Sprint(value)} {
		if strings.Contains(shown, "PRIVATE") || strings.Contains(shown, fmt.Sprintf("%x", private)) || len(shown) > 1000 {
			t.Errorf("got %s", shown)
		}
	}
	if !strings.Contains(log.String(), key.Fingerprint()) {
		t.Errorf("got %s", log.String())
	}
}

func TestTheKeyOfTheSecretIsTheRegisteredOne(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		key, args := registered(t, keys)
		value, err := key.Secret()
		must(t, err)
		signer, err := ssh.ParsePrivateKey([]byte(value.Reveal()))
		must(t, err)
		held := f.Held(repository)
		if len(held) != 1 || held[0].ReadOnly || held[0].Title != args.Title || held[0].Title != fmt.Sprintf("bot-bottle/%s/%s/%d", host, run, noon.Add(time.Hour).Unix()) {
			t.Fatalf("held %+v", held)
		}
		public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(held[0].Public))
		must(t, err)
		signature, err := signer.Sign(rand.Reader, []byte("x"))
		must(t, err)
		must(t, public.Verify([]byte("x"), signature))
		if _, err := key.Signer().Sign(rand.Reader, []byte("x")); err != nil || ssh.FingerprintSHA256(public) != args.Fingerprint {
			t.Errorf("%v, %s", err, args.Fingerprint)
		}
	})
}

func TestAKeyThatDoesNotPushIsReadOnly(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		p := place()
		p.Write = false
		key, args, err := deploykey.Generate(host, run, noon.Add(time.Hour), p)
		must(t, err)
		must(t, deploykey.Register(t.Context(), keys, key, args))
		if held := f.Held(repository); len(held) != 1 || !held[0].ReadOnly {
			t.Errorf("held %+v", held)
		}
	})
}

func TestRegisteringAgainIsDone(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		key, args := registered(t, keys)
		must(t, deploykey.Register(t.Context(), keys, key, args))
		if held := f.Held(repository); len(held) != 1 {
			t.Errorf("held %+v", held)
		}
	})
}

func TestAKeyTakenElsewhereIsRefused(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		key, args := generate(t)
		f.Put(99, "x", key.Public(), true)
		if err := deploykey.Register(t.Context(), keys, key, args); !errors.Is(err, forge.ErrTaken) || !deploykey.Refused(err) {
			t.Errorf("got %v", err)
		}
	})
}

// A forge that gives a key more than was asked for, or shows none.
func TestWhatTheForgeMadeIsReadBack(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		p := place()
		p.Write = false
		key, args, err := deploykey.Generate(host, run, noon.Add(time.Hour), p)
		must(t, err)
		f.SetFault(func(r *http.Request) (forgetest.Answer, bool) {
			if r.Method == http.MethodPost {
				f.Put(repository, args.Title, key.Public(), true)
				return forgetest.Answer{Status: 201, Body: `{"id": 1}`}, true
			}
			return forgetest.Answer{}, false
		})
		if err := deploykey.Register(t.Context(), keys, key, args); err == nil || deploykey.Refused(err) {
			t.Errorf("got %v", err)
		}
		must(t, deploykey.Undo(t.Context(), keys, args))
		other, args := generate(t)
		f.SetFault(func(r *http.Request) (forgetest.Answer, bool) {
			return forgetest.Answer{Status: 201, Body: `{"id": 1}`}, r.Method == http.MethodPost
		})
		if err := deploykey.Register(t.Context(), keys, other, args); err == nil || deploykey.Refused(err) {
			t.Errorf("got %v", err)
		}
	})
}

func TestNoKeyIsSentToAnotherRepositoryOrInTheWrongTime(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		key, args := generate(t)
		other, _ := generate(t)
		for name, register := range map[string]func() error{
			"the forge's clock is past the expiry": func() error {
				f.Advance(time.Hour)
				defer f.Advance(-time.Hour)
				return deploykey.Register(t.Context(), keys, key, args)
			},
			"the repository was renamed": func() error {
				f.Rename(repository, "acme/gadgets")
				defer f.Rename(repository, "acme/widgets")
				return deploykey.Register(t.Context(), keys, key, args)
			},
			"another id": func() error {
				a := args
				a.RepositoryID++
				return deploykey.Register(t.Context(), keys, key, a)
			},
			"another key": func() error { return deploykey.Register(t.Context(), keys, other, args) },
		} {
			if err := register(); err == nil || !deploykey.Refused(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if held := f.Held(repository); len(held) != 0 {
			t.Errorf("held %v", held)
		}
		for _, asked := range f.Asked() {
			if strings.HasPrefix(asked, http.MethodPost) {
				t.Errorf("asked %s", asked)
			}
		}
	})
}

// The first request has no answer yet when the second is refused: its key lands.
func TestARefusalSaysNothingOfAnEarlierRequest(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		key, args := generate(t)
		f.LoseNext(5 * time.Second)
		if err := deploykey.Register(t.Context(), keys, key, args); err == nil || deploykey.Refused(err) {
			t.Errorf("got %v", err)
		}
		f.SetExpired(true)
		if err := deploykey.Register(t.Context(), keys, key, args); err == nil || deploykey.Refused(err) {
			t.Errorf("got %v", err)
		}
		f.SetExpired(false)
		must(t, deploykey.Undo(t.Context(), keys, args))
		f.Advance(5 * time.Second)
		if len(f.Held(repository)) != 1 {
			t.Fatal("the key didn't land: the test tests nothing")
		}
		must(t, deploykey.Register(t.Context(), keys, key, args)) // it is there: done
		must(t, deploykey.Undo(t.Context(), keys, args))
		if held := f.Held(repository); len(held) != 0 {
			t.Errorf("left %v", held)
		}
	})
}

func TestRefusalsOfTheForgeAreOver(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		for status, over := range map[int]bool{401: true, 403: true, 404: true, 409: true, 422: true, 429: false, 500: false, 502: false, 301: false} {
			key, args := generate(t)
			f.SetFault(func(r *http.Request) (forgetest.Answer, bool) {
				return forgetest.Answer{Status: status, Header: map[string]string{"Location": "/elsewhere"}, Body: `{"message": "no"}`}, r.Method == http.MethodPost
			})
			if err := deploykey.Register(t.Context(), keys, key, args); err == nil || deploykey.Refused(err) != over {
				t.Errorf("%d: %v", status, err)
			}
		}
		for _, asked := range f.Asked() {
			if strings.Contains(asked, "elsewhere") {
				t.Error("a redirect was followed")
			}
		}
	})
}

func TestAForgeThatHangsIsGivenUp(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		key, args := generate(t)
		ctx, cancel := context.WithCancel(t.Context())
		f.SetFault(func(r *http.Request) (forgetest.Answer, bool) {
			return forgetest.Answer{Do: func(_ http.ResponseWriter, r *http.Request) {
				cancel()
				<-r.Context().Done()
			}}, r.Method == http.MethodPost
		})
		if err := deploykey.Register(ctx, keys, key, args); !errors.Is(err, context.Canceled) || deploykey.Refused(err) {
			t.Errorf("got %v", err)
		}
	})
}
