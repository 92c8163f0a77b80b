package image

import (
	"context"
	"runtime"

	"github.com/bot-bottle/action/internal/term"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Pull finds the image that ref names ("registry.example/tools:1",
// "…@sha256:…") in its registry, for this machine, and gives it with the digest of
// its manifest. Layers are fetched when they are read. keychain has the host's
// credentials; nil is nobody's. Plain HTTP is spoken to loopback only. Errors are
// *term.Error.
func Pull(ctx context.Context, ref string, keychain authn.Keychain) (v1.Image, v1.Hash, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return nil, v1.Hash{}, term.Errorf(term.StageManifest, ref, "reading the image's reference: %w", err).
			WithHint("write it as REGISTRY/NAME:TAG or, better, REGISTRY/NAME@sha256:DIGEST")
	}
	if keychain == nil {
		keychain = authn.NewMultiKeychain()
	}
	img, err := remote.Image(parsed, remote.WithContext(ctx), remote.WithAuthFromKeychain(keychain),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil {
		return nil, v1.Hash{}, pullError(ref, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return nil, v1.Hash{}, pullError(ref, err)
	}
	return img, digest, nil
}

func pullError(ref string, err error) error {
	return term.Errorf(term.StagePreflight, ref, "pulling the image: %w", err).
		WithHint("see that the name is right, that this host reaches the registry, and that it may read the image without logging in, or has credentials")
}
