package docker

import (
	"context"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/docker/dockertest"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/testenv"
)

// guestOn gives a backend that has looked at the engine, and a guest to be made.
func guestOn(t *testing.T, e *dockertest.Engine, run string) (*Backend, backends.Spec, backends.Handle) {
	t.Helper()
	b := New(Options{Host: "unix://" + e.Socket, HostID: "thishost"}).Look(t.Context()).(*Backend)
	if b.engine.fault != nil {
		t.Fatalf("looking at the engine: %+v", b.engine.fault)
	}
	dir := testenv.ShortDir(t)
	s := backends.Spec{
		Run: run, Alias: netip.MustParseAddr("127.0.0.16"), Doors: filepath.Join(dir, "doors"), Disk: filepath.Join(dir, "disk"),
		Executable: "/bin/true", Isolation: policy.IsolationContainer, Limits: policy.Limits{}.WithDefaults(),
	}
	for _, d := range []string{s.Doors, s.Disk} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h, err := b.Handle(s)
	if err != nil {
		t.Fatal(err)
	}
	return b, s, h
}

func create(t *testing.T, b *Backend, s backends.Spec, h backends.Handle) {
	t.Helper()
	if err := b.Create(t.Context(), s, h); err != nil {
		t.Fatal(err)
	}
}

// removed fails the test unless Remove, by a backend that knows nothing, succeeds.
func removed(t *testing.T, b *Backend, h backends.Handle) {
	t.Helper()
	if err := New(b.options).Remove(t.Context(), h); err != nil {
		t.Error(err)
	}
}

