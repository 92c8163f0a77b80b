package image

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/bot-bottle/action/internal/atomicfile"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// lookUp gives the configuration that a manifest's digest means, as this cache was
// told before.
func (c *Cache) lookUp(hex string) (config v1.Hash, manifest string, ok bool) {
	data, err := os.ReadFile(filepath.Join(c.dir, digestsName, hex))
	if err != nil {
		return v1.Hash{}, "", false
	}
	var k known
	if err := json.Unmarshal(data, &k); err != nil {
		return v1.Hash{}, "", false
	}
	config, err = v1.NewHash(k.Config)
	return config, k.Manifest, err == nil && config.Algorithm == "sha256"
}

// remember writes down what a digest means: the registry's word, which was checked
// against the digest.
func (c *Cache) remember(digest v1.Hash, k known) error {
	dir := filepath.Join(c.dir, digestsName)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	data, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, digest.Hex), data, 0o600)
}
