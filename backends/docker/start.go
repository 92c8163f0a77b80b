package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/guest/probe"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// Create has the engine make the container, and reads back what it made.
func (b *Backend) Create(ctx context.Context, s backends.Spec, h backends.Handle) error {
	p, err := b.newPlan(s)
	if err != nil {
		return backends.Answered(err)
	}
	if err := errors.Join(p.writeFiles(s), openDoors(s.Doors, h.UserID)); err != nil {
		return backends.Answered(err)
	}
	c, err := b.client()
	if err != nil {
		return backends.Answered(err)
	}
	defer c.Close()
	if p.config.Image, err = p.base.ensure(ctx, c); err != nil {
		return backends.Answered(err) // no container was asked for
	}
	made, err := c.ContainerCreate(ctx, &p.config, &p.host, nil, nil, containerName(s.Run))
	if err != nil {
		return answer(fmt.Errorf("creating container %q: %w", containerName(s.Run), err))
	}
	found, err := c.ContainerInspect(ctx, made.ID)
	if err != nil {
		return answer(fmt.Errorf("reading the container back: %w", err))
	}
	err = backends.Verify(backends.Given{Settings: settings(&p.config, &p.host)}, backends.Given{Settings: settings(found.Config, found.HostConfig)})
	if err != nil {
		return backends.Answered(fmt.Errorf("reading the container back: %w (the engine says %q)", err, made.Warnings))
	}
	return nil
}

func (b *Backend) client() (*client.Client, error) {
	socket, fault := socketOf(b.options)
	if fault != nil {
		return nil, errors.New(fault.Found)
	}
	return dial(socket)
}

// writeFiles writes what is bound file by file. The folders above are closed; the
// files are for all users of the guest.
func (p plan) writeFiles(s backends.Spec) error {
	for target, data := range p.files {
		path := filePath(s, target)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("writing the guest's files: %w", err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return fmt.Errorf("writing the guest's files: %w", err)
		}
		if err := os.Chmod(path, 0o644); err != nil { // whatever the umask
			return fmt.Errorf("writing the guest's files: %w", err)
		}
	}
	return nil
}

// openDoors lets the container's root, who has no right over others' files, to the
// doors. Root gives them to it. Anybody else can only open them to all; the folder
// above is closed, so that it takes the bind to get there, and the doors look at who
// calls.
func openDoors(dir string, root int) error {
	sockets, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading the doors: %w", err)
	}
	uid := os.Getuid()
	switch {
	case uid == root:
		return nil // they are its own
	case uid != 0:
		return openToAll(dir, sockets)
	}
	err = os.Chown(dir, root, root)
	for _, s := range sockets {
		err = errors.Join(err, os.Lchown(filepath.Join(dir, s.Name()), root, root))
	}
	return wrap("giving the doors to the guest's root", err)
}

func openToAll(dir string, sockets []os.DirEntry) error {
	err := os.Chmod(dir, 0o755)
	for _, s := range sockets {
		err = errors.Join(err, os.Chmod(filepath.Join(dir, s.Name()), 0o666))
	}
	return wrap("opening the doors to the guest's root", err)
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Start boots the guest.
func (b *Backend) Start(ctx context.Context, s backends.Spec, h backends.Handle) (backends.Guest, error) {
	p, err := b.newPlan(s)
	if err != nil {
		return nil, err
	}
	c, err := b.client()
	if err != nil {
		return nil, err
	}
	g := &guest{engine: b.looked(), spec: s, handle: h, plan: p, client: c, done: make(chan struct{})}
	if err := g.start(ctx, b); err != nil {
		c.Close()
		return nil, answer(err)
	}
	return g, nil
}

// guest is a started guest.
type guest struct {
	engine *engine
	spec   backends.Spec
	handle backends.Handle
	plan   plan
	client *client.Client
	id     string
	done   chan struct{}
	err    error
}

// start asks for the end before it asks for the beginning, so that none is missed.
func (g *guest) start(ctx context.Context, b *Backend) error {
	found, err := g.client.ContainerInspect(ctx, containerName(g.spec.Run))
	if err != nil {
		return fmt.Errorf("looking for the container: %w", err)
	}
	if !b.ours(found, g.spec.Run) {
		return fmt.Errorf("looking for the container: %q is not ours", containerName(g.spec.Run))
	}
	g.id, g.plan.config.Image = found.ID, found.Config.Image
	waiting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	exits, errs := g.client.ContainerWait(waiting, g.id, container.WaitConditionNextExit)
	if err := g.client.ContainerStart(ctx, g.id, container.StartOptions{}); err != nil {
		cancel()
		return fmt.Errorf("starting the container: %w", err)
	}
	go func() {
		defer close(g.done)
		defer g.client.Close()
		defer cancel()
		select {
		case exit := <-exits:
			g.err = g.exitError(waiting, exit)
		case err := <-errs:
			g.err = fmt.Errorf("waiting for the container's end: %w", err)
		}
	}()
	return nil
}

// errMemory is the reason of a guest of which the kernel ended a process for memory.
var errMemory = errors.New("memory limit exceeded")

func (g *guest) exitError(ctx context.Context, exit container.WaitResponse) error {
	if exit.Error != nil {
		return errors.New(exit.Error.Message)
	}
	if exit.StatusCode == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	ended := fmt.Errorf("process 1 of the guest ended with code %d", exit.StatusCode)
	if found, err := g.client.ContainerInspect(ctx, g.id); err == nil && found.State != nil && found.State.OOMKilled {
		return fmt.Errorf("%w: %w", errMemory, ended)
	}
	return ended
}

// Done is closed when the engine has seen the container end, or is gone itself.
func (g *guest) Done() <-chan struct{} { return g.done }

// Err tells why the guest ended.
func (g *guest) Err() error { return g.err }

// Errnos is what a guest without a network answers: gVisor's kernel or the host's.
func (g *guest) Errnos() probe.Errnos {
	if g.engine.runtime.gvisor {
		return probe.GVisorErrnos()
	}
	return containerErrnos()
}

// Held says how each limit is held.
func (g *guest) Held() map[string]string { return g.engine.held(g.spec.Limits) }

// HoldsTasks is true under runc: a limit of process 1 there would count what other
// bottles' agents, and a user of the host with the same id, run.
func (g *guest) HoldsTasks() bool { return !g.engine.runtime.gvisor }
