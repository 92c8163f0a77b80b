package image

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds say how much a cache keeps that nobody uses. A zero field is its default.
type Bounds struct {
	Bytes int64         // of all images together, as Facts counts them
	Age   time.Duration // since an image was last asked for
}

// A runner's few tool images stay; one that a bottle named for a month and names no
// more goes.
const (
	defaultCacheBytes = 32 << 30
	defaultCacheAge   = 30 * 24 * time.Hour
)

func (b Bounds) withDefaults() Bounds {
	if b.Bytes == 0 {
		b.Bytes = defaultCacheBytes
	}
	if b.Age == 0 {
		b.Age = defaultCacheAge
	}
	return b
}

// kept is an image that the cache has.
type kept struct {
	dir   string
	used  time.Time
	bytes int64
}

// evict removes images that nobody uses, the longest unused first, until the rest
// is within bounds.
func (c *Cache) evict(now time.Time) error {
	var out []doomed
	err := c.alone(func() (err error) {
		if out, err = c.choose(now); err != nil {
			return err
		}
		return c.forgetDigests()
	})
	for _, d := range out {
		err = errors.Join(err, d.remove())
	}
	return err
}

// choose takes images out of the cache, so that nobody can ask for them any more.
func (c *Cache) choose(now time.Time) (out []doomed, err error) {
	images, total, err := c.images()
	if err != nil {
		return nil, err
	}
	bounds := c.options.Bounds.withDefaults()
	for _, i := range images {
		if total <= bounds.Bytes && now.Sub(i.used) <= bounds.Age {
			continue
		}
		d, inUse, err := c.takeOut(i.dir)
		if err != nil {
			return out, err
		}
		if !inUse {
			out = append(out, d)
			total -= i.bytes
		}
	}
	return out, nil
}

// takeOut renames an image to what sweep removes, should we die before we have.
func (c *Cache) takeOut(dir string) (_ doomed, inUse bool, err error) {
	lock, err := lockFile(dir, os.O_RDONLY, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return doomed{}, true, nil
	}
	if err != nil {
		return doomed{}, false, err
	}
	gone := filepath.Join(c.dir, scratchPrefix+rand.Text())
	if err := os.Rename(dir, gone); err != nil {
		lock.Close()
		return doomed{}, false, err
	}
	return doomed{gone, lock}, false, nil
}

// images lists what is in the cache, the longest unused first. One that can't be
// read counts as old: nobody can use it.
func (c *Cache) images() (list []kept, total int64, err error) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), homePrefix) {
			continue
		}
		k := kept{dir: filepath.Join(c.dir, e.Name())}
		if facts, err := readFacts(k.dir); err == nil {
			k.bytes = facts.Bytes
			if info, err := e.Info(); err == nil {
				k.used = info.ModTime()
			}
		}
		total += k.bytes
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b kept) int { return a.used.Compare(b.used) })
	return list, total, nil
}

// digestsName is the folder that says which configuration a manifest's digest
// means, so that an image that is asked for by digest needs no registry.
const digestsName = "digests"

// known is what one file in the folder of digests holds.
type known struct {
	Config   string `json:"config"`
	Manifest string `json:"manifest"` // for this machine; differs from the file's name for an index
}

// forgetDigests removes those of images that are gone.
func (c *Cache) forgetDigests() error {
	dir := filepath.Join(c.dir, digestsName)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		config, _, ok := c.lookUp(e.Name())
		if ok {
			if _, statErr := os.Lstat(c.home(config)); statErr == nil {
				continue
			}
		}
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
