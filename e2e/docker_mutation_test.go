//go:build mutation

package e2e

import (
	"strings"
	"testing"

	"github.com/bot-bottle/action/backends/docker/dockertest"
)

// mutatedContainer runs argv in a container of an own engine, with the points
// switched off.
func mutatedContainer(t *testing.T, points string, argv ...string) result {
	t.Helper()
	engine := dockertest.Start(t, dockertest.Options{})
	w := newWorld(t, false, "mutation").with(engine)
	w.env = append(w.env, "BOT_BOTTLE_MUTATE="+points)
	return w.run(append(append([]string{"run", "--quiet", "--backend", "docker"}, w.container()...), append([]string{"--"}, argv...)...)...)
}

func TestMutationContainerWithTheHostsNetworkIsFoundBeforeTheProof(t *testing.T) {
	r := mutatedContainer(t, "guest-network", "echo", "the agent ran")
	refuses(t, r, 4, "HostNetwork:true")
}

func TestMutationContainerWithoutTheFilterMakesANamespace(t *testing.T) {
	refuses(t, mutatedContainer(t, "guest-syscalls", "true"), 4, "Seccomp:false")
	r := mutatedContainer(t, "guest-syscalls,given-unread,proof-negative", "python3", "-c", callsRefused)
	if r.code != 0 || !strings.Contains(r.stdout, "unshare 0 ") {
		t.Errorf("the attack failed: %s", r)
	}
}
