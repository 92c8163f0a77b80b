package e2e

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"io"
	"maps"
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

// ofMachine gives img for another processor; one without layers gets one.
func ofMachine(t *testing.T, img v1.Image, arch string) v1.Image {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if len(config.RootFS.DiffIDs) == 0 {
		nothing := bytes.Repeat([]byte{0}, 1024) // the end of a tar
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(nothing)), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			t.Fatal(err)
		}
		if config, err = img.ConfigFile(); err != nil {
			t.Fatal(err)
		}
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// saved writes img as docker save does.
func (w *world) saved(file string, img v1.Image) string {
	w.t.Helper()
	path := filepath.Join(w.dir, file)
	tag, err := name.NewTag("example/tools:1")
	w.must(err)
	w.must(tarball.WriteToFile(path, tag, img))
	w.own()
	return path
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
		path := w.saved("image.tar", img)
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
	if again := layers.Load() - pulled; pulled < 2 || again != 0 {
		t.Errorf("%d blobs were read at first, and %d again", pulled, again)
	}
	server.Close()
	if third := w.inImage("ref: \"" + address + "/tools@" + digest.String() + "\""); third.Image.Manifest != digest.String() {
		t.Errorf("without the registry: %+v", third.Image)
	}
	w.nothingLeft()
}

// files tells what is below dir: each name with its mode and content.
func (w *world) files(dir string) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	w.must(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var content []byte
		if info.Mode().IsRegular() {
			content, err = os.ReadFile(path)
		}
		all[path] = info.Mode().String() + string(content)
		return err
	}))
	return all
}

func TestWhatRootOfAGuestDoesToItsImageStaysInTheGuest(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		path := w.saved("image.tar", shellImage(t))
		asRoot := func(script string) string {
			t.Helper()
			args := w.bottle("image: "+path+"\nlimits: {best_effort: true}\n", "sh", "-c", script)
			r := w.run(append(args, "--root", "--backend", "gvisor")...)
			if r.code != 0 {
				t.Fatal(r)
			}
			return r.stdout
		}
		asRoot("true")
		homes, err := filepath.Glob(filepath.Join(w.dir, "state/images/sha256-*"))
		if err != nil || len(homes) != 1 {
			t.Fatalf("the cache holds %v, %v", homes, err)
		}
		before := w.files(homes[0])
		if said := asRoot(`echo x >/etc/marker; echo x >/etc/new; echo x >/bin/new; echo x >/new; read line </etc/marker; echo "it is $line"`); said != "it is x\n" {
			t.Errorf("in the guest it is not written, which shows nothing: %q", said)
		}
		if after := w.files(homes[0]); !maps.Equal(before, after) {
			t.Errorf("the cached image has changed: %d files, %d now", len(before), len(after))
		}
		w.nothingLeft()
	})
}

func TestAFullDiskWhileUnpackingIsSaidAndLeavesNothing(t *testing.T) {
	w := newWorld(t, true)
	path := w.saved("image.tar", shellImage(t))
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
	foreign, shellless := w.saved("foreign.tar", ofMachine(t, shellImage(t), "s390x")), w.saved("shellless.tar", ofMachine(t, empty.Image, runtime.GOARCH))
	for key, words := range map[string][]string{
		"archive: " + broken:                       {"opening the image's archive", "docker save"},
		"archive: " + filepath.Join(w.dir, "none"): {"no such file"},
		"archive: " + foreign:                      {`it is for "linux/s390x"`, "hint: build or pull it for this machine"},
		"archive: " + shellless:                    {"looking for /bin/sh in the image", "hint: mend the bottle's `image`"},
		"ref: \"" + strings.TrimPrefix(server.URL, "http://") + "/none:1\"": {"pulling the image", "see that the name is right"},
		"ref: \"Not A Reference\"": {"image.ref", "is not the name of an image", "REGISTRY/NAME:TAG"},
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
