package forge

import (
	"errors"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
)

// HostCredential resolves the host's credential for the forge at server. It is
// empty, without an error, where none is named.
func HostCredential(forges []manifest.HostForge, server string, lookup func(string) (string, bool)) (secret.Value, error) {
	for _, f := range forges {
		if f.Is(server) {
			return resolve(f, lookup)
		}
	}
	return secret.Value{}, nil
}

func resolve(f manifest.HostForge, lookup func(string) (string, bool)) (secret.Value, error) {
	value, err := f.Token.Resolve(lookup)
	if err != nil {
		told := term.Errorf(term.StagePreflight, f.URL, "reading the host's credential for %q: %w", f.URL, err)
		var missing *secret.MissingError
		if errors.As(err, &missing) && missing.Hint != "" {
			told.WithHint("%s", missing.Hint)
		}
		return secret.Value{}, told
	}
	return value, nil
}
