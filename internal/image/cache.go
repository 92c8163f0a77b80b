package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/term"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// Cache keeps unpacked images, each in a folder that is named after its
// configuration's digest and never changes once it is there. Any number of
// processes can use one at once. An image stays while somebody holds a Lease of
// it; what nobody does is removed within Bounds.
type Cache struct {
	dir     string
	options Options
}

// Options of a Cache. A zero field is its default.
type Options struct {
	Limits Limits
	Bounds Bounds
	// Progress is told, from one goroutine, how many bytes of the image at hand
	// have been unpacked; nil: nobody is.
	Progress func(unpacked int64)
	// Warn is told of what went wrong with images that the caller didn't ask for;
	// nil: nobody is.
	Warn func(error)
}

// NewCache gives the cache in dir, a folder of our own that nobody else may write
// to.
func NewCache(dir string, options Options) *Cache {
	if options.Warn == nil {
		options.Warn = func(error) {}
	}
	return &Cache{dir, options}
}

// Lease is an image in use. Until Release, or the end of this process, the cache
// keeps it.
type Lease struct {
	Rootfs string // absolute path of its folder, which must not be written to
	Facts  Facts
	// Manifest is the digest by which a registry has the image, for this machine;
	// empty: it isn't a registry's.
	Manifest string
	Cached   bool // it was there already
	lock     *os.File
}

// Release says that the image is no longer in use. It may be called twice, and of
// nil.
func (l *Lease) Release() {
	if l != nil {
		l.lock.Close()
	}
}

// Names within the folder of one image.
const (
	rootfsName = "rootfs"
	factsName  = "facts.json"
)

// Lease gives the folder that holds the image's files, and unpacks it if no one
// has. Errors are *term.Error.
func (c *Cache) Lease(ctx context.Context, img v1.Image) (*Lease, error) {
	config, err := configOf(img)
	if err != nil {
		return nil, explain(err)
	}
	lease, err := c.lease(ctx, img, config)
	if err != nil {
		return nil, explain(err)
	}
	if err := c.evict(time.Now()); err != nil {
		c.options.Warn(fmt.Errorf("removing images that nobody has used: %w", err))
	}
	return lease, nil
}

func (c *Cache) lease(ctx context.Context, img v1.Image, config v1.Hash) (*Lease, error) {
	if lease, err := c.there(config); lease != nil || err != nil {
		return lease, err
	}
	if err := c.sweep(); err != nil {
		return nil, err
	}
	// Who comes second waits for the first, and needs neither network nor disk.
	filling, err := awaitLock(ctx, filepath.Join(c.dir, ".filling-"+config.Hex[:2]))
	if err != nil {
		return nil, err
	}
	defer filling.Close()
	if lease, err := c.there(config); lease != nil || err != nil {
		return lease, err
	}
	return c.fill(ctx, img, config)
}

func (c *Cache) home(config v1.Hash) string {
	return filepath.Join(c.dir, homePrefix+config.Hex)
}

// homePrefix begins the names of images' folders; other digests than SHA-256 are
// refused.
const homePrefix = "sha256-"

// there leases an image that has been unpacked; nil: it has not.
func (c *Cache) there(config v1.Hash) (*Lease, error) {
	home := c.home(config)
	var lock *os.File
	err := c.alone(func() (err error) {
		if lock, err = lockFile(home, os.O_RDONLY, unix.LOCK_SH|unix.LOCK_NB); err != nil {
			return err
		}
		now := time.Now()
		return os.Chtimes(home, now, now) // for evict
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var facts Facts
	if err == nil {
		facts, err = readFacts(home)
	}
	if err != nil {
		lock.Close()
		return nil, term.Errorf(term.StagePreflight, home, "reading the image's cache: %w", err).
			WithHint("remove %q; it will be made anew", home)
	}
	return &Lease{Rootfs: filepath.Join(home, rootfsName), Facts: facts, Cached: true, lock: lock}, nil
}

// fill unpacks beside home and renames: others see all or nothing.
func (c *Cache) fill(ctx context.Context, img v1.Image, config v1.Hash) (_ *Lease, err error) {
	making, lock, err := c.scratch()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(making))
			lock.Close()
		}
	}()
	root := filepath.Join(making, rootfsName)
	if err := os.Mkdir(root, folderMode); err != nil {
		return nil, err
	}
	facts, err := unpack(ctx, img, root, c.options.Limits.withDefaults(), c.options.Progress)
	if err != nil {
		return nil, err
	}
	if facts.Config != config.String() {
		return nil, fmt.Errorf("it has two configurations, %s and %s", config, facts.Config)
	}
	home := c.home(config)
	if err := c.keep(making, home, lock, facts); err != nil {
		return nil, err
	}
	return &Lease{Rootfs: filepath.Join(home, rootfsName), Facts: facts, lock: lock}, nil
}

// keep gives a whole image its name. Its lock turns from the maker's into a
// user's; that takes two steps (flock(2)), between which nobody may look.
func (c *Cache) keep(making, home string, lock *os.File, facts Facts) error {
	data, err := json.Marshal(facts)
	if err == nil {
		err = os.WriteFile(filepath.Join(making, factsName), data, 0o600)
	}
	if err == nil {
		err = syncAll(making)
	}
	if err != nil {
		return fmt.Errorf("keeping the image: %w", err)
	}
	return c.alone(func() error {
		if err := os.Rename(making, home); err != nil {
			return fmt.Errorf("keeping the image: %w", err)
		}
		return flock(lock, unix.LOCK_SH)
	})
}

const scratchPrefix = "making-"

// scratch makes a folder of this process alone. Its lock says that somebody is at
// work in it.
func (c *Cache) scratch() (dir string, lock *os.File, err error) {
	err = c.alone(func() error {
		if dir, err = os.MkdirTemp(c.dir, scratchPrefix); err == nil {
			lock, err = lockFile(dir, os.O_RDONLY, unix.LOCK_EX)
		}
		return err
	})
	return dir, lock, err
}

// doomed is a folder that only we know of by now.
type doomed struct {
	dir  string
	lock *os.File
}

func (d doomed) remove() error {
	defer d.lock.Close()
	return os.RemoveAll(d.dir)
}

// sweep removes what processes that died left half made.
func (c *Cache) sweep() error {
	var left []doomed
	err := c.alone(func() error {
		entries, err := os.ReadDir(c.dir)
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), scratchPrefix) {
				continue
			}
			dir := filepath.Join(c.dir, e.Name())
			if lock, busy := lockFile(dir, os.O_RDONLY, unix.LOCK_EX|unix.LOCK_NB); busy == nil {
				left = append(left, doomed{dir, lock})
			}
		}
		return err
	})
	for _, d := range left {
		err = errors.Join(err, d.remove())
	}
	return err
}

func readFacts(home string) (Facts, error) {
	data, err := os.ReadFile(filepath.Join(home, factsName))
	if err != nil {
		return Facts{}, err
	}
	var facts Facts
	return facts, json.Unmarshal(data, &facts)
}
