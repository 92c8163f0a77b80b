package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bot-bottle/action/backends/backendtest"
	"github.com/bot-bottle/action/backends/docker/dockertest"
	"github.com/bot-bottle/action/internal/testenv"
)

// runsc is our own binary as a runtime for an engine.
func runsc(t *testing.T, args ...string) map[string]dockertest.Runtime {
	t.Helper()
	link := filepath.Join(testenv.ShortDir(t), "runsc")
	if err := os.Symlink(testenv.Binary(t, binary), link); err != nil {
		t.Fatal(err)
	}
	return map[string]dockertest.Runtime{"runsc": {Path: link, Args: args}}
}

// bottleArguments are what a bottle needs of runsc.
var bottleArguments = []string{"--host-uds=open", "--directfs=false", "--network=none"}

// with lets the world's user use the engine, as one of its group may.
func (w *world) with(e *dockertest.Engine) *world {
	w.t.Helper()
	if w.asUser {
		w.must(os.Chown(e.Socket, w.uid, 0))
	}
	w.env = append(w.env, "DOCKER_HOST=unix://"+e.Socket)
	return w
}

// container writes a bottle that is content with the host's kernel, and gives the
// flags.
func (w *world) container() []string {
	w.t.Helper()
	w.write("bottles/container.md", "---\nisolation: container\n---\n")
	return []string{"--bottles-dir", filepath.Join(w.dir, "bottles"), "--bottle", "container"}
}

func (w *world) dockerKit(t *testing.T, e *dockertest.Engine, o backendtest.Options) {
	o.Backend = "docker"
	o.Command = func(ctx context.Context, args ...string) *exec.Cmd { return w.command(ctx, args...) }
	o.NothingLeft = func(t testing.TB) {
		w.nothingLeft()
		if left := e.Containers(t); len(left) != 0 {
			t.Errorf("containers are left: %q", left)
		}
	}
	backendtest.Run(t, o)
}

func TestDockerWithRuncPassesTheBackendKit(t *testing.T) {
	engine := dockertest.Start(t, dockertest.Options{})
	eachCaller(t, func(t *testing.T, w *world) {
		w.with(engine).dockerKit(t, engine, backendtest.Options{Flags: w.container(), NoRoot: "the agent would be root on the host's own kernel"})
	})
}

func TestDockerWithGVisorPassesTheBackendKit(t *testing.T) {
	engine := dockertest.Start(t, dockertest.Options{Runtimes: runsc(t, bottleArguments...)})
	eachCaller(t, func(t *testing.T, w *world) { w.with(engine).dockerKit(t, engine, backendtest.Options{}) })
}
