package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strings"

	"github.com/bot-bottle/action/backends/guestroot"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// base is the engine's image of a guest: the folders and links of its root, and
// nothing else; the rest is bound. It depends on the layout of the host's tools
// alone, so that all bottles of a host share one, which stays.
type base struct {
	tag     string // with the layer's digest, which is what is relied on
	layerID string // "sha256:" and the digest of the layer
	archive []byte // as `docker save` makes it
}

// labelBase marks the image.
const labelBase = "bot-bottle.base"

// newBase makes the image of entries, always the same one for the same entries.
func newBase(entries []guestroot.Entry) (base, error) {
	layer, err := layerOf(entries)
	if err != nil {
		return base{}, fmt.Errorf("making the base image: %w", err)
	}
	digest := hexDigest(layer)
	b := base{tag: "bot-bottle/base:" + digest[:32], layerID: "sha256:" + digest}
	b.archive, err = b.save(layer)
	if err != nil {
		return base{}, fmt.Errorf("making the base image: %w", err)
	}
	return b, nil
}

func hexDigest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// layerOf is a tar of the folders and links among entries.
func layerOf(entries []guestroot.Entry) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := tar.Header{Name: strings.TrimPrefix(e.Target, "/"), Format: tar.FormatPAX}
		switch e.Kind {
		case guestroot.KindDir:
			h.Typeflag, h.Mode = tar.TypeDir, tarMode(e.Mode)
			h.Name += "/"
		case guestroot.KindSymlink:
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.Source, 0o777
		default:
			continue
		}
		if h.Name == "/" {
			continue // the root is there
		}
		if err := w.WriteHeader(&h); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), w.Close()
}

// tarMode has the sticky bit where tar has it.
func tarMode(m fs.FileMode) int64 {
	mode := int64(m.Perm())
	if m&fs.ModeSticky != 0 {
		mode |= 0o1000
	}
	return mode
}

// save packs the layer as an archive that every engine since 1.10 loads: manifest,
// configuration and layer (image specification v1.2 of moby).
func (b base) save(layer []byte) ([]byte, error) {
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "created": "1970-01-01T00:00:00Z",
		"config": map[string]any{"Labels": map[string]string{labelBase: b.layerID}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{b.layerID}},
	})
	if err != nil {
		return nil, err
	}
	name := hexDigest(config) + ".json"
	manifest, err := json.Marshal([]map[string]any{{"Config": name, "RepoTags": []string{b.tag}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range []struct {
		name string
		data []byte
	}{{name, config}, {"layer.tar", layer}, {"manifest.json", manifest}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return buf.Bytes(), err
}

// ensure gives the engine's id of the image, which is loaded where it isn't there.
func (b base) ensure(ctx context.Context, c *client.Client) (id string, err error) {
	found, err := c.ImageInspect(ctx, b.tag)
	if cerrdefs.IsNotFound(err) {
		if err := b.load(ctx, c); err != nil {
			return "", fmt.Errorf("loading the base image: %w", err)
		}
		found, err = c.ImageInspect(ctx, b.tag)
	}
	if err != nil {
		return "", fmt.Errorf("looking for the base image: %w", err)
	}
	return found.ID, b.check(found)
}

// maxLoadAnswer bounds what the engine says about a load.
const maxLoadAnswer = 1 << 20

func (b base) load(ctx context.Context, c *client.Client) error {
	answer, err := c.ImageLoad(ctx, bytes.NewReader(b.archive), client.ImageLoadWithQuiet(true))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, maxLoadAnswer))
	return err // whether it was loaded shows when it is looked for
}

// check takes an image with our layer alone, and that sets nothing: its name is
// anybody's to give.
func (b base) check(found image.InspectResponse) error {
	switch {
	case !slices.Equal(found.RootFS.Layers, []string{b.layerID}):
		return fmt.Errorf("checking the base image: %q has layers %q, wanted %q alone; remove it with docker rmi", b.tag, found.RootFS.Layers, b.layerID)
	case found.Config == nil:
		return errors.New("checking the base image: the engine shows no configuration")
	case found.Config.User != "" || len(found.Config.Env) > 0 || len(found.Config.Volumes) > 0 || len(found.Config.OnBuild) > 0:
		return fmt.Errorf("checking the base image: %q sets a user, an environment or volumes; remove it with docker rmi", b.tag)
	}
	return nil
}
