package e2e

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bot-bottle/action/internal/report"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// shellImage is an image with the host's shell, the libraries that it needs, and a
// file that says what it is.
func shellImage(t *testing.T) v1.Image {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name string, content []byte, mode int64) {
		t.Helper()
		if err := w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(name, "/"), Mode: mode, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for place, file := range withLibraries(t, "/bin/sh") {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		add(place, content, 0o755)
	}
	add("/etc/marker", []byte("made of layers\n"), 0o644)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.Env = []string{"PATH=/tools:/bin", "LD_PRELOAD=/evil.so"}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// withLibraries gives the files of a program, by their place in an image: itself,
// its loader, and the libraries that it names.
func withLibraries(t *testing.T, program string) map[string]string {
	t.Helper()
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files := map[string]string{program: program}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b, _ := io.ReadAll(p.Open())
			loader := strings.TrimRight(string(b), "\x00")
			files[loader] = loader
		}
	}
	libraries, err := f.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range libraries {
		found, _ := filepath.Glob("/lib/*-linux-gnu/" + name)
		if len(found) == 0 {
			found, _ = filepath.Glob("/lib*/" + name)
		}
		if len(found) == 0 {
			t.Fatalf("the library %s of %s is nowhere", name, program)
		}
		files[found[0]] = found[0]
	}
	return files
}

// inImage runs the shell of an image and gives the report of it.
func (w *world) inImage(key string) report.Report {
	w.t.Helper()
	w.write("bottles/b.md", "---\nimage: {"+key+"}\n---\n")
	args := []string{"run", "--json", "--bottles-dir", filepath.Join(w.dir, "bottles"), "--bottle", "b", "--"}
	r := w.run(append(args, "sh", "-c", `read line </etc/marker; echo "$line, $PATH, ${LD_PRELOAD-none}"; [ -e /usr/bin/env ] && echo host tools; (echo x >/etc/marker) 2>/dev/null && echo written; true`)...)
	if r.code != 0 || !strings.Contains(r.stderr, "made of layers, /tools:/bin, none") || strings.Contains(r.stderr, "host tools") {
		w.t.Fatal(r)
	}
	var got report.Report
	w.must(json.Unmarshal([]byte(r.stdout), &got))
	if got.Image == nil {
		w.t.Fatal("the report names no image")
	}
	return got
}

func TestAnArchiveIsTheGuestsRoot(t *testing.T) {
	img := shellImage(t)
	config, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	eachCaller(t, func(t *testing.T, w *world) {
		path := filepath.Join(w.dir, "image.tar")
		tag, err := name.NewTag("example/tools:1")
		w.must(err)
		w.must(tarball.WriteToFile(path, tag, img))
		w.own()
		for range 2 { // the second finds it unpacked, as the first left it
			if got := w.inImage("archive: " + path); got.Image.Source != path || got.Image.Config != config.String() {
				t.Errorf("got %+v", got.Image)
			}
		}
		w.nothingLeft()
	})
}

func TestAnImageOfARegistryIsPulledOnce(t *testing.T) {
	w := newWorld(t, true)
	var layers atomic.Int64
	store := registry.New()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			layers.Add(1)
		}
		store.ServeHTTP(rw, r)
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	ref, err := name.ParseReference(address + "/tools:1")
	w.must(err)
	img := shellImage(t)
	w.must(remote.Write(ref, img))
	digest, err := img.Digest()
	w.must(err)
	first := w.inImage("ref: \"" + address + "/tools:1\"")
	pulled := layers.Load()
	second := w.inImage("ref: \"" + address + "/tools@" + digest.String() + "\"")
	if first.Image.Manifest != digest.String() || second.Image.Manifest != digest.String() {
		t.Errorf("got %+v and %+v", first.Image, second.Image)
	}
	if again := layers.Load() - pulled; pulled < 2 || again > 1 { // the configuration is read again
		t.Errorf("%d blobs were read at first, and %d again", pulled, again)
	}
	w.nothingLeft()
}

func TestAFullDiskWhileUnpackingIsSaidAndLeavesNothing(t *testing.T) {
	w := newWorld(t, true)
	path := filepath.Join(w.dir, "image.tar")
	tag, err := name.NewTag("example/tools:1")
	w.must(err)
	w.must(tarball.WriteToFile(path, tag, shellImage(t)))
	w.own()
	args := w.bottle("image: {archive: "+path+"}\n", "true")
	w.env = []string{"BOT_BOTTLE_STATE=" + filepath.Join(w.dir, "small")}
	refuses(t, w.onSmallDisk("1m", args...), 3, "unpacking", "no space left on device", "hint: free some space on the disk of the state folder")
	w.env = nil
	w.neverBegan()
}

func TestImagesThatCantBeHadStartNothing(t *testing.T) {
	w := newWorld(t, true)
	server := httptest.NewServer(registry.New())
	defer server.Close()
	broken := w.write("broken.tar", "not a tar")
	for key, words := range map[string][]string{
		"archive: " + broken:                                                {"opening the image's archive", "docker save"},
		"archive: " + filepath.Join(w.dir, "none"):                          {"no such file"},
		"ref: \"" + strings.TrimPrefix(server.URL, "http://") + "/none:1\"": {"pulling the image", "see that the name is right"},
		"ref: \"Not A Reference\"":                                          {"reading the image's reference", "REGISTRY/NAME:TAG"},
	} {
		r := w.run(w.bottle("image: {"+key+"}\n", "true")...)
		if r.code != 3 && r.code != 2 {
			t.Errorf("%s: %s", key, r)
		}
		for _, word := range words {
			if !strings.Contains(r.stderr, word) {
				t.Errorf("%s: %q is not said: %s", key, word, r)
			}
		}
	}
	w.neverBegan()
}
