//go:build mutation

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bot-bottle/action/internal/mutation"
)

// mutate switches the points off for everything that the world starts.
func (w *world) mutate(points ...mutation.Point) {
	var names []string
	for _, p := range points {
		names = append(names, string(p))
	}
	w.env = []string{"BOT_BOTTLE_MUTATE=" + strings.Join(names, ",")}
}

// A service of this host that no route lists gets what the agent sends it only
// where the door allows every host and dials every address.
func TestMutationEgressAllowAll(t *testing.T) {
	var mu sync.Mutex
	var got []string
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.URL.Path)
	}))
	defer upstream.Close()
	w := newWorld(t, true, "mutation")
	for i, c := range []struct {
		points []mutation.Point
		leaks  bool
	}{
		{nil, false},
		{[]mutation.Point{mutation.EgressAllowAll}, false},
		{[]mutation.Point{mutation.EgressAddresses}, false},
		{[]mutation.Point{mutation.EgressAllowAll, mutation.EgressAddresses}, true},
	} {
		w.mutate(c.points...)
		secret := fmt.Sprintf("/secret-%d", i)
		r := w.run("run", "--quiet", "--", "sh", "-c", `curl -sS --noproxy '' -x "$http_proxy" `+upstream.URL+secret)
		mu.Lock()
		leaked := len(got) > 0 && got[len(got)-1] == secret
		mu.Unlock()
		if r.code != 0 || leaked != c.leaks {
			t.Errorf("with %v off: leaked %v, wanted %v: %s", c.points, leaked, c.leaks, r)
		}
	}
}

// With the judging of paths off, the agent leaves a repository in the checkout,
// whose config names a program that the next git command there runs on the host.
func TestMutationPatchAnyPath(t *testing.T) {
	w := newWorld(t, true, "mutation")
	c := w.checkout(map[string]string{"a.txt": "one\n"})
	program, sprung := w.trap()
	attack := lyingGit(newFilePatch("inner/.git/config", "100644", "[core]\n\trepositoryformatversion = 0\n\tfsmonitor = "+program+"\n") +
		newFilePatch("inner/.git/objects/keep", "100644", "x\n") + newFilePatch("inner/.git/refs/keep", "100644", "x\n") +
		newFilePatch("inner/.git/HEAD", "100644", "ref: refs/heads/x\n"))
	refuses(t, c.work("held", attack, "--root"), 1, `"inner/.git/config"`, "(git-folder)")
	w.mutate(mutation.PatchAnyPath)
	if r := c.work("through", attack, "--root"); r.code != 0 {
		t.Fatal(r)
	}
	if r := w.run("apply", "through"); r.code != 0 {
		t.Fatal(r)
	}
	if c.git("-C", "inner", "status"); sprung() == "" {
		t.Error("the attack does not succeed with the defence off, so that something else holds it")
	}
}

// With the cleaning of output off, the agent gives orders to the runner and to the
// terminal.
func TestMutationOutputRaw(t *testing.T) {
	w := newWorld(t, true, "mutation")
	const orders = "::add-path::/tmp/evil\n##[set-env name=X]y\n\x1b]0;title\a\xff\n"
	for _, through := range []bool{false, true} {
		if through {
			w.mutate(mutation.OutputRaw)
		}
		r := w.run("run", "--quiet", "--", "printf", `::add-path::/tmp/evil\n##[set-env name=X]y\n\033]0;title\007\377\n`)
		if r.code != 0 || (r.stdout == orders) != through {
			t.Errorf("the orders got through %v, wanted %v: exit code %d, %q", r.stdout == orders, through, r.code, r.stdout)
		}
	}
}

// With the routes left open, a program of root's that git is taken for asks the
// upstream after the agent's end.
func TestMutationRoutesStayOpen(t *testing.T) {
	for _, off := range []bool{false, true} {
		w := newWorld(t, true, "mutation")
		if off {
			w.mutate(mutation.RoutesStayOpen)
		}
		asked, r := w.askedByGit(t)
		if want := map[bool][]string{false: {"/during"}, true: {"/during", "/after"}}[off]; r.code != 0 || len(asked) < len(want) || !slices.Equal(asked[:len(want)], want) || !off && len(asked) > 1 {
			t.Errorf("switched off %v, and the upstream was asked for %q: %s", off, asked, r)
		}
	}
}
