package image

import (
	"context"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
)

// FromArchive gives the folder that holds the files of the image in the archive at
// path. The folder must not be written to. Errors are *term.Error.
func (c *Cache) FromArchive(ctx context.Context, path string) (root string, facts Facts, err error) {
	if err := c.sweep(); err != nil {
		return "", Facts{}, explain(err)
	}
	scratch, lock, err := c.scratch()
	if err != nil {
		return "", Facts{}, explain(err)
	}
	defer lock.Close()
	defer os.RemoveAll(scratch)
	img, err := Archive(ctx, path, scratch, c.limits)
	if err != nil {
		return "", Facts{}, err
	}
	return c.Rootfs(ctx, img)
}

// FromRegistry gives the same of the image that ref names, with the digest of its
// manifest. Where the folder is there already only the manifest and the
// configuration are asked for. With credentials those count that the user of this
// process has put into ~/.docker/config.json; a job of a runner could have named
// others.
func (c *Cache) FromRegistry(ctx context.Context, ref string, credentials bool) (root string, facts Facts, err error) {
	var keychain authn.Keychain
	if credentials {
		keychain = authn.DefaultKeychain
	}
	img, digest, err := Pull(ctx, ref, keychain)
	if err != nil {
		return "", Facts{}, err
	}
	root, facts, err = c.Rootfs(ctx, img)
	facts.Manifest = digest.String()
	return root, facts, err
}
