package forge

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// world is what all tests of a process share: the forge, its accounts, this action
// as bot-bottle/action there, and the two programs that a host needs.
type world struct {
	*forgeServer
	ada, rob, bot  *client
	bottle, runner string // paths
}

// shared is made by the first test that needs it and ended after the last.
var shared struct {
	once  sync.Once
	dir   string
	world *world
	err   error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.world != nil {
		shared.world.process.stop()
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// theForge gives it, and shows what Gitea said where the test fails.
func theForge(t *testing.T) *world {
	t.Helper()
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("/tmp", "bbforge"); shared.err == nil {
			shared.world, shared.err = newWorld(t)
		}
	})
	must(t, shared.err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Gitea said:\n%s", shared.world.process.tail())
		}
	})
	return shared.world
}

func newWorld(t *testing.T) (*world, error) {
	t.Helper()
	watch := stopwatch{t, time.Now()}
	w := &world{bottle: filepath.Join(shared.dir, "bot-bottle"), runner: filepath.Join(shared.dir, "gitea-runner")}
	root, err := repositoryRoot()
	if err != nil {
		return nil, err
	}
	if err := w.build(root); err != nil {
		return nil, err
	}
	watch.lap("building")
	ctx := context.Background() // it is there for longer than the test that needs it first
	if w.forgeServer, err = startGitea(ctx, shared.dir); err != nil {
		return nil, err
	}
	watch.lap("starting Gitea")
	err = w.furnish(ctx, root)
	watch.lap("accounts and this action's repository")
	if err != nil {
		w.process.stop()
		return nil, fmt.Errorf("%w\n%s", err, w.process.tail())
	}
	return w, nil
}

// stopwatch says what took how long.
type stopwatch struct {
	t    *testing.T
	from time.Time
}

func (s *stopwatch) lap(what string) {
	s.t.Helper()
	s.t.Logf("%s: %v", what, time.Since(s.from).Round(time.Millisecond))
	s.from = time.Now()
}

// build makes the programs of a host.
func (w *world) build(root string) error {
	if err := buildBottle(root, w.bottle); err != nil {
		return err
	}
	installed, err := actRunner.installed()
	if err != nil {
		return err
	}
	return copyFile(filepath.Join(installed, actRunner.program()), w.runner)
}

// furnish makes accounts, organisations and the action's repository, tagged v1 as
// a release is.
func (w *world) furnish(ctx context.Context, root string) (err error) {
	if err := w.populate(ctx); err != nil {
		return err
	}
	for name, c := range map[string]**client{"ada": &w.ada, "rob": &w.rob, "bottle": &w.bot} {
		if *c, err = w.login(ctx, name); err != nil {
			return err
		}
	}
	for _, name := range []string{"acme", "bot-bottle"} {
		if err := w.ada.newOrganisation(ctx, name); err != nil {
			return err
		}
	}
	action, err := w.newRepository(ctx, w.ada, "bot-bottle", "action", true)
	if err != nil {
		return err
	}
	return action.pushTree(ctx, root, "v1")
}
