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
	"regexp"

	"github.com/bot-bottle/action/internal/term"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Archive opens the one image in the file at path: what `docker save` writes, or a
// tar of an OCI image layout (OCI image-spec, image-layout.md), either of them also
// through gzip. scratch is an empty folder of the caller's, which has to last as
// long as the image is used. Errors are *term.Error.
func Archive(ctx context.Context, file, scratch string, limits Limits) (v1.Image, error) {
	img, err := archive(ctx, file, scratch, limits.withDefaults())
	if isFull(err) {
		return nil, about(file, explain(err))
	}
	if err != nil {
		return nil, term.Errorf(term.StagePreflight, file, "opening the image's archive: %w", err).
			WithHint("make it with `docker save -o FILE IMAGE`, or with a tool that writes an OCI archive; it has to hold one image")
	}
	return img, nil
}

func archive(ctx context.Context, file, scratch string, limits Limits) (v1.Image, error) {
	open := func() (io.ReadCloser, error) {
		stream, err := openArchive(file)
		if err != nil {
			return nil, err
		}
		return both{untilDone{ctx, stream}, stream}, nil
	}
	found, err := surveyOf(open, limits)
	if err != nil {
		return nil, err
	}
	if found.docker != nil {
		if err := found.checkDocker(); err != nil {
			return nil, err
		}
		return tarball.Image(open, nil)
	}
	if !found.oci {
		return nil, fmt.Errorf("it holds neither %s nor %s", dockerManifest, ociMarker)
	}
	if err := copyLayout(open, scratch, limits); err != nil {
		return nil, err
	}
	return onlyImage(scratch)
}

// openArchive opens file, through gzip where it begins like that.
func openArchive(file string) (io.ReadCloser, error) {
	f, err := openRegular(file)
	if err != nil {
		return nil, err
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

// layoutFile are the names in an OCI image layout. Everything else is left out.
var layoutFile = regexp.MustCompile(`^(oci-layout|index\.json|blobs/sha256/[0-9a-f]{64})$`)

// copyLayout writes an OCI image layout from an archive into dir.
func copyLayout(open tarball.Opener, dir string, limits Limits) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll("blobs/sha256", 0o700); err != nil {
		return err
	}
	return eachEntry(open, limits, func(h *tar.Header, content io.Reader) error {
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
