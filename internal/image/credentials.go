package image

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// credentials are what a file like Docker's config.json holds for registries
// (docker-login(1), containers-auth.json(5)). Programs that keep credentials
// (credsStore, credHelpers) are not started: they would be given our environment
// and be found by its PATH.
type credentials struct {
	logins  map[string]login // by the registry's name
	helpers map[string]bool  // registries of which a program has the credentials
	helper  bool             // a program has those of all others
}

type login struct {
	user                      string
	password, identity, token secret.Value
}

// maxCredentials is far above the largest file of logins.
const maxCredentials = 1 << 20

// readCredentials reads the file at path; one that isn't there holds none. With
// onlyRoot it has to be root's alone to change.
func readCredentials(path string, onlyRoot bool) (credentials, error) {
	if path == "" {
		return credentials{}, nil
	}
	c, err := parseFile(path, onlyRoot)
	if errors.Is(err, fs.ErrNotExist) {
		return credentials{}, nil
	}
	if err != nil {
		hint := "mend it, or log in anew: docker login REGISTRY"
		if onlyRoot {
			hint = fmt.Sprintf("as root: chown root:RUNNER-GROUP %s && chmod 0640 %[1]s; its form is that of Docker's config.json", path)
		}
		return credentials{}, term.Errorf(term.StagePreflight, path, "reading the credentials of registries: %w", err).WithHint("%s", hint)
	}
	return c, nil
}

func parseFile(path string, onlyRoot bool) (credentials, error) {
	f, err := openRegular(path)
	if err != nil {
		return credentials{}, err
	}
	defer f.Close()
	if onlyRoot {
		if err := checkRoots(f); err != nil {
			return credentials{}, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxCredentials+1))
	if err != nil {
		return credentials{}, err
	}
	return parseCredentials(data)
}

// parseCredentials never repeats a part of data in an error.
func parseCredentials(data []byte) (credentials, error) {
	var file struct {
		Auths map[string]struct {
			Auth, Username, Password, IdentityToken, RegistryToken string
		}
		CredsStore  string
		CredHelpers map[string]string
	}
	if len(data) > maxCredentials {
		return credentials{}, fmt.Errorf("it has more than %s", term.Bytes(maxCredentials))
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return credentials{}, errors.New("it is not JSON of the form {\"auths\": {\"REGISTRY\": {\"auth\": \"…\"}}}")
	}
	c := credentials{logins: map[string]login{}, helpers: map[string]bool{}, helper: file.CredsStore != ""}
	for key, a := range file.Auths {
		user, password := a.Username, a.Password
		if a.Auth != "" {
			var err error
			if user, password, err = basic(a.Auth); err != nil {
				return credentials{}, fmt.Errorf("the entry of %.80q: %w", key, err)
			}
		}
		registry := registryOf(key)
		l := login{user, secret.New(registry, password), secret.New(registry, a.IdentityToken), secret.New(registry, a.RegistryToken)}
		if user != "" || a.IdentityToken != "" || a.RegistryToken != "" {
			c.logins[registry] = l
		}
	}
	for key := range file.CredHelpers {
		c.helpers[registryOf(key)] = true
	}
	return c, nil
}

// basic takes "user:password" in Base64 apart.
func basic(encoded string) (user, password string, err error) {
	// Some tools leave the padding out.
	plain, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "=\x00"))
	user, password, ok := strings.Cut(strings.TrimRight(string(plain), "\x00"), ":")
	if err != nil || !ok {
		return "", "", errors.New("its auth is not USER:PASSWORD in Base64")
	}
	return user, password, nil
}

// registryOf gives the registry that a key of such a file is for: Docker writes
// some as URLs, and Docker Hub's in several ways.
func registryOf(key string) string {
	host := key
	if _, rest, ok := strings.Cut(host, "://"); ok {
		host = rest
	}
	host, _, _ = strings.Cut(host, "/")
	if host == "docker.io" || host == "registry-1.docker.io" {
		host = name.DefaultRegistry
	}
	return host
}

// Resolve gives the login for a registry, or none (authn.Keychain).
func (c credentials) Resolve(target authn.Resource) (authn.Authenticator, error) {
	l, ok := c.logins[target.RegistryStr()]
	if !ok {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{ // the registry's client needs them
		Username: l.user, Password: l.password.Reveal(), IdentityToken: l.identity.Reveal(), RegistryToken: l.token.Reveal(),
	}), nil
}

// helperHas tells whether it is a program that has the credentials of registry.
func (c credentials) helperHas(registry string) bool {
	_, have := c.logins[registry]
	return !have && cmp.Or(c.helper, c.helpers[registry])
}
