package image

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// The files by which the two kinds of archives are known. An archive of a new
// Docker is of both kinds, and read as the older.
const (
	dockerManifest = "manifest.json"
	ociMarker      = "oci-layout"
)

// Bounds of what is in an archive besides layers.
const (
	maxMembers  = 10_000 // `docker save` writes four for a layer
	maxManifest = 4 << 20
	maxHops     = 4 // of links from name to name; Docker makes one
)

// survey is what an archive holds, looked at before anything is read into memory
// or followed: the library that reads archives trusts them in both.
type survey struct {
	members map[string]member // the first of a name, by the name as it stands
	docker  []byte            // the content of dockerManifest; nil: there is none
	oci     bool
}

type member struct {
	kind byte
	size int64
	link string
}

func surveyOf(open tarball.Opener, limits Limits) (survey, error) {
	s := survey{members: map[string]member{}}
	err := eachEntry(open, limits, func(h *tar.Header, content io.Reader) error {
		if len(s.members) == maxMembers {
			return fmt.Errorf("it has more than %d members", maxMembers)
		}
		if _, twice := s.members[h.Name]; !twice {
			s.members[h.Name] = member{h.Typeflag, h.Size, h.Linkname}
		}
		switch path.Clean(h.Name) {
		case ociMarker:
			s.oci = true
		case dockerManifest:
			return s.readManifest(h, content)
		}
		return nil
	})
	return s, err
}

func (s *survey) readManifest(h *tar.Header, content io.Reader) (err error) {
	if h.Typeflag != tar.TypeReg || h.Size > maxManifest {
		return fmt.Errorf("its %s is no file of at most %d bytes", dockerManifest, maxManifest)
	}
	if s.docker != nil {
		return fmt.Errorf("it has %s twice", dockerManifest)
	}
	s.docker, err = io.ReadAll(content)
	return err
}

// checkDocker makes sure that what the manifest names can be read: one image, whose
// configuration is a small file, and whose layers' links lead to an end.
func (s *survey) checkDocker() error {
	var images tarball.Manifest
	if err := json.Unmarshal(s.docker, &images); err != nil {
		return fmt.Errorf("reading %s: %w", dockerManifest, err)
	}
	if len(images) != 1 {
		return fmt.Errorf("it holds %d images, and only one can be meant", len(images))
	}
	config, err := s.follow(images[0].Config)
	if err != nil {
		return err
	}
	if config.size > maxConfig {
		return fmt.Errorf("its configuration has %d bytes, and at most %d are read", config.size, maxConfig)
	}
	for _, layer := range images[0].Layers {
		if _, err := s.follow(layer); err != nil {
			return err
		}
	}
	return nil
}

// follow gives the file of a name, as the library will find it.
func (s *survey) follow(name string) (member, error) {
	for range maxHops {
		m, ok := s.members[name]
		if !ok {
			return m, fmt.Errorf("there is no %.200q in it", name)
		}
		switch m.kind {
		case tar.TypeReg:
			return m, nil
		case tar.TypeSymlink, tar.TypeLink:
			name = path.Join(path.Dir(name), path.Clean(m.link))
		default:
			return m, fmt.Errorf("%.200q in it is no file", name)
		}
	}
	return member{}, errors.New("its links go in a circle")
}

// eachEntry calls do for everything in an archive, within limits.
func eachEntry(open tarball.Opener, limits Limits, do func(*tar.Header, io.Reader) error) error {
	stream, err := open()
	if err != nil {
		return err
	}
	defer stream.Close()
	b := &budget{limits: limits}
	r := tar.NewReader(b.reader(stream))
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
