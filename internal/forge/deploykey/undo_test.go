package deploykey_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/forge/deploykey"
	"github.com/bot-bottle/action/internal/forge/forgetest"
)

func TestUndoFindsTheKeyWhateverTheRepositoryIsCalled(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		_, args := registered(t, keys)
		other, _ := generate(t)
		f.Put(repository, args.Title, other.Public(), true) // the title alone is nothing
		f.Rename(repository, "acme/gadgets")
		f.Add(99, "acme/widgets")
		must(t, deploykey.Undo(t.Context(), keys, args))
		if held := f.Held(repository); len(held) != 1 || held[0].Public != other.Public() {
			t.Errorf("left %+v", held)
		}
		must(t, deploykey.Undo(t.Context(), keys, args))
	})
}

func TestWhatIsNotSeenIsNotGone(t *testing.T) {
	answer := func(method string, a forgetest.Answer) func(*forgetest.KeyForge) {
		return func(f *forgetest.KeyForge) {
			f.SetFault(func(r *http.Request) (forgetest.Answer, bool) { return a, r.Method == method })
		}
	}
	for name, set := range map[string]func(*forgetest.KeyForge){
		"hidden":           func(f *forgetest.KeyForge) { f.Hide(repository) },
		"expired":          func(f *forgetest.KeyForge) { f.SetExpired(true) },
		"no administrator": func(f *forgetest.KeyForge) { f.SetAdmin(false) },
		"404":              answer("GET", forgetest.Answer{Status: 404, Body: `{}`}),
		"429":              answer("GET", forgetest.Answer{Status: 429, Body: `{}`}),
		"500":              answer("GET", forgetest.Answer{Status: 500, Body: `<html>`}),
		"301":              answer("GET", forgetest.Answer{Status: 301, Header: map[string]string{"Location": "/x"}}),
		"garbage":          answer("GET", forgetest.Answer{Body: `[[`}),
		"null":             answer("GET", forgetest.Answer{Body: `null`}),
		"deleted, it says": answer("DELETE", forgetest.Answer{Status: 204}),
		"not deleted":      answer("DELETE", forgetest.Answer{Status: 500, Body: `{}`}),
	} {
		eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
			_, args := registered(t, keys)
			set(f)
			if err := deploykey.Undo(t.Context(), keys, args); err == nil || len(f.Held(repository)) != 1 {
				t.Errorf("%s: %v, left %v", name, err, f.Held(repository))
			}
		})
	}
}

// A list that is no list, while the rights are as they should be.
func TestAnEmptyAnswerIsNoEmptyList(t *testing.T) {
	for _, body := range []string{"null", "", "{}", `[null]`, `[{"id": 1, "key": "x"}]`} {
		eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
			_, args := registered(t, keys)
			f.SetFault(func(r *http.Request) (forgetest.Answer, bool) {
				return forgetest.Answer{Body: body}, r.URL.Query().Has("page")
			})
			if err := deploykey.Undo(t.Context(), keys, args); err == nil {
				t.Errorf("%q is taken for no keys", body)
			}
		})
	}
}

func TestARowOfSomebodysTakesNoKeyThatIsNotOurs(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		key, args := generate(t)
		f.Put(repository, "the operator's own", key.Public(), true)
		if err := deploykey.Undo(t.Context(), keys, args); err == nil || len(f.Held(repository)) != 1 {
			t.Errorf("%v, left %v", err, f.Held(repository))
		}
	})
}

func TestASweepTakesExpiredAndOwnKeysAlone(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		put := func(host string, expiry time.Duration) (title, fingerprint string) {
			title = deploykey.Title{Host: host, Run: run, Expiry: noon.Add(expiry)}.String()
			key, _ := generate(t)
			f.Put(repository, title, key.Public(), true)
			return title, key.Fingerprint()
		}
		const elsewhere = "ponmlkjihgfedcba"
		expired, _ := put(elsewhere, -time.Second)
		owned, ours := put(host, time.Hour)
		forged, _ := put(elsewhere, time.Hour)
		_, copied := put(elsewhere, 2*time.Hour) // a row's fingerprint under another host's title
		live, _ := put(host, 3*time.Hour)
		malformed, _ := generate(t)
		f.Put(repository, expired+"/", malformed.Public(), true)

		broken := keysOf(t, f, deploykey.Gitea, 5)
		o := deploykey.Options{Host: host, Own: func(p string) bool { return p == ours || p == copied }, DryRun: true}
		swept, err := deploykey.Sweep(t.Context(), []forge.Keys{broken, keys}, o)
		if len(swept) != 3 || err == nil || len(f.Held(repository)) != 6 {
			t.Fatalf("a dry run: %+v, %v", swept, err)
		}
		o.DryRun = false
		swept, err = deploykey.Sweep(t.Context(), []forge.Keys{broken, keys}, o)
		if err == nil || len(swept) != 3 || swept[0].Err == nil ||
			swept[1].Key.Title != expired || swept[1].Reason != deploykey.Expired || !swept[1].Removed ||
			swept[2].Key.Title != owned || swept[2].Reason != deploykey.Owned || !swept[2].Removed {
			t.Errorf("%+v, %v", swept, err)
		}
		left := f.Held(repository)
		if len(left) != 4 || left[0].Title != forged || left[2].Title != live {
			t.Errorf("left %+v", left)
		}
	})
}

func TestASweepGoesOnAfterAKeyThatStays(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		for range 2 {
			key, _ := generate(t)
			f.Put(repository, deploykey.Title{Host: host, Run: run, Expiry: noon.Add(-time.Hour)}.String(), key.Public(), true)
		}
		first := true
		f.SetFault(func(r *http.Request) (forgetest.Answer, bool) {
			refuse := first && r.Method == http.MethodDelete
			first = first && !refuse
			return forgetest.Answer{Status: 500, Body: `{}`}, refuse
		})
		swept, err := deploykey.Sweep(t.Context(), []forge.Keys{keys}, deploykey.Options{})
		if err == nil || len(swept) != 2 || swept[0].Removed || !swept[1].Removed || len(f.Held(repository)) != 1 {
			t.Errorf("%+v, %v", swept, err)
		}
	})
}

func FuzzParseTitle(f *testing.F) {
	for _, seed := range []string{"bot-bottle/abcdefghijklmnop/qrstuvwxyz/1795435200", "bot-bottle///", "bot-bottle/abcdefgh/abcdefgh/0", "bot-bottle/abcdefgh/abcdefgh/999999999999\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		title, err := deploykey.ParseTitle(text)
		if err == nil && (title.String() != text || len(text) > 96) {
			t.Errorf("%q became %q", text, title)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"forge":"gitea","server":"https://g.example","repository":"a/b","repository_id":1,"fingerprint":"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","title":"bot-bottle/abcdefghijklmnop/qrstuvwxyz/1795435200"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := deploykey.Decode(deploykey.Version, raw)
		if err == nil && (a.RepositoryID <= 0 || a.Fingerprint == "" || len(raw) > 4096) {
			t.Errorf("%q became %+v", raw, a)
		}
	})
}
