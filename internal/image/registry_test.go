package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// watched is a registry that keeps what it was asked for.
type watched struct {
	t     *testing.T
	host  string
	mu    sync.Mutex
	asked []string
}

// newWatched starts a registry behind answer, which returns true where it has
// answered itself.
func newWatched(t *testing.T, answer func(http.ResponseWriter, *http.Request) bool) *watched {
	t.Helper()
	w := &watched{t: t}
	behind := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked = append(w.asked, r.Method+" "+r.URL.Path)
		w.mu.Unlock()
		if answer == nil || !answer(rw, r) {
			behind.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(s.Close)
	w.host = strings.TrimPrefix(s.URL, "http://")
	return w
}

// push stores img and forgets what was asked for till then.
func (w *watched) push(tag string, img v1.Image, o ...remote.Option) (ref, digest string) {
	w.t.Helper()
	parsed, err := name.NewTag(w.host + "/tools:" + tag)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := remote.Write(parsed, img, o...); err != nil {
		w.t.Fatal(err)
	}
	d, err := img.Digest()
	if err != nil {
		w.t.Fatal(err)
	}
	w.requests()
	return parsed.String(), d.String()
}

// requests gives what was asked for since the last time.
func (w *watched) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := w.asked
	w.asked = nil
	return asked
}

func layersOf(t *testing.T, img v1.Image) []string {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var digests []string
	for _, l := range layers {
		d, err := l.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, "GET /v2/tools/blobs/"+d.String())
	}
	return digests
}

func pulled(t *testing.T, c *Cache, ref string) *Lease {
	t.Helper()
	lease, err := c.FromRegistry(t.Context(), ref, Registries{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lease.Release)
	return lease
}

func TestAnImageThatIsHereIsNotFetchedAgain(t *testing.T) {
	w := newWatched(t, nil)
	img := build(t, []entry{file("a", "1")})
	ref, digest := w.push("1", img)
	c := NewCache(t.TempDir(), Options{Warn: func(err error) { t.Error(err) }})
	if first := pulled(t, c, ref); first.Cached || first.Manifest != digest || list(t, first.Rootfs) != "a=1" {
		t.Errorf("%+v", first)
	}
	if asked := w.requests(); !slices.Contains(asked, layersOf(t, img)[0]) {
		t.Errorf("it was asked for %q", asked)
	}
	second := pulled(t, c, ref)
	asked := w.requests()
	if !second.Cached || second.Manifest != digest || len(asked) == 0 || slices.Contains(asked, layersOf(t, img)[0]) {
		t.Errorf("by tag: %+v, it was asked for %q", second, asked)
	}
	third := pulled(t, c, w.host+"/tools@"+digest)
	if asked := w.requests(); !third.Cached || third.Manifest != digest || third.Rootfs != second.Rootfs || len(asked) != 0 {
		t.Errorf("by digest: %+v, it was asked for %q", third, asked)
	}
}

func TestATagIsWhatTheRegistrySaysNow(t *testing.T) {
	w := newWatched(t, nil)
	c := NewCache(t.TempDir(), Options{})
	ref, _ := w.push("1", build(t, []entry{file("a", "1")}))
	pulled(t, c, ref)
	_, digest := w.push("1", build(t, []entry{file("a", "2")}))
	if lease := pulled(t, c, ref); list(t, lease.Rootfs) != "a=2" || lease.Manifest != digest {
		t.Errorf("%+v", lease)
	}
}

func TestTheDigestOfAnIndexIsEnoughToo(t *testing.T) {
	w := newWatched(t, nil)
	img := build(t, []entry{file("a", "1")})
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img, Descriptor: platform(thisMachine)},
		mutate.IndexAddendum{Add: of(t, "s390x", layer(t, stream(t, file("no", "")))), Descriptor: platform("s390x")})
	tag, err := name.NewTag(w.host + "/tools:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(tag, index); err != nil {
		t.Fatal(err)
	}
	whole, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	mine, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	c := NewCache(t.TempDir(), Options{Warn: func(err error) { t.Error(err) }})
	for _, ref := range []string{w.host + "/tools@" + whole.String(), w.host + "/tools@" + whole.String(), w.host + "/tools@" + mine.String()} {
		if lease := pulled(t, c, ref); lease.Manifest != mine.String() || list(t, lease.Rootfs) != "a=1" {
			t.Errorf("%s: %+v", ref, lease)
		}
	}
	w.requests()
	pulled(t, c, w.host+"/tools@"+whole.String())
	if asked := w.requests(); len(asked) != 0 {
		t.Errorf("it was asked for %q", asked)
	}
}

