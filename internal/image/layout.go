package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// onlyImage gives the image of the layout in dir: the only one, or the only one
// for this machine.
func onlyImage(dir string) (v1.Image, error) {
	if err := isSmall(filepath.Join(dir, "index.json")); err != nil {
		return nil, err
	}
	index, err := layout.ImageIndexFromPath(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	img, err := fromIndex(dir, index, maxIndexDepth)
	if err != nil {
		return nil, err
	}
	manifest, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	return img, isSmall(blob(dir, manifest.Config.Digest))
}

func blob(dir string, digest v1.Hash) string {
	return filepath.Join(dir, "blobs", digest.Algorithm, digest.Hex)
}

// isSmall refuses a file that is too large to be read whole; what a descriptor
// says of its size is anybody's word.
func isSmall(file string) error {
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	if info.Size() > maxManifest {
		return fmt.Errorf("%q has %d bytes, and at most %d are read", filepath.Base(file), info.Size(), maxManifest)
	}
	return nil
}

// maxIndexDepth bounds indexes of indexes; tools write at most one in another.
const maxIndexDepth = 3

func fromIndex(dir string, index v1.ImageIndex, depth int) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var fit []v1.Descriptor
	for _, d := range manifest.Manifests {
		if p := d.Platform; p == nil || p.OS == "linux" && p.Architecture == runtime.GOARCH {
			fit = append(fit, d)
		}
	}
	if len(fit) != 1 {
		return nil, fmt.Errorf("it holds %d images of which %d are for linux/%s", len(manifest.Manifests), len(fit), runtime.GOARCH)
	}
	if err := isSmall(blob(dir, fit[0].Digest)); err != nil {
		return nil, err
	}
	if !fit[0].MediaType.IsIndex() {
		return index.Image(fit[0].Digest)
	}
	if depth == 0 {
		return nil, errors.New("its indexes are nested too deep")
	}
	inner, err := index.ImageIndex(fit[0].Digest)
	if err != nil {
		return nil, err
	}
	return fromIndex(dir, inner, depth-1)
}
