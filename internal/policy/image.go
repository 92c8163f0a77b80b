package policy

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// Image says what the guest's file system is made from: at most one of Rootfs,
// Archive and Reference. The zero value means the host's own tools, read-only.
type Image struct {
	Rootfs  string `json:"rootfs,omitempty"`  // absolute path of a root file system folder
	Archive string `json:"archive,omitempty"` // absolute path of a file that `docker save` or an OCI tool wrote
	// Reference names an image in a registry, by tag or digest; see CheckReference.
	Reference string `json:"reference,omitempty"`
	// Programs are put into the guest besides, read-only.
	Programs []Program `json:"programs,omitempty"`
}

// Packed tells whether there is no folder yet to make a guest from: an archive or
// a reference has to be unpacked first.
func (i Image) Packed() bool { return i.Archive != "" || i.Reference != "" }

// Source is the image as a bottle names it; empty: the host's own tools.
func (i Image) Source() string {
	for _, s := range []string{i.Rootfs, i.Archive, i.Reference} {
		if s != "" {
			return s
		}
	}
	return ""
}

func (i Image) validate(f *Faults) {
	sources := 0
	for _, s := range []string{i.Rootfs, i.Archive, i.Reference} {
		if s != "" {
			sources++
		}
	}
	if sources > 1 {
		f.addf("image", "it is made from one of rootfs, archive and ref")
	}
	checkHostPath("image.rootfs", i.Rootfs, f)
	checkHostPath("image.archive", i.Archive, f)
	if i.Reference != "" {
		f.add("image.ref", CheckReference(i.Reference))
	}
	i.validatePrograms(f)
}

func checkHostPath(field, path string, f *Faults) {
	if path != "" && (!filepath.IsAbs(path) || filepath.Clean(path) != path) {
		f.addf(field, "%q is not an absolute path without dot segments", path)
	}
}

// The grammar of references (OCI distribution-spec, "Pulling manifests"; the
// registry's name before it is Docker's).
var (
	repositoryPart = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
	repository     = regexp.MustCompile(`^` + repositoryPart + `(?:/` + repositoryPart + `)*$`)
	registryName   = regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$`)
	tagName        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	sha256Digest   = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// maxRepository is the longest name that registries take (distribution-spec).
const maxRepository = 255

// errUnpinned is of a reference that says nothing of which image it means.
var errUnpinned = errors.New("it has neither a tag nor a digest")

// CheckReference accepts the name of an image in a registry, with a tag or a
// digest or both: "alpine:3.20", "ghcr.io/owner/tools@sha256:…". A tag that is
// left out is not taken for "latest".
func CheckReference(ref string) error {
	if len(ref) > maxValue {
		return fmt.Errorf("it has more than %d bytes", maxValue)
	}
	name, digest, byDigest := strings.Cut(ref, "@")
	if byDigest && !sha256Digest.MatchString(digest) {
		return fmt.Errorf("%.80q is not sha256: and 64 digits in hex", digest)
	}
	name, tag, byTag := cutTag(name)
	if byTag && !tagName.MatchString(tag) {
		return fmt.Errorf("%.80q is not a tag", tag)
	}
	if err := checkImageName(name); err != nil {
		return err
	}
	if !byDigest && !byTag {
		return errUnpinned
	}
	return nil
}

// cutTag splits at the colon behind the last slash: one before it is of a port.
func cutTag(name string) (rest, tag string, found bool) {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:], true
	}
	return name, "", false
}

// checkImageName takes the part before the first slash for a registry where it
// looks like one, as Docker does.
func checkImageName(name string) error {
	if first, rest, ok := strings.Cut(name, "/"); ok && (strings.ContainsAny(first, ".:[") || first == "localhost") {
		if !registryName.MatchString(first) {
			return fmt.Errorf("%.80q is not the name of a registry", first)
		}
		name = rest
	}
	if len(name) < 2 || len(name) > maxRepository || !repository.MatchString(name) {
		return fmt.Errorf("%.80q is not the name of an image", name)
	}
	return nil
}
