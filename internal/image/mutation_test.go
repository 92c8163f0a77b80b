//go:build mutation

package image

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bot-bottle/action/internal/mutation"
)

// With TLS not asked for, a registry has us ask a server of this host.
func TestMutationPlainHTTPLetsARegistryLeadElsewhere(t *testing.T) {
	var got atomic.Int64
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got.Add(1) }))
	defer inner.Close()
	registry := newWatched(t, func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		http.Redirect(rw, r, inner.URL+"/admin", http.StatusFound)
		return true
	})
	ref, _ := registry.push("1", build(t, []entry{file("a", "1")}))
	for _, off := range []bool{false, true} {
		if off {
			t.Setenv(mutation.Variable, string(mutation.ImagePlainHTTP))
		}
		if _, err := NewCache(filepath.Join(t.TempDir(), "images"), Options{}).FromRegistry(t.Context(), ref, Registries{}); err == nil {
			t.Error("an image was made of it")
		}
		if (got.Load() > 0) != off {
			t.Errorf("switched off %v, and the server was asked %d times", off, got.Load())
		}
	}
}
