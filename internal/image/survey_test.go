package image

import (
	"archive/tar"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

func addendum(img v1.Image) mutate.IndexAddendum { return mutate.IndexAddendum{Add: img} }

// dockerArchive is an archive with a manifest of one image.
func dockerArchive(t testing.TB, config string, layers []string, members ...entry) []byte {
	t.Helper()
	manifest := fmt.Sprintf(`[{"Config":%q,"Layers":["%s"]}]`, config, strings.Join(layers, `","`))
	return stream(t, append([]entry{file("manifest.json", manifest)}, members...)...)
}

func TestArchiveThatLeadsItsReaderAstrayIsRefused(t *testing.T) {
	var many []entry
	for i := range maxMembers + 1 {
		many = append(many, file(fmt.Sprint(i), ""))
	}
	big := strings.Repeat(" ", maxManifest+1)
	for what, c := range map[string]struct {
		content []byte
		want    string
	}{
		"a manifest that is a link to itself":  {stream(t, link("manifest.json", "manifest.json")), "no file of at most"},
		"a manifest too large to read":         {stream(t, file("manifest.json", big)), "no file of at most"},
		"two manifests":                        {stream(t, file("manifest.json", "[]"), file("./manifest.json", "[]")), "manifest.json twice"},
		"a manifest of nothing":                {stream(t, file("manifest.json", "[]")), "holds 0 images"},
		"a manifest that is no JSON":           {stream(t, file("manifest.json", "{")), "reading manifest.json"},
		"a configuration too large to read":    {dockerArchive(t, "c", []string{"l"}, file("c", big), file("l", "")), "at most 4194304 are read"},
		"a configuration through a link":       {dockerArchive(t, "c", []string{"l"}, link("c", "l"), file("l", big)), "at most 4194304 are read"},
		"a configuration that isn't there":     {dockerArchive(t, "c", []string{"l"}, file("l", "")), `no "c"`},
		"a configuration that is a pipe":       {dockerArchive(t, "c", []string{"l"}, entry{name: "c", kind: tar.TypeFifo}, file("l", "")), "no file"},
		"a layer that is a link to itself":     {dockerArchive(t, "c", []string{"l"}, file("c", "{}"), link("l", "l")), "in a circle"},
		"layers that are links to each other":  {dockerArchive(t, "c", []string{"a/l"}, file("c", "{}"), link("a/l", "../b/l"), link("b/l", "../a/l")), "in a circle"},
		"a layer that is a link to nowhere":    {dockerArchive(t, "c", []string{"a/l"}, file("c", "{}"), link("a/l", "../../../etc/passwd")), `no "../../etc/passwd"`},
		"a layer that is a folder":             {dockerArchive(t, "c", []string{"l"}, file("c", "{}"), folder("l")), "no file"},
		"more members than an archive has":     {stream(t, many...), "more than 10000 members"},
		"an index too large to read":           {stream(t, file("oci-layout", "{}"), file("index.json", big)), "at most 4194304 are read"},
		"an index that names what isn't there": {stream(t, file("oci-layout", "{}"), file("index.json", `{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:`+strings.Repeat("a", 64)+`"}]}`)), "no such file"},
		"an index that names a place":          {stream(t, file("oci-layout", "{}"), file("index.json", `{"manifests":[{"digest":"sha256:../../../etc/passwd"}]}`)), "non-hex character"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := opened(t, c.content, Limits{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("wanted an error about %q, got %.300v", c.want, err)
			}
		})
	}
}

func TestLayersOfAnArchiveMayBeLinks(t *testing.T) {
	img := build(t, []entry{file("a", "1")})
	whole := saved(t, img)
	// Old versions of Docker write a layer that two images share as a link.
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	tarred := stream(t, file("a", "1"))
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	linked := dockerArchive(t, "c.json", []string{"one/layer.tar"}, file("c.json", string(config)), link("one/layer.tar", "../two/layer.tar"), file("two/layer.tar", string(tarred)))
	for _, content := range [][]byte{whole, linked} {
		got, err := opened(t, content, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if _, err := Unpack(t.Context(), got, dir, Limits{}); err != nil || list(t, dir) != "a=1" {
			t.Errorf("%s, %v", list(t, dir), err)
		}
	}
}

func TestAnArchiveIsLeasedAndItsCopyRemoved(t *testing.T) {
	img := build(t, []entry{file("a", "1")})
	c := NewCache(t.TempDir(), Options{Warn: func(err error) { t.Error(err) }})
	path := filepath.Join(t.TempDir(), "image.tar")
	for i, content := range [][]byte{saved(t, img), layoutTar(t, addendum(img))} { // of one configuration
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		lease, err := c.FromArchive(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer lease.Release()
		name, _ := img.ConfigName()
		if list(t, lease.Rootfs) != "a=1" || lease.Cached != (i > 0) || lease.Facts.Config != name.String() || lease.Manifest != "" {
			t.Errorf("%+v", lease)
		}
		onlyImages(t, c.dir, 1)
	}
}

func TestABadArchiveLeavesNothingAndIsNamed(t *testing.T) {
	whole := saved(t, build(t, []entry{file("../x", "1")}))
	c := NewCache(t.TempDir(), Options{})
	path := filepath.Join(t.TempDir(), "image.tar")
	for _, content := range [][]byte{whole, whole[:len(whole)/2], nil} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.FromArchive(t.Context(), path); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("got %v", err)
		}
		onlyImages(t, c.dir, 0)
	}
	if _, err := c.FromArchive(t.Context(), "/nowhere/image.tar"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
}

func FuzzArchive(f *testing.F) {
	f.Add(dockerArchive(f, "c", []string{"l"}, file("c", "{}"), file("l", "")))
	f.Add(dockerArchive(f, "c", []string{"l"}, link("c", "l"), hard("l", "c")))
	f.Add(stream(f, file("oci-layout", "{}"), file("index.json", `{"manifests":[{}]}`), file("blobs/sha256/"+strings.Repeat("a", 64), "{}")))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "image.tar")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		limits := Limits{Bytes: 1 << 20, Entries: 1000}
		scratch := t.TempDir()
		img, err := Archive(context.Background(), path, scratch, limits)
		if err != nil {
			return
		}
		Unpack(t.Context(), img, t.TempDir(), limits)
	})
}
