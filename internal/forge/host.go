package forge

import (
	"errors"
	"net/url"
	"strings"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
)

// HostCredential resolves the host's credential for the forge at server. It is
// empty, without an error, where none is named. The URLs are compared by scheme,
// host, port and path: a credential is never sent anywhere else.
func HostCredential(forges []manifest.HostForge, server string, lookup func(string) (string, bool)) (secret.Value, error) {
	for _, f := range forges {
		if sameServer(f.URL, server) {
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

func sameServer(a, b string) bool {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	return errA == nil && errB == nil && ua.Scheme == ub.Scheme && strings.EqualFold(ua.Host, ub.Host) &&
		strings.TrimRight(ua.Path, "/") == strings.TrimRight(ub.Path, "/")
}
