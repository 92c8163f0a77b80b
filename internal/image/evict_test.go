package image

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// images gives n images of the same size.
func images(t *testing.T, n int) []v1.Image {
	t.Helper()
	var imgs []v1.Image
	for i := range n {
		imgs = append(imgs, build(t, []entry{file("a", strings.Repeat(string(rune('a'+i)), 1000))}))
	}
	return imgs
}

// filled gives a cache with the images, of which nobody uses any, the first asked
// for longest ago.
func filled(t *testing.T, bounds Bounds, imgs []v1.Image) *Cache {
	t.Helper()
	c := NewCache(filepath.Join(t.TempDir(), "images"), Options{})
	for i, img := range imgs {
		lease, err := c.Lease(t.Context(), img)
		if err != nil {
			t.Fatal(err)
		}
		lease.Release()
		then := time.Now().Add(time.Duration(i-len(imgs)) * time.Hour)
		if err := os.Chtimes(filepath.Dir(lease.Rootfs), then, then); err != nil {
			t.Fatal(err)
		}
	}
	c.options.Bounds, c.options.Warn = bounds, func(err error) { t.Error(err) }
	return c
}

// has tells which of the images the cache has, as a word of their numbers.
func has(t *testing.T, c *Cache, imgs []v1.Image) string {
	t.Helper()
	word := ""
	for i, img := range imgs {
		name, err := img.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(c.home(name)); err == nil {
			word += string(rune('0' + i))
		}
	}
	return word
}

func TestTheLongestUnusedImagesGoFirst(t *testing.T) {
	imgs := images(t, 4)
	c := filled(t, Bounds{}, imgs[:3])
	_, total, err := c.images()
	if err != nil {
		t.Fatal(err)
	}
	c.options.Bounds = Bounds{Bytes: total}
	leased(t, c, imgs[3]) // one more than there is room for
	if got := has(t, c, imgs); got != "123" {
		t.Errorf("the cache has %s", got)
	}
	onlyImages(t, c.dir, 3)
}

func TestAnImageThatWasAskedForAgainIsNotOldAnyMore(t *testing.T) {
	imgs := images(t, 3)
	c := filled(t, Bounds{}, imgs)
	leased(t, c, imgs[0]).Release()
	c.options.Bounds.Age = 90 * time.Minute // the second is two hours old, the third one
	if err := c.evict(time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := has(t, c, imgs); got != "02" {
		t.Errorf("the cache has %s", got)
	}
}

func TestAnImageInUseStays(t *testing.T) {
	imgs := images(t, 2)
	c := filled(t, Bounds{}, imgs)
	lease := leased(t, c, imgs[0])
	c.options.Bounds = Bounds{Bytes: 1}
	for range 2 {
		if err := c.evict(time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := has(t, c, imgs); got != "0" || !strings.HasPrefix(list(t, lease.Rootfs), "a=aaaa") {
			t.Fatalf("the cache has %q", got)
		}
	}
	lease.Release()
	if err := c.evict(time.Now()); err != nil || has(t, c, imgs) != "" {
		t.Errorf("the cache has %q, %v", has(t, c, imgs), err)
	}
	onlyImages(t, c.dir, 0)
}

func TestOneThatWasJustUnpackedIsInUseAtOnce(t *testing.T) {
	c := NewCache(t.TempDir(), Options{Bounds: Bounds{Bytes: 1}})
	img := build(t, []entry{file("a", "1")})
	lease := leased(t, c, img) // evicts what it can
	if err := c.evict(time.Now()); err != nil || list(t, lease.Rootfs) != "a=1" {
		t.Errorf("%s, %v", list(t, lease.Rootfs), err)
	}
}

// TestMain lets this program be a run that uses an image until it is killed.
func TestMain(m *testing.M) {
	switch dir := os.Getenv("IMAGE_TEST_HOME"); {
	case os.Getenv("IMAGE_TEST_FULL") != "":
		os.Exit(fillSmallDisk())
	case dir != "":
		hold(dir)
	}
	os.Exit(m.Run())
}

func TestAKilledRunDoesNotKeepItsImage(t *testing.T) {
	imgs := images(t, 1)
	c := filled(t, Bounds{Bytes: 1}, imgs)
	name, err := imgs[0].ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = []string{"IMAGE_TEST_HOME=" + c.dir, "IMAGE_TEST_CONFIG=" + name.String()}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	if said != "in use\n" {
		t.Fatalf("the run said %q, %v", said, err)
	}
	if err := c.evict(time.Now()); err != nil || has(t, c, imgs) != "0" {
		t.Errorf("while the run lives the cache has %q, %v", has(t, c, imgs), err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // by a signal
	if err := c.evict(time.Now()); err != nil || has(t, c, imgs) != "" {
		t.Errorf("when the run is dead the cache has %q, %v", has(t, c, imgs), err)
	}
}

// hold is the run.
func hold(dir string) {
	config, err := v1.NewHash(os.Getenv("IMAGE_TEST_CONFIG"))
	if err == nil {
		_, err = NewCache(dir, Options{}).there(config)
	}
	if err != nil {
		io.WriteString(os.Stdout, err.Error())
		os.Exit(1)
	}
	io.WriteString(os.Stdout, "in use\n")
	select {}
}