func TestDigestsOfImagesThatAreGoneAreForgotten(t *testing.T) {
	w := newWatched(t, nil)
	c := NewCache(t.TempDir(), Options{})
	img := build(t, []entry{file("a", "1")})
	_, digest := w.push("1", img)
	pulled(t, c, w.host+"/tools@"+digest).Release()
	c.options.Bounds.Bytes = 1
	if err := c.evict(time.Now()); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Join(c.dir, digestsName)); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
	w.requests()
	if lease := pulled(t, c, w.host+"/tools@"+digest); lease.Cached || len(w.requests()) == 0 {
		t.Errorf("%+v", lease)
	}
}

// failing pulls ref, which must fail for the reason, and leave nothing.
func failing(t *testing.T, ctx context.Context, ref string, from Registries, want string) error {
	t.Helper()
	c := NewCache(filepath.Join(t.TempDir(), "images"), Options{})
	_, err := c.FromRegistry(ctx, ref, from)
	if err == nil || !strings.Contains(err.Error(), want) || term.StageOf(err, "") != term.StagePreflight || len(term.Hints(err)) == 0 {
		t.Errorf("wanted an error about %q with a hint, got %v, %q", want, err, term.Hints(err))
	}
	if _, err := os.Lstat(c.dir); err == nil {
		onlyImages(t, c.dir, 0)
	}
	return err
}

func TestARegistryLeadsNobodyToPlainServersOfThisHost(t *testing.T) {
	var got []string
	var mu sync.Mutex
	inner := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.URL.Path)
	}))
	defer inner.Close()
	redirect := newWatched(t, func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(rw, r, inner.URL+"/admin", http.StatusFound)
			return true
		}
		return false
	})
	ref, _ := redirect.push("1", build(t, []entry{file("a", "1")}))
	failing(t, t.Context(), ref, Registries{}, "on this host only")

	token := newWatched(t, func(rw http.ResponseWriter, r *http.Request) bool {
		rw.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q,service=\"x\"", inner.URL+"/token"))
		rw.WriteHeader(http.StatusUnauthorized)
		return true
	})
	failing(t, t.Context(), token.host+"/tools:1", Registries{}, "on this host only")

	elsewhere := newWatched(t, func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			http.NotFound(rw, r)
			return true
		}
		return false
	})
	img := build(t, []entry{file("a", "1")})
	raw, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	var manifest map[string]any
	if err := json.Unmarshal(raw, &manifest); err != nil {
		t.Fatal(err)
	}
	config, _ := img.RawConfigFile()
	manifest["config"].(map[string]any)["data"] = config
	manifest["layers"].([]any)[0].(map[string]any)["urls"] = []string{inner.URL + "/layer"}
	raw, err = json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere.put("/v2/tools/manifests/1", raw)
	failing(t, t.Context(), elsewhere.host+"/tools:1", Registries{}, "on this host only")
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 0 {
		t.Errorf("the other server was asked for %q", got)
	}
}

// put stores a manifest as it stands.
func (w *watched) put(path string, manifest []byte) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, "http://"+w.host+path, strings.NewReader(string(manifest)))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		w.t.Fatal(resp.Status)
	}
}

