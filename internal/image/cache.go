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

	"github.com/bot-bottle/action/internal/term"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// Cache keeps unpacked images, each in a folder that is named after its
// configuration's digest and never changes once it is there. Any number of
// processes can use one at once.
type Cache struct {
	dir    string
	limits Limits
}

// NewCache gives the cache in dir, a folder of our own that nobody else may write
// to.
func NewCache(dir string, limits Limits) *Cache { return &Cache{dir, limits} }

// Names within the folder of one image.
const (
	rootfsName = "rootfs"
	factsName  = "facts.json"
)

// Rootfs gives the folder that holds the image's files, and unpacks it if no one
// has. The folder must not be written to. Errors are *term.Error.
func (c *Cache) Rootfs(ctx context.Context, img v1.Image) (string, Facts, error) {
	digest, err := img.ConfigName()
	if err != nil {
		return "", Facts{}, explain(fmt.Errorf("reading the configuration: %w", err))
	}
	home := filepath.Join(c.dir, digest.Algorithm+"-"+digest.Hex)
	if facts, err := readFacts(home); err == nil {
		return filepath.Join(home, rootfsName), facts, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", Facts{}, c.broken(home, err)
	}
	facts, err := c.fill(ctx, img, home)
	if err != nil {
		return "", Facts{}, err
	}
	return filepath.Join(home, rootfsName), facts, nil
}

func (c *Cache) broken(home string, err error) error {
	return term.Errorf(term.StagePreflight, home, "reading the image's cache: %w", err).
		WithHint("remove %q; it will be made anew", home)
}

// fill unpacks beside home and renames: others see all or nothing.
func (c *Cache) fill(ctx context.Context, img v1.Image, home string) (Facts, error) {
	if err := c.sweep(); err != nil {
		return Facts{}, explain(err)
	}
	making, lock, err := c.scratch()
	if err != nil {
		return Facts{}, explain(err)
	}
	defer lock.Close()
	defer os.RemoveAll(making)
	root := filepath.Join(making, rootfsName)
	if err := os.Mkdir(root, folderMode); err != nil {
		return Facts{}, explain(err)
	}
	facts, err := Unpack(ctx, img, root, c.limits)
	if err == nil {
		err = c.keep(making, home, facts)
	}
	return facts, err
}

func (c *Cache) keep(making, home string, facts Facts) error {
	data, err := json.Marshal(facts)
	if err == nil {
		err = os.WriteFile(filepath.Join(making, factsName), data, 0o600)
	}
	if err == nil {
		err = syncAll(making)
	}
	if err == nil {
		err = os.Rename(making, home)
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) {
		return nil // another process was first
	}
	if err != nil {
		return explain(fmt.Errorf("keeping the image: %w", err))
	}
	return nil
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

// sweep removes what processes that died left half made.
func (c *Cache) sweep() error {
	return c.alone(func() error {
		entries, err := os.ReadDir(c.dir)
		for _, e := range entries {
			dir := filepath.Join(c.dir, e.Name())
			if !strings.HasPrefix(e.Name(), scratchPrefix) {
				continue
			}
			lock, busy := lockFile(dir, os.O_RDONLY, unix.LOCK_EX|unix.LOCK_NB)
			if busy != nil {
				continue
			}
			err = errors.Join(err, os.RemoveAll(dir), lock.Close())
		}
		return err
	})
}

// alone does what no two processes may do at once in this cache.
func (c *Cache) alone(do func() error) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	lock, err := lockFile(filepath.Join(c.dir, ".lock"), os.O_RDWR|os.O_CREATE, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.Close()
	return do()
}

// lockFile opens a file or folder and takes its lock (flock(2)), which ends when
// it is closed or this process ends.
func lockFile(path string, flags, how int) (*os.File, error) {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), how); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %q: %w", path, err)
	}
	return f, nil
}

func readFacts(home string) (Facts, error) {
	data, err := os.ReadFile(filepath.Join(home, factsName))
	if err != nil {
		return Facts{}, err
	}
	var facts Facts
	return facts, json.Unmarshal(data, &facts)
}
