package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// leased takes img from c until the test ends.
func leased(t *testing.T, c *Cache, img v1.Image) *Lease {
	t.Helper()
	lease, err := c.Lease(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lease.Release)
	return lease
}

func TestImageIsUnpackedOnce(t *testing.T) {
	c := NewCache(filepath.Join(t.TempDir(), "images"), Options{})
	img := build(t, []entry{file("a", "1")})
	first := leased(t, c, img)
	if list(t, first.Rootfs) != "a=1" || first.Cached {
		t.Fatalf("%+v", first)
	}
	second := leased(t, c, unreadable{img, t})
	if second.Rootfs != first.Rootfs || !second.Cached || second.Facts.Config != first.Facts.Config || second.Facts.Bytes != first.Facts.Bytes {
		t.Errorf("%+v", second)
	}
	other := leased(t, c, build(t, []entry{file("a", "2")}))
	if other.Rootfs == first.Rootfs || list(t, other.Rootfs) != "a=2" {
		t.Errorf("%+v", other)
	}
}

// counted counts how often the layers are asked for.
type counted struct {
	v1.Image
	asked *atomic.Int64
}

func (c counted) Layers() ([]v1.Layer, error) {
	c.asked.Add(1)
	return c.Image.Layers()
}

func TestOfManyAtOnceOneUnpacks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	img := counted{build(t, []entry{file("a", "1")}), new(atomic.Int64)}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			lease, err := NewCache(dir, Options{}).Lease(t.Context(), img)
			if err != nil {
				t.Error(err)
				return
			}
			defer lease.Release()
			if list(t, lease.Rootfs) != "a=1" {
				t.Errorf("%+v", lease)
			}
		})
	}
	all.Wait()
	if n := img.asked.Load(); n != 1 {
		t.Errorf("the layers were asked for %d times", n)
	}
	onlyImages(t, dir, 1)
}

func TestWaitingForAnotherEndsWithTheContext(t *testing.T) {
	dir := t.TempDir()
	img := build(t, []entry{file("a", "1")})
	name, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	other, err := lockFile(filepath.Join(dir, ".filling-"+name.Hex[:2]), os.O_RDWR|os.O_CREATE, unix.LOCK_EX)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	time.AfterFunc(10*time.Millisecond, func() { cancel(reason) })
	if _, err := NewCache(dir, Options{}).Lease(ctx, img); !errors.Is(err, reason) {
		t.Errorf("got %v", err)
	}
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
		case e.Name() != ".lock" && e.Name() != digestsName && !strings.HasPrefix(e.Name(), ".filling-"):
			t.Errorf("the cache holds %s", e.Name())
		}
	}
	if images != n {
		t.Errorf("the cache holds %d images", images)
	}
}

func TestImageThatCannotBeUnpackedLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	if _, err := NewCache(dir, Options{}).Lease(t.Context(), build(t, []entry{file("ok", "1"), file("../x", "1")})); err == nil {
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
	if _, err := NewCache(dir, Options{}).Lease(t.Context(), build(t, []entry{file("a", "1")})); err != nil {
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
	c := NewCache(filepath.Join(t.TempDir(), "images"), Options{})
	img := build(t, []entry{file("a", "1")})
	lease := leased(t, c, img)
	if err := os.WriteFile(filepath.Join(filepath.Dir(lease.Rootfs), factsName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Lease(t.Context(), img); err == nil || !strings.Contains(err.Error(), "reading the image's cache") {
		t.Errorf("got %v", err)
	}
}

func TestProgressIsToldAsTheImageGrows(t *testing.T) {
	var told []int64
	c := NewCache(t.TempDir(), Options{Progress: func(n int64) { told = append(told, n) }})
	lease := leased(t, c, build(t, []entry{file("a", strings.Repeat("1", 1<<17))}))
	if len(told) < 2 || !slices.IsSorted(told) || told[len(told)-1] != lease.Facts.Bytes {
		t.Errorf("it was told %v of %d", told, lease.Facts.Bytes)
	}
}
