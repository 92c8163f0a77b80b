package image

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"

	"github.com/bot-bottle/action/internal/term"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Archive opens the one image in the file at path: what `docker save` writes, or a
// tar of an OCI image layout (OCI image-spec, image-layout.md), either of them also
// through gzip. scratch is an empty folder of the caller's, which has to last as
// long as the image is used. Errors are *term.Error.
func Archive(ctx context.Context, file, scratch string, limits Limits) (v1.Image, error) {
	img, err := archive(ctx, file, scratch, limits.withDefaults())
	if err != nil {
		return nil, term.Errorf(term.StagePreflight, file, "opening the image's archive: %w", err).
			WithHint("make it with `docker save -o FILE IMAGE`, or with a tool that writes an OCI archive; it has to hold one image")
	}
	return img, nil
}

// The files by which the two kinds are known.
const (
	dockerManifest = "manifest.json"
	ociMarker      = "oci-layout"
)

func archive(ctx context.Context, file, scratch string, limits Limits) (v1.Image, error) {
	open := func() (io.ReadCloser, error) { return openArchive(file) }
	found, err := kindOf(ctx, open, limits)
	switch {
	case err != nil:
		return nil, err
	case found == dockerManifest:
		return tarball.Image(open, nil)
	}
	if err := copyLayout(ctx, open, scratch, limits); err != nil {
		return nil, err
	}
	return onlyImage(scratch)
}

// openArchive opens file, through gzip where it begins like that.
func openArchive(file string) (io.ReadCloser, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(err, errors.New("not a regular file"))
	}
	buffered := bufio.NewReader(f)
	if magic, _ := buffered.Peek(2); string(magic) != "\x1f\x8b" { // RFC 1952
		return both{buffered, f}, nil
	}
	z, err := gzip.NewReader(buffered)
	if err != nil {
		f.Close()
		return nil, err
	}
	return both{z, f}, nil
}

type both struct {
	io.Reader
	io.Closer
}

// kindOf gives the name of the file that shows what kind of archive it is: the
// first, since an archive of a new Docker is of both kinds.
func kindOf(ctx context.Context, open tarball.Opener, limits Limits) (kind string, err error) {
	err = eachEntry(ctx, open, limits, func(h *tar.Header, _ io.Reader) error {
		if name := path.Clean(h.Name); name == dockerManifest || name == ociMarker && kind == "" {
			kind = name
		}
		return nil
	})
	if err == nil && kind == "" {
		err = fmt.Errorf("it holds neither %s nor %s", dockerManifest, ociMarker)
	}
	return kind, err
}

func eachEntry(ctx context.Context, open tarball.Opener, limits Limits, do func(*tar.Header, io.Reader) error) error {
	stream, err := open()
	if err != nil {
		return err
	}
	defer stream.Close()
	b := &budget{limits: limits}
	r := tar.NewReader(b.reader(untilDone{ctx, stream}))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = b.entry()
		}
		if err == nil {
			err = do(h, r)
		}
		if err != nil {
			return err
		}
	}
}

// layoutFile are the names in an OCI image layout. Everything else is left out.
var layoutFile = regexp.MustCompile(`^(oci-layout|index\.json|blobs/sha256/[0-9a-f]{64})$`)

// copyLayout writes an OCI image layout from an archive into dir.
func copyLayout(ctx context.Context, open tarball.Opener, dir string, limits Limits) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll("blobs/sha256", 0o700); err != nil {
		return err
	}
	return eachEntry(ctx, open, limits, func(h *tar.Header, content io.Reader) error {
		name := path.Clean(h.Name)
		if h.Typeflag != tar.TypeReg || !layoutFile.MatchString(name) {
			return nil
		}
		f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		return errors.Join(err, f.Close())
	})
}

// onlyImage gives the image of the layout in dir: the only one, or the only one
// for this machine.
func onlyImage(dir string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	return fromIndex(index, maxIndexDepth)
}

// maxIndexDepth bounds indexes of indexes; tools write at most one in another.
const maxIndexDepth = 3

func fromIndex(index v1.ImageIndex, depth int) (v1.Image, error) {
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
	return fromIndex(inner, depth-1)
}
