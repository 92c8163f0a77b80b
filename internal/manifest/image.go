package manifest

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/bot-bottle/action/internal/policy"
)

// hostTools is the image that is made of the host's own programs.
const hostTools = "host-tools"

// imageKinds are the keys of an image, of which it has one.
var imageKinds = []string{"rootfs", "archive", "ref"}

const imageHint = "write `image: host-tools`, `{rootfs: /folder}`, `{archive: /file.tar}` or `{ref: NAME:TAG}`"

// image reads a mapping, or text that can only mean one thing.
func (r *reader) image(n ast.Node, at string) policy.Image {
	if s, isText := n.(*ast.StringNode); isText {
		image, err := imageOf(s.Value)
		if err != nil {
			r.at(at, imageHint, err)
		}
		return image
	}
	var image policy.Image
	faults := len(r.faults)
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"rootfs":  func(n ast.Node, at string) { image.Rootfs = r.absolute(n, at) },
			"archive": func(n ast.Node, at string) { image.Archive = r.absolute(n, at) },
			"ref":     func(n ast.Node, at string) { image.Reference = r.reference(n, at) },
		},
		later: map[string]string{
			"dockerfile": "images from a Dockerfile",
			"nix":        "images from Nix",
		},
	})
	given := slices.DeleteFunc(slices.Clone(imageKinds), func(key string) bool { _, there := r.places[join(at, key)]; return !there })
	switch {
	case len(given) > 1:
		r.at(at, imageHint, fmt.Errorf("it is %s at once", strings.Join(given, " and ")))
	case len(given) == 0 && len(r.faults) == faults:
		r.at(at, imageHint, errors.New("it names no image"))
	}
	return image
}

// archiveNames are how the names of archives end. A path that ends otherwise could
// as well be a folder's.
var archiveNames = []string{".tar", ".tar.gz", ".tgz"}

// imageOf takes text for an image: the host's tools, an archive by its name, or a
// reference that says which image it means.
func imageOf(text string) (policy.Image, error) {
	isArchive := slices.ContainsFunc(archiveNames, func(end string) bool { return strings.HasSuffix(text, end) })
	switch {
	case text == hostTools:
		return policy.Image{}, nil
	case filepath.IsAbs(text) && isArchive:
		return policy.Image{Archive: text}, nil
	case filepath.IsAbs(text):
		return policy.Image{}, fmt.Errorf("%.80q can be a folder or an archive", text)
	case strings.HasPrefix(text, ".") || strings.HasPrefix(text, "~") || isArchive:
		return policy.Image{}, fmt.Errorf("%.80q is not an absolute path", text)
	}
	if err := policy.CheckReference(text); err != nil {
		return policy.Image{}, fmt.Errorf("%.80q is no image: %w", text, err)
	}
	return policy.Image{Reference: text}, nil
}

func (r *reader) reference(n ast.Node, at string) string {
	s, ok := r.text(n, at)
	if !ok {
		return ""
	}
	if err := policy.CheckReference(s); err != nil {
		r.at(at, "write it as NAME:TAG, REGISTRY/NAME:TAG or, better, REGISTRY/NAME@sha256:DIGEST", err)
		return ""
	}
	return s
}

type shownImage struct {
	Rootfs    string `json:"rootfs,omitempty"`
	Archive   string `json:"archive,omitempty"`
	Reference string `json:"ref,omitempty"`
}

// showImage gives an image as a bottle file has it.
func showImage(i policy.Image) any {
	if i.Source() == "" {
		return hostTools
	}
	return shownImage{i.Rootfs, i.Archive, i.Reference}
}
