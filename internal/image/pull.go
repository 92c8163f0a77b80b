package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"time"

	"github.com/bot-bottle/action/internal/term"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Registries say how registries are spoken to. The zero value is nobody, directly.
type Registries struct {
	// Credentials is the path of a file like Docker's config.json; one that isn't
	// there, and "", hold none. It is read when it is needed, and kept nowhere.
	Credentials string
	OnlyRoot    bool // the file has to be root's alone to change
	// Proxy chooses the proxy, as in http.Transport; nil: none is used.
	Proxy func(*http.Request) (*url.URL, error)

	stall time.Duration // 0: stallTimeout
}

// Pull finds the image that ref names ("registry.example/tools:1",
// "…@sha256:…") in its registry, for this machine, and gives it with the digest of
// its manifest. Layers are fetched when they are read, until done is called. Plain
// HTTP is spoken to loopback only. Errors are *term.Error.
func Pull(ctx context.Context, ref string, from Registries) (img v1.Image, digest v1.Hash, done func(), err error) {
	parsed, err := parseReference(ref)
	if err != nil {
		return nil, v1.Hash{}, nil, err
	}
	login, err := readCredentials(from.Credentials, from.OnlyRoot)
	if err != nil {
		return nil, v1.Hash{}, nil, err
	}
	connections := from.connections()
	guard := &guarded{
		base: connections, registry: parsed.Context().RegistryStr(), stall: cmp.Or(from.stall, stallTimeout), layer: defaultBytes,
	}
	img, err = remote.Image(parsed, remote.WithContext(ctx), remote.WithAuthFromKeychain(login), remote.WithTransport(guard),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err == nil {
		digest, err = img.Digest()
	}
	if err != nil {
		connections.CloseIdleConnections()
		return nil, v1.Hash{}, nil, pullError(ref, err, login.helperHas(guard.registry))
	}
	return img, digest, connections.CloseIdleConnections, nil
}

func parseReference(ref string) (name.Reference, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return nil, term.Errorf(term.StageManifest, ref, "reading the image's reference: %w", err).
			WithHint("write it as REGISTRY/NAME:TAG or, better, REGISTRY/NAME@sha256:DIGEST")
	}
	return parsed, nil
}

// connections are our own, so that nothing of them is left when the image is there.
func (r Registries) connections() *http.Transport {
	return &http.Transport{
		Proxy:                 r.Proxy,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2:     true,
	}
}

func pullError(ref string, err error, helper bool) error {
	e := term.Errorf(term.StagePreflight, ref, "pulling the image: %w", err)
	var refused *transport.Error
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusUnauthorized && refused.StatusCode != http.StatusForbidden {
		return e.WithHint("see that the name is right and that this host reaches the registry; an image that is here already needs none if it is named by digest")
	}
	if helper {
		return e.WithHint("the credentials are kept by a program, which bot-bottle doesn't start: put a login that may only read into the file itself")
	}
	return e.WithHint("the registry wants a login, or has no such image; docs/backends.md says where logins are looked for")
}

// FromRegistry leases the image that ref names. One that is asked for by digest
// and is here needs no registry; by tag, the registry is asked what the tag means
// now, and an image that is here is not fetched again. Errors are *term.Error.
func (c *Cache) FromRegistry(ctx context.Context, ref string, from Registries) (*Lease, error) {
	parsed, err := parseReference(ref)
	if err != nil {
		return nil, err
	}
	if lease, err := c.byDigest(parsed); lease != nil || err != nil {
		return lease, err
	}
	img, digest, done, err := Pull(ctx, ref, from)
	if err != nil {
		return nil, err
	}
	defer done()
	lease, err := c.Lease(ctx, img)
	if err != nil {
		return nil, about(ref, err)
	}
	lease.Manifest = digest.String()
	if err := c.rememberPull(parsed, digest, lease.Facts.Config); err != nil {
		c.options.Warn(fmt.Errorf("writing down the digest of %q: %w", ref, err))
	}
	return lease, nil
}

// byDigest leases an image that is asked for by digest and is here; nil: it isn't.
func (c *Cache) byDigest(ref name.Reference) (*Lease, error) {
	digest, err := digestOf(ref)
	if err != nil {
		return nil, nil
	}
	config, manifest, ok := c.lookUp(digest.Hex)
	if !ok {
		return nil, nil
	}
	lease, err := c.there(config)
	if lease != nil {
		lease.Manifest = manifest
	}
	return lease, err
}

func digestOf(ref name.Reference) (v1.Hash, error) {
	d, ok := ref.(name.Digest)
	if !ok {
		return v1.Hash{}, errors.New("it is a tag")
	}
	return v1.NewHash(d.DigestStr())
}

// rememberPull writes down the manifest's digest and, where it is another, the one
// that was asked for.
func (c *Cache) rememberPull(ref name.Reference, manifest v1.Hash, config string) error {
	k := known{Config: config, Manifest: manifest.String()}
	return c.alone(func() error {
		err := c.remember(manifest, k)
		if asked, tagErr := digestOf(ref); tagErr == nil && asked != manifest {
			err = errors.Join(err, c.remember(asked, k))
		}
		return err
	})
}

// FromArchive leases the one image in the file at path. Errors are *term.Error.
func (c *Cache) FromArchive(ctx context.Context, file string) (*Lease, error) {
	if err := c.sweep(); err != nil {
		return nil, about(file, explain(err))
	}
	scratch, lock, err := c.scratch()
	if err != nil {
		return nil, about(file, explain(err))
	}
	defer func() {
		if err := (doomed{scratch, lock}).remove(); err != nil {
			c.options.Warn(fmt.Errorf("removing what was copied of %q: %w", file, err))
		}
	}()
	img, err := Archive(ctx, file, scratch, c.options.Limits)
	if err != nil {
		return nil, explain(err)
	}
	lease, err := c.Lease(ctx, img)
	if err != nil {
		return nil, about(file, err)
	}
	return lease, nil
}
