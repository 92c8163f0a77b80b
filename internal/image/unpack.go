package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/bot-bottle/action/internal/term"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Facts are what is known of an image once it is unpacked.
type Facts struct {
	// Config is the digest of the image's configuration, "sha256:…", which
	// names every layer by its content.
	Config string `json:"config"`
	// Path is the image's PATH: absolute folders; empty: it sets none.
	Path    string `json:"path,omitempty"`
	Entries int    `json:"entries"`
	Bytes   int64  `json:"bytes"`   // of the layers, as tar streams
	Skipped int    `json:"skipped"` // devices, pipes and the like, which were left out
}

// Unpack writes the image's files into dir, which has to be empty and the
// caller's alone. Where it fails, dir holds a part and has to be removed. Errors
// are *term.Error.
func Unpack(ctx context.Context, img v1.Image, dir string, limits Limits) (Facts, error) {
	facts, err := unpack(ctx, img, dir, limits.withDefaults(), nil)
	if err != nil {
		return Facts{}, explain(err)
	}
	return facts, nil
}

// unpack tells progress, where it isn't nil, how much of the layers was read.
func unpack(ctx context.Context, img v1.Image, dir string, limits Limits, progress func(int64)) (Facts, error) {
	name, err := configOf(img)
	if err != nil {
		return Facts{}, err
	}
	config, layers, err := contents(img, limits)
	if err != nil {
		return Facts{}, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Facts{}, err
	}
	defer root.Close()
	t := &tree{root: root, budget: budget{limits: limits, progress: progress}}
	for i, layer := range layers {
		if err := t.apply(ctx, layer, config.RootFS.DiffIDs[i]); err != nil {
			return Facts{}, fmt.Errorf("layer %d of %d: %w", i+1, len(layers), err)
		}
	}
	return Facts{Config: name.String(), Path: searchPath(config.Config.Env), Entries: t.count, Bytes: t.bytes, Skipped: t.skipped}, nil
}

// maxConfig bounds an image's configuration, which is read whole: Docker's own
// have some kilobytes.
const maxConfig = 4 << 20

// configOf gives the digest of the image's configuration, of which it makes sure
// before that it can be read.
func configOf(img v1.Image) (v1.Hash, error) {
	manifest, err := img.Manifest()
	if err != nil {
		return v1.Hash{}, fmt.Errorf("reading the manifest: %w", err)
	}
	if size := manifest.Config.Size; size < 0 || size > maxConfig {
		return v1.Hash{}, fmt.Errorf("reading the configuration: it has %d bytes, and at most %d are read", size, maxConfig)
	}
	digest, err := img.ConfigName()
	if err != nil {
		return v1.Hash{}, fmt.Errorf("reading the configuration: %w", err)
	}
	if digest.Algorithm != "sha256" {
		return v1.Hash{}, fmt.Errorf("reading the configuration: its digest is %q and not of SHA-256", digest.Algorithm)
	}
	return digest, nil
}

// contents gives the configuration and the layers, the lowest first, of an image
// for this machine.
func contents(img v1.Image, limits Limits) (*v1.ConfigFile, []v1.Layer, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return nil, nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if config.OS != "linux" || config.Architecture != runtime.GOARCH {
		return nil, nil, term.Errorf(term.StagePreflight, subject, "reading the configuration: it is for %q, this machine is \"linux/%s\"", config.OS+"/"+config.Architecture, runtime.GOARCH).
			WithHint("build or pull it for this machine: --platform linux/%s", runtime.GOARCH)
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, nil, fmt.Errorf("reading the layers: %w", err)
	}
	if len(layers) > limits.Layers {
		return nil, nil, fmt.Errorf("it has %d layers, more than %d", len(layers), limits.Layers)
	}
	if len(layers) != len(config.RootFS.DiffIDs) {
		return nil, nil, fmt.Errorf("it has %d layers, and its configuration names %d", len(layers), len(config.RootFS.DiffIDs))
	}
	return config, layers, nil
}

// apply puts one layer over what is there, and checks that it is the one that the
// configuration names.
func (t *tree) apply(ctx context.Context, layer v1.Layer, want v1.Hash) error {
	stream, err := layer.Uncompressed()
	if err != nil {
		return fmt.Errorf("opening it: %w", err)
	}
	defer stream.Close()
	digest := sha256.New()
	in := io.TeeReader(t.reader(untilDone{ctx, stream}), digest)
	t.begin()
	if err := t.entries(tar.NewReader(in)); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, in); err != nil { // what stands after the archive's end is part of the digest
		return err
	}
	if got := hex.EncodeToString(digest.Sum(nil)); want.Algorithm != "sha256" || got != want.Hex {
		return fmt.Errorf("its content has the digest sha256:%s, and the configuration names %s", got, want)
	}
	return nil
}

func (t *tree) entries(r *tar.Reader) error {
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = t.entry()
		}
		if err != nil {
			return err
		}
		if err := t.put(header, r); err != nil {
			return fmt.Errorf("entry %.200q: %w", header.Name, err)
		}
	}
}

// untilDone reads until the context ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}
