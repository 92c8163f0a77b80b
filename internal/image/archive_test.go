package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/term"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// saved is what `docker save` writes of the images.
func saved(t *testing.T, images ...v1.Image) []byte {
	t.Helper()
	tagged := map[name.Tag]v1.Image{}
	for i, img := range images {
		tag, err := name.NewTag(fmt.Sprintf("tools:%d", i))
		if err != nil {
			t.Fatal(err)
		}
		tagged[tag] = img
	}
	var b bytes.Buffer
	if err := tarball.MultiWrite(tagged, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// layoutTar is a tar of an OCI image layout.
func layoutTar(t *testing.T, descriptors ...mutate.IndexAddendum) []byte {
	t.Helper()
	dir := t.TempDir()
	if _, err := layout.Write(dir, mutate.AppendManifests(empty.Index, descriptors...)); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func platform(arch string) v1.Descriptor {
	return v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}
}

func zipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func opened(t *testing.T, content []byte, limits Limits) (v1.Image, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return Archive(t.Context(), path, t.TempDir(), limits)
}

func TestEachKindOfArchiveIsRead(t *testing.T) {
	img := build(t, []entry{file("a", "1")}, []entry{file("b", "2")})
	foreign := of(t, "s390x", layer(t, stream(t, file("no", ""))))
	nested := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img, Descriptor: platform(thisMachine)}, mutate.IndexAddendum{Add: foreign, Descriptor: platform("s390x")})
	for what, content := range map[string][]byte{
		"docker save":              saved(t, img),
		"docker save, zipped":      zipped(t, saved(t, img)),
		"OCI":                      layoutTar(t, mutate.IndexAddendum{Add: img}),
		"OCI, zipped":              zipped(t, layoutTar(t, mutate.IndexAddendum{Add: img})),
		"OCI for several machines": layoutTar(t, mutate.IndexAddendum{Add: img, Descriptor: platform(thisMachine)}, mutate.IndexAddendum{Add: foreign, Descriptor: platform("s390x")}),
		"OCI with an index within": layoutTar(t, mutate.IndexAddendum{Add: nested}),
	} {
		t.Run(what, func(t *testing.T) {
			got, err := opened(t, content, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if _, err := Unpack(t.Context(), got, dir, Limits{}); err != nil || list(t, dir) != "a=1 b=2" {
				t.Errorf("%s %v", list(t, dir), err)
			}
		})
	}
}

func TestBadArchiveIsRefused(t *testing.T) {
	img := build(t, []entry{file("a", strings.Repeat("1", 5000))})
	whole := saved(t, img)
	for what, c := range map[string]struct {
		content []byte
		limits  Limits
		want    string
	}{
		"nothing":      {nil, Limits{}, "it holds neither"},
		"another tar":  {stream(t, file("a", "1")), Limits{}, "it holds neither"},
		"text":         {[]byte(strings.Repeat("not a tar ", 100)), Limits{}, "invalid tar header"},
		"half of it":   {whole[:700], Limits{}, "unexpected EOF"},
		"half a zip":   {zipped(t, whole)[:200], Limits{}, "unexpected EOF"},
		"two images":   {saved(t, img, build(t, []entry{file("b", "")})), Limits{}, "only"},
		"two fitting":  {layoutTar(t, mutate.IndexAddendum{Add: img}, mutate.IndexAddendum{Add: build(t, []entry{file("b", "")})}), Limits{}, "holds 2 images of which 2"},
		"none fitting": {layoutTar(t, mutate.IndexAddendum{Add: img, Descriptor: platform("s390x")}), Limits{}, "of which 0"},
		"a bomb":       {zipped(t, stream(t, file("x", strings.Repeat("0", 1<<20)))), Limits{Bytes: 1 << 16}, "more than 64 KiB"},
		"a blob twice": {append(stream(t, file("oci-layout", "{}"), file("oci-layout", "{}")), 0), Limits{}, "file exists"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := opened(t, c.content, c.limits)
			if err == nil || !strings.Contains(err.Error(), c.want) || len(term.Hints(err)) == 0 {
				t.Errorf("wanted an error about %q with a hint, got %v", c.want, err)
			}
		})
	}
	if _, err := Archive(t.Context(), t.TempDir(), t.TempDir(), Limits{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
}

func TestLayoutIsCopiedWithNothingBeside(t *testing.T) {
	scratch := t.TempDir()
	hostile := stream(t, file("oci-layout", "{}"), file("../out", "1"), link("blobs/sha256/"+strings.Repeat("a", 64), "/etc/passwd"), file("blobs/sha256/../../x", "1"), file("evil", "1"))
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, hostile, 0o600); err != nil {
		t.Fatal(err)
	}
	Archive(t.Context(), path, scratch, Limits{})
	if got := list(t, scratch); got != "blobs/ blobs/sha256/ oci-layout={}" {
		t.Errorf("the scratch folder holds %s", got)
	}
	if entries, _ := fs.ReadDir(os.DirFS(filepath.Dir(scratch)), "."); len(entries) > 2 {
		t.Errorf("beside it there is %v", entries)
	}
}