func TestPlainHTTPIsForLoopbackAlone(t *testing.T) {
	for registry, targets := range map[string]map[string]bool{
		"127.0.0.1:5000": {"http://127.0.0.1:5000/v2/": true, "http://127.0.0.1:5001/": false, "http://localhost:5000/": false, "https://cdn.example/": true, "ftp://127.0.0.1:5000/": false},
		"localhost:5000": {"http://localhost:5000/v2/": true, "http://localhost.evil.example:5000/": false},
		"[::1]:5000":     {"http://[::1]:5000/v2/": true},
		"10.1.2.3":       {"http://10.1.2.3/v2/": false, "https://10.1.2.3/v2/": true},
		"nas.local":      {"http://nas.local/v2/": false, "https://nas.local/v2/": true},
		"reg.example":    {"http://reg.example/v2/": false, "http://169.254.169.254/latest/": false},
	} {
		for target, want := range targets {
			u, err := url.Parse(target)
			if err != nil {
				t.Fatal(err)
			}
			if err := (&guarded{registry: registry}).allowed(u); (err == nil) != want {
				t.Errorf("the registry %s, asked at %s: %v", registry, target, err)
			}
		}
	}
}

func TestARegistryThatSaysNothingIsGivenUp(t *testing.T) {
	over := make(chan struct{})
	t.Cleanup(func() { close(over) }) // before the servers wait for their requests
	for what, part := range map[string]string{"a manifest": "/manifests/", "a layer": "/blobs/"} {
		w := newWatched(t, func(rw http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, part) {
				return false
			}
			rw.WriteHeader(http.StatusOK)
			rw.(http.Flusher).Flush()
			select {
			case <-over:
			case <-r.Context().Done():
			}
			return true
		})
		ref, _ := w.push("1", build(t, []entry{file("a", "1")}))
		if err := failing(t, t.Context(), ref, Registries{stall: 50 * time.Millisecond}, "said nothing"); !errors.Is(err, errSilent) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAPullEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	w := newWatched(t, func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			cancel(reason)
			<-r.Context().Done()
			return true
		}
		return false
	})
	ref, _ := w.push("1", build(t, []entry{file("a", "1")}))
	failing(t, ctx, ref, Registries{}, "")
}

func TestAnswersOfARegistryAreBounded(t *testing.T) {
	endless := func(part string) func(http.ResponseWriter, *http.Request) bool {
		return func(rw http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, part) {
				return false
			}
			rw.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			if part == "/v2/tools/" {
				rw.WriteHeader(http.StatusNotFound) // an error has a text
			}
			chunk := []byte(strings.Repeat(" ", 1<<16))
			for r.Context().Err() == nil {
				if _, err := rw.Write(chunk); err != nil {
					return true
				}
			}
			return true
		}
	}
	for what, part := range map[string]string{"a manifest": "/manifests/", "an error": "/v2/tools/"} {
		w := newWatched(t, endless(part))
		t.Log(what)
		failing(t, t.Context(), w.host+"/tools:1", Registries{}, "more than")
	}
	large := newWatched(t, nil)
	large.put("/v2/tools/manifests/1", []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"size":%d,"digest":"sha256:%064d"},"layers":[]}`, int64(1)<<40, 0)))
	failing(t, t.Context(), large.host+"/tools:1", Registries{}, "at most 4194304 are read")
}

func TestImageOfAnotherMachineIsNamedAsThat(t *testing.T) {
	w := newWatched(t, nil)
	ref, _ := w.push("1", of(t, "s390x", layer(t, stream(t, file("a", "1")))))
	failing(t, t.Context(), ref, Registries{}, `it is for "linux/s390x", this machine is "linux/`+runtime.GOARCH+`"`)
}

func FuzzReferencesAreReadAlike(f *testing.F) {
	for _, ref := range []string{"alpine:3.20", "ghcr.io/a/b@sha256:" + strings.Repeat("a", 64), "localhost:5000/a__b:1", "[::1]:5000/a:1", "A.b/cc:1"} {
		f.Add(ref)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		if policy.CheckReference(ref) != nil {
			return
		}
		if _, err := name.ParseReference(ref); err != nil {
			t.Errorf("%q is a reference in a bottle, and none for a registry: %v", ref, err)
		}
	})
}
