package image

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/term"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// private lets in who has the login.
func private(t *testing.T, user, password string) *watched {
	return newWatched(t, func(rw http.ResponseWriter, r *http.Request) bool {
		if u, p, ok := r.BasicAuth(); ok && u == user && p == password {
			return false
		}
		rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		rw.WriteHeader(http.StatusUnauthorized)
		return true
	})
}

func TestALoginIsTakenFromTheNamedFileAlone(t *testing.T) {
	w := private(t, "reader", "pa:ss")
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good", `{"auths":{"`+w.host+`":{"auth":"cmVhZGVyOnBhOnNz"}}}`)
	pushing, err := readCredentials(good, false)
	if err != nil {
		t.Fatal(err)
	}
	ref, digest := w.push("1", build(t, []entry{file("a", "1")}), remote.WithAuthFromKeychain(pushing))
	lease, err := NewCache(t.TempDir(), Options{}).FromRegistry(t.Context(), ref, Registries{Credentials: good})
	if err != nil || lease.Manifest != digest {
		t.Fatal(lease, err)
	}
	lease.Release()
	// What Docker's own tools would find counts for nothing.
	t.Setenv("DOCKER_CONFIG", dir)
	write("config.json", `{"auths":{"`+w.host+`":{"auth":"cmVhZGVyOnBhOnNz"}}}`)
	for what, c := range map[string]struct{ file, want, hint string }{
		"none":            {"", "401", "the registry wants a login"},
		"no file":         {filepath.Join(dir, "none"), "401", "the registry wants a login"},
		"another's":       {write("other", `{"auths":{"other.example":{"auth":"cmVhZGVyOnBhOnNz"}}}`), "401", "wants a login"},
		"a wrong one":     {write("wrong", `{"auths":{"`+w.host+`":{"username":"reader","password":"no"}}}`), "401", "wants a login"},
		"a program's":     {write("store", `{"auths":{},"credsStore":"desktop"}`), "401", "kept by a program"},
		"one program's":   {write("helper", `{"credHelpers":{"`+w.host+`":"x"}}`), "401", "kept by a program"},
		"no JSON":         {write("bad", `{"auths":`), "it is not JSON", "docker login"},
		"no login in it":  {write("odd", `{"auths":{"x":{"auth":"c2VjcmV0"}}}`), "not USER:PASSWORD", "docker login"},
		"a folder":        {dir, "not a regular file", "docker login"},
		"too large a one": {write("large", strings.Repeat(" ", maxCredentials+1)), "more than 1 MiB", "docker login"},
	} {
		err := failing(t, t.Context(), ref, Registries{Credentials: c.file}, c.want)
		if hints := strings.Join(term.Hints(err), "\n"); !strings.Contains(hints, c.hint) {
			t.Errorf("%s: the hints are %q", what, hints)
		}
		if strings.Contains(fmt.Sprint(err), "c2VjcmV0") || strings.Contains(fmt.Sprint(err), "pa:ss") {
			t.Errorf("%s: the error tells the login: %v", what, err)
		}
	}
}

func TestUnderARunnerTheFileIsRootsAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registries.json")
	if err := os.WriteFile(path, []byte(`{}`), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := readCredentials(path, true); err == nil || !strings.Contains(err.Error(), "others than root can change") || !strings.Contains(strings.Join(term.Hints(err), ""), "chown root:") {
		t.Errorf("got %v", err)
	}
	if os.Getuid() != 0 {
		return // a file of root's can't be made
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := readCredentials(path, true); err != nil {
		t.Error(err)
	}
}

func TestKeysOfLoginsNameTheirRegistry(t *testing.T) {
	for key, want := range map[string]string{
		"ghcr.io": "ghcr.io", "https://ghcr.io": "ghcr.io", "https://index.docker.io/v1/": "index.docker.io", "docker.io": "index.docker.io",
		"registry-1.docker.io": "index.docker.io", "localhost:5000": "localhost:5000", "http://10.0.0.1:5000/v2/": "10.0.0.1:5000", "quay.io/team": "quay.io",
	} {
		if got := registryOf(key); got != want {
			t.Errorf("%q is %q, not %q", key, got, want)
		}
	}
}

func FuzzCredentials(f *testing.F) {
	f.Add([]byte(`{"auths":{"ghcr.io":{"auth":"YTpi"},"x":{"identitytoken":"t"}},"credsStore":"s","credHelpers":{"y":"z"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCredentials(data)
		if err != nil {
			return
		}
		for host := range c.logins {
			if strings.Contains(host, "/") {
				t.Errorf("%q is no registry", host)
			}
		}
	})
}