// TestContainersAreMadeAndRemoved has one engine for all that leaves it alive.
func TestContainersAreMadeAndRemoved(t *testing.T) {
	engine := dockertest.Start(t, dockertest.Options{})
	for name, test := range map[string]func(*testing.T, *dockertest.Engine){
		"created and never started":      createdOnly,
		"a stranger has the name":        stranger,
		"another state folder's":         otherHost,
		"it lands after it was given up": lateCreate,
		"another engine":                 otherEngine,
		"the base image is somebody's":   foreignBase,
		"the engine takes its time":      frozen,
		"process 1 ends by itself":       endsByItself,
	} {
		t.Run(name, func(t *testing.T) { test(t, engine) })
	}
	if left := engine.Containers(t); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func createdOnly(t *testing.T, e *dockertest.Engine) {
	b, s, h := guestOn(t, e, "createonly")
	create(t, b, s, h)
	if !slices.Contains(e.Containers(t), "bb-createonly") {
		t.Fatal("there is no container")
	}
	removed(t, b, h)
	removed(t, b, h)
}

// makeOther has the engine make a container that is not the backend's.
func makeOther(t *testing.T, e *dockertest.Engine, b *Backend, s backends.Spec, name string, labels map[string]string) {
	t.Helper()
	p, err := b.newPlan(s)
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	image, err := p.base.ensure(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	e.Call(t, http.MethodPost, "/containers/create?name="+name, map[string]any{"Image": image, "Cmd": []string{"/x"}, "Labels": labels}, nil)
	t.Cleanup(func() { e.Call(t, http.MethodDelete, "/containers/"+name, nil, nil) })
}

func stranger(t *testing.T, e *dockertest.Engine) {
	b, s, h := guestOn(t, e, "strangerab")
	makeOther(t, e, b, s, "bb-strangerab", nil)
	err := b.Create(t.Context(), s, h)
	if err == nil || !strings.Contains(err.Error(), "is already in use") || !backends.IsAnswered(err) {
		t.Errorf("got %v", err)
	}
	removed(t, b, h)
	if !slices.Contains(e.Containers(t), "bb-strangerab") {
		t.Error("the stranger's container is gone")
	}
}

func otherHost(t *testing.T, e *dockertest.Engine) {
	b, s, h := guestOn(t, e, "otherhosta")
	makeOther(t, e, b, s, "bb-otherhosta", map[string]string{labelHost: "anotherone", labelRun: "otherhosta"})
	removed(t, b, h)
	if !slices.Contains(e.Containers(t), "bb-otherhosta") {
		t.Error("another state folder's container is gone")
	}
}

func lateCreate(t *testing.T, e *dockertest.Engine) {
	b, s, h := guestOn(t, e, "latecreate")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Create(ctx, s, h); err == nil {
		t.Error("it was made though nobody waited")
	}
	removed(t, b, h) // absent: what remains is the landing time, which is the journal's
	create(t, b, s, h)
	removed(t, b, h)
	if slices.Contains(e.Containers(t), "bb-latecreate") {
		t.Error("it is left")
	}
	if b.LandsIn() < 30*time.Second {
		t.Errorf("it may land only within %v", b.LandsIn())
	}
}

func otherEngine(t *testing.T, e *dockertest.Engine) {
	b, s, h := guestOn(t, e, "otherengin")
	create(t, b, s, h)
	h.Engine = "WXYZ"
	err := New(b.options).Remove(t.Context(), h)
	if err == nil || !strings.Contains(err.Error(), "the guest is with \"WXYZ\"") || len(term.Hints(err)) == 0 {
		t.Errorf("got %v", err)
	}
	h.Engine = b.engine.info.ID
	removed(t, b, h)
}

func foreignBase(t *testing.T, e *dockertest.Engine) {
	b, s, h := guestOn(t, e, "foreignbas")
	p, err := b.newPlan(s)
	if err != nil {
		t.Fatal(err)
	}
	other, err := newBase(nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := other.ensure(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	retag := func(from string) {
		e.Call(t, http.MethodPost, "/images/"+from+"/tag?repo=bot-bottle/base&tag="+strings.TrimPrefix(p.base.tag, "bot-bottle/base:"), nil, nil)
	}
	if _, err := p.base.ensure(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	good, err := c.ImageInspect(t.Context(), p.base.tag)
	if err != nil {
		t.Fatal(err)
	}
	retag(other.tag)
	if err := b.Create(t.Context(), s, h); err == nil || !strings.Contains(err.Error(), "remove it with docker rmi") {
		t.Errorf("got %v", err)
	}
	retag(good.ID)
	removed(t, b, h)
}

func frozen(t *testing.T, e *dockertest.Engine) {
	b, s, h := guestOn(t, e, "frozenabcd")
	create(t, b, s, h)
	if err := e.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := b.Start(ctx, s, h)
	if err == nil || backends.IsAnswered(err) {
		t.Errorf("starting: %v", err)
	}
	if err := New(b.options).Remove(ctx, h); err == nil || len(term.Hints(err)) == 0 {
		t.Errorf("removing: %v", err)
	}
	if err := e.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	removed(t, b, h)
}

func endsByItself(t *testing.T, e *dockertest.Engine) {
	b, s, h := guestOn(t, e, "endsitself")
	create(t, b, s, h)
	g, err := b.Start(t.Context(), s, h) // /bin/true, whose arguments don't matter to it
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-g.Done():
	case <-time.After(time.Minute):
		t.Fatal("it doesn't end")
	}
	if g.Err() != nil {
		t.Error(g.Err())
	}
	removed(t, b, h)
}

func TestEngineThatDiesBetweenCreateAndStartStillOwesTheContainer(t *testing.T) {
	engine := dockertest.Start(t, dockertest.Options{})
	b, s, h := guestOn(t, engine, "enginedies")
	create(t, b, s, h)
	engine.Kill(t)
	if _, err := b.Start(t.Context(), s, h); err == nil || backends.IsAnswered(err) {
		t.Errorf("starting: %v", err)
	}
	if err := New(b.options).Remove(t.Context(), h); err == nil || !strings.Contains(strings.Join(term.Hints(err), " "), "start the engine") {
		t.Errorf("removing: %v", err)
	}
	engine.Restart(t)
	if !slices.Contains(engine.Containers(t), "bb-enginedies") {
		t.Fatal("the container did not outlive the engine")
	}
	removed(t, b, h)
	if left := engine.Containers(t); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}
