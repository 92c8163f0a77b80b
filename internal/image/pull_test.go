package image

import (
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/term"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// served starts a registry on loopback.
func served(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestReferenceIsPulledForThisMachine(t *testing.T) {
	host := served(t)
	img := build(t, []entry{file("a", "1")})
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: of(t, "s390x", layer(t, stream(t, file("no", "")))), Descriptor: platform("s390x")},
		mutate.IndexAddendum{Add: img, Descriptor: platform(thisMachine)})
	tag, err := name.NewTag(host + "/tools:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(tag, index); err != nil {
		t.Fatal(err)
	}
	want, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{host + "/tools:1", host + "/tools@" + want.String()} {
		got, digest, done, err := Pull(t.Context(), ref, Registries{})
		if err != nil || digest != want {
			t.Fatalf("%s: %v, %v", ref, digest, err)
		}
		defer done()
		dir := t.TempDir()
		if _, err := Unpack(t.Context(), got, dir, Limits{}); err != nil || list(t, dir) != "a=1" {
			t.Errorf("%s: %s %v", ref, list(t, dir), err)
		}
	}
}

func TestReferenceThatCannotBePulledSaysWhy(t *testing.T) {
	host := served(t)
	for ref, c := range map[string]struct {
		stage term.Stage
		want  string
	}{
		host + "/none:1":         {term.StagePreflight, "pulling the image"},
		"127.0.0.1:1/tools:1":    {term.StagePreflight, "connection refused"},
		"Not A Reference":        {term.StageManifest, "reading the image's reference"},
		host + "/tools@sha256:1": {term.StageManifest, "reading the image's reference"},
	} {
		_, _, _, err := Pull(t.Context(), ref, Registries{})
		if err == nil || !strings.Contains(err.Error(), c.want) || term.StageOf(err, "") != c.stage || len(term.Hints(err)) == 0 {
			t.Errorf("%s: wanted %q in stage %s, got %v", ref, c.want, c.stage, err)
		}
	}
}
