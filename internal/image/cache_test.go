package image

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// unreadable is an image whose layers nobody may read again.
type unreadable struct {
	v1.Image
	t *testing.T
}

func (u unreadable) Layers() ([]v1.Layer, error) {
	u.t.Error("the image was unpacked again")
	return u.Image.Layers()
}

func TestImageIsUnpackedOnce(t *testing.T) {
	c := NewCache(filepath.Join(t.TempDir(), "images"), Limits{})
	img := build(t, []entry{file("a", "1")})
	first, facts, err := c.Rootfs(t.Context(), img)
	if err != nil || list(t, first) != "a=1" {
		t.Fatal(first, err)
	}
	second, again, err := c.Rootfs(t.Context(), unreadable{img, t})
	if err != nil || second != first || again.Config != facts.Config || again.Bytes != facts.Bytes {
		t.Errorf("%s %+v %v", second, again, err)
	}
	other, _, err := c.Rootfs(t.Context(), build(t, []entry{file("a", "2")}))
	if err != nil || other == first || list(t, other) != "a=2" {
		t.Error(other, err)
	}
}

func TestManyAtOnceGetOneImage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	img := build(t, []entry{file("a", "1")})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			root, _, err := NewCache(dir, Limits{}).Rootfs(t.Context(), img)
			if err != nil || list(t, root) != "a=1" {
				t.Error(root, err)
			}
		})
	}
	all.Wait()
	onlyImages(t, dir, 1)
}

func onlyImages(t *testing.T, dir string, n int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	images := 0
	for _, e := range entries {
		switch {
		case strings.HasPrefix(e.Name(), "sha256-"):
			images++
		case e.Name() != ".lock":
			t.Errorf("the cache holds %s", e.Name())
		}
	}
	if images != n {
		t.Errorf("the cache holds %d images", images)
	}
}

func TestImageThatCannotBeUnpackedLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	if _, _, err := NewCache(dir, Limits{}).Rootfs(t.Context(), build(t, []entry{file("ok", "1"), file("../x", "1")})); err == nil {
		t.Error("no error")
	}
	onlyImages(t, dir, 0)
}

func TestWhatADeadProcessLeftIsRemovedAndALiveOnesIsNot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	dead, live := filepath.Join(dir, scratchPrefix+"dead"), filepath.Join(dir, scratchPrefix+"live")
	for _, d := range []string{dead, live} {
		if err := os.MkdirAll(filepath.Join(d, rootfsName), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := lockFile(live, os.O_RDONLY, unix.LOCK_EX)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, _, err := NewCache(dir, Limits{}).Rootfs(t.Context(), build(t, []entry{file("a", "1")})); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dead); err == nil {
		t.Error("the dead process's folder is still there")
	}
	if _, err := os.Lstat(live); err != nil {
		t.Error("the live process's folder is gone")
	}
}

func TestBrokenCacheSaysWhatToRemove(t *testing.T) {
	c := NewCache(filepath.Join(t.TempDir(), "images"), Limits{})
	img := build(t, []entry{file("a", "1")})
	root, _, err := c.Rootfs(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(root), factsName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Rootfs(t.Context(), img); err == nil || !strings.Contains(err.Error(), "reading the image's cache") {
		t.Errorf("got %v", err)
	}
}
