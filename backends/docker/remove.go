package docker

import (
	"context"
	"time"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/term"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// Remove makes the container of the run absent and sees it and its processes gone. A
// container of that name without our labels is somebody else's: it is left alone,
// and so there is none of ours.
func (b *Backend) Remove(ctx context.Context, h backends.Handle) error {
	socket, fault := socketOf(b.options)
	if fault != nil {
		return owed("%s", fault.Found).WithHint("%s", fault.Remedy)
	}
	c, err := dial(socket)
	if err != nil {
		return owed("%w", err)
	}
	defer c.Close()
	if err := sameEngine(ctx, c, h); err != nil {
		return err
	}
	found, err := c.ContainerInspect(ctx, containerName(h.Run))
	switch {
	case cerrdefs.IsNotFound(err):
		return nil
	case err != nil:
		return owed("looking for %q: %w", containerName(h.Run), err).WithHint("start the engine, then run bot-bottle reap")
	case !b.ours(found, h.Run):
		return nil
	}
	return remove(ctx, c, found)
}

func owed(format string, args ...any) *term.Error {
	return term.Errorf(term.StageSettle, "docker", "removing the guest: "+format, args...)
}

// sameEngine refuses to look for a container where it never was.
func sameEngine(ctx context.Context, c *client.Client, h backends.Handle) error {
	info, err := c.Info(ctx)
	if err != nil {
		return owed("asking the engine: %w", err).WithHint("start the engine, then run bot-bottle reap")
	}
	if info.ID != h.Engine {
		return owed("this is engine %q, the guest is with %q", info.ID, h.Engine).
			WithHint("set DOCKER_HOST as it was for the run, then run bot-bottle reap")
	}
	return nil
}

// ours tells by its labels whether a container is the run's.
func (b *Backend) ours(found container.InspectResponse, run string) bool {
	if found.ContainerJSONBase == nil || found.Config == nil {
		return false
	}
	l := found.Config.Labels
	return l[labelHost] == b.options.HostID && l[labelRun] == run
}

// remove ends and removes the container by its id, which no other will have.
func remove(ctx context.Context, c *client.Client, found container.InspectResponse) error {
	alive := func() bool { return false }
	if found.State != nil && found.State.Pid > 0 {
		alive = watch(found.State.Pid)
	}
	err := c.ContainerRemove(ctx, found.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !cerrdefs.IsNotFound(err) && !cerrdefs.IsConflict(err) { // a conflict: it is being removed already
		return owed("%w", err).WithHint("see what keeps it: docker rm --force %s", found.ID[:12])
	}
	return awaitGone(ctx, c, found.ID, alive)
}

// pause is between two looks for a container that is being removed. The engine has
// no event that comes after everything is gone.
const pause = 20 * time.Millisecond

func awaitGone(ctx context.Context, c *client.Client, id string, alive func() bool) error {
	for {
		_, err := c.ContainerInspect(ctx, id)
		if cerrdefs.IsNotFound(err) && !alive() {
			return nil
		}
		if err != nil && !cerrdefs.IsNotFound(err) {
			return owed("looking whether it is gone: %w", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return owed("it is still there: %w", context.Cause(ctx)).WithHint("see what keeps it: docker rm --force %s", id)
		}
	}
}

// answer marks err where the engine has answered, so that nothing is under way there.
func answer(err error) error {
	if err == nil || client.IsErrConnectionFailed(err) || !hasStatus(err) {
		return err
	}
	return backends.Answered(err)
}

// hasStatus tells whether err was made from the engine's own answer.
func hasStatus(err error) bool {
	for _, is := range []func(error) bool{
		cerrdefs.IsNotFound, cerrdefs.IsConflict, cerrdefs.IsInvalidArgument, cerrdefs.IsAlreadyExists, cerrdefs.IsPermissionDenied,
		cerrdefs.IsUnauthorized, cerrdefs.IsInternal, cerrdefs.IsNotModified, cerrdefs.IsNotImplemented, cerrdefs.IsUnavailable,
	} {
		if is(err) {
			return true
		}
	}
	return false
}
