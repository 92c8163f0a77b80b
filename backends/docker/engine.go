package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/bot-bottle/action/preflight"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
)

// usualSocket is where an engine listens by itself; the other name of the same
// place is what the client library and most settings say.
const (
	usualSocket = "/run/docker.sock"
	usualHost   = "unix:///var/run/docker.sock"
)

// lookTime bounds Look, which is part of preflight.
const lookTime = preflight.CutOff

// oldestAPI is that of Docker Engine 20.10, the first with private control group
// namespaces.
const oldestAPI = "1.41"

// engine is what was found of the engine. Where fault is set nothing else is known.
type engine struct {
	fault   *preflight.Finding
	info    system.Info
	root    int // the host's user id of a container's root
	runtime ociRuntime
}

// ociRuntime is what runs the containers.
type ociRuntime struct {
	name    string
	path    string
	args    []string
	gvisor  bool
	unknown bool // the engine has none of this name
}

// socketOf gives the path of the engine's socket. The error is a finding: why host
// is not taken.
func socketOf(o Options) (string, *preflight.Finding) {
	host := o.Host
	if host == "" {
		host = usualHost
	}
	u, err := url.Parse(host)
	if err != nil || u.Scheme != "unix" || u.Host != "" || !filepath.IsAbs(u.Path) {
		f := bad(preflight.Fail, "unset DOCKER_HOST, or run bot-bottle on the engine's own host: a bottle is bound to this host's files and sockets",
			"DOCKER_HOST is %q, which is no socket of this host", host)
		return "", &f
	}
	if o.Runner && host != usualHost && filepath.Clean(u.Path) != usualSocket {
		f := bad(preflight.Fail, "unset DOCKER_HOST in the job, or let the engine listen on "+usualSocket,
			"DOCKER_HOST is %q; under a runner only the usual socket is taken, because the job can set that variable", host)
		return "", &f
	}
	return u.Path, nil
}

// dial gives a client for the engine behind the socket. Nothing is sent yet, and
// nothing is taken from the environment.
func dial(socket string) (*client.Client, error) {
	c, err := client.NewClientWithOpts(client.WithHost("unix://"+socket), client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fmt.Errorf("making a client for the engine at %q: %w", socket, err)
	}
	return c, nil
}

// look asks the engine.
func look(ctx context.Context, o Options) *engine {
	socket, fault := socketOf(o)
	if fault != nil {
		return &engine{fault: fault}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lookTime, fmt.Errorf("no answer within %v", lookTime))
	defer cancel()
	e, err := ask(ctx, socket, o)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		f := unreachable(socket, err)
		e.fault = &f
	}
	return e
}

func ask(ctx context.Context, socket string, o Options) (*engine, error) {
	e := &engine{}
	c, err := dial(socket)
	if err != nil {
		return e, err
	}
	defer c.Close()
	version, err := c.ServerVersion(ctx)
	if err != nil {
		return e, err
	}
	if slices.ContainsFunc(version.Components, func(c types.ComponentVersion) bool { return strings.Contains(c.Name, "Podman") }) {
		f := bad(preflight.Fail, "use the gvisor backend, which needs no engine, or Docker Engine", "%q is Podman's: it keeps other defaults than Docker's, which nobody has checked", socket)
		return &engine{fault: &f}, nil
	}
	if e.info, err = c.Info(ctx); err != nil {
		return e, err
	}
	e.root = remappedRoot(e.info)
	e.runtime = chooseRuntime(e.info, o.Runtime)
	e.fault = e.unfit(version.APIVersion)
	return e, nil
}

// unreachable says why nobody answers at the socket, and what to do.
func unreachable(socket string, err error) preflight.Finding {
	remedy := "see whether the engine works: docker info"
	var dead syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist) || notThere(socket):
		return bad(preflight.Fail, "install Docker Engine 20.10 or newer and start it (on Debian: apt-get install docker.io), or use the gvisor backend, which needs none",
			"there is no engine: %q does not exist", socket)
	case errors.Is(err, fs.ErrPermission):
		return bad(preflight.Fail, "add this user to the group of the socket (usually `docker`) and log in again; that makes it root on this host",
			"this user may not use %q", socket)
	case errors.As(err, &dead) && dead == syscall.ECONNREFUSED:
		remedy = "start the engine: systemctl start docker"
	}
	return bad(preflight.Fail, remedy, "the engine at %q does not answer: %v", socket, err)
}

func notThere(socket string) bool {
	_, err := os.Stat(socket)
	return errors.Is(err, fs.ErrNotExist)
}

// unfit says what of an engine that answers makes it unusable here.
func (e *engine) unfit(api string) *preflight.Finding {
	f := e.unfitFinding(api)
	if f.Status == preflight.OK {
		return nil
	}
	return &f
}

func (e *engine) unfitFinding(api string) preflight.Finding {
	has := func(option string) bool { return hasOption(e.info, option) }
	switch {
	case olderAPI(api, oldestAPI):
		return bad(preflight.Fail, "install Docker Engine 20.10 or newer", "the engine speaks version %s of its API, %s is needed", api, oldestAPI)
	case e.info.ID == "":
		return bad(preflight.Fail, "see what docker info prints", "the engine has no id")
	case e.info.OSType != "linux" || e.info.KernelVersion != kernel():
		return bad(preflight.Fail, "use an engine that runs on this host itself", "the engine runs in another machine: its kernel is %q", e.info.KernelVersion)
	case has("rootless"):
		return bad(preflight.Fail, "use the gvisor backend, which needs no root either, or the engine of root", "the engine is rootless: how it holds limits has not been verified")
	case has("selinux"):
		return bad(preflight.Fail, "use the gvisor backend", "the engine labels containers for SELinux, which keeps them from the doors")
	case !has("seccomp"):
		return bad(preflight.Fail, "use an engine and a kernel with seccomp", "the engine has no system call filter")
	}
	return ok("Docker Engine %s", e.info.ServerVersion)
}

// hasOption looks for one of the engine's security options, "name=X,…".
func hasOption(info system.Info, name string) bool {
	return slices.ContainsFunc(info.SecurityOptions, func(o string) bool {
		return o == "name="+name || strings.HasPrefix(o, "name="+name+",")
	})
}

// olderAPI compares versions "MAJOR.MINOR"; one that can't be read is old.
func olderAPI(version, least string) bool {
	a, okA := parseAPI(version)
	b, _ := parseAPI(least)
	return !okA || slices.Compare(a, b) < 0
}

func parseAPI(version string) ([]int, bool) {
	major, minor, _ := strings.Cut(version, ".")
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(minor)
	return []int{a, b}, errA == nil && errB == nil
}

// kernel is this host's, as uname(2) says it.
func kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// remapped ends the root folder of an engine that has userns-remap: the first user
// and group id on the host (daemon/daemon_unix.go of moby).
var remapped = regexp.MustCompile(`^([0-9]{1,10})\.([0-9]{1,10})$`)

// remappedRoot gives the host's id of a container's root: 0 but for userns-remap.
func remappedRoot(info system.Info) int {
	if !hasOption(info, "userns") {
		return 0
	}
	m := remapped.FindStringSubmatch(path.Base(info.DockerRootDir))
	if m == nil {
		return -1 // nobody: no call is taken then
	}
	id, _ := strconv.Atoi(m[1])
	return id
}

// names of runtimes that are taken by themselves, the strongest first. The first is
// the one that findings tell people to register.
var runtimeNames = []string{"runsc-bottle", "runsc", "runc"}

// chooseRuntime takes the wanted runtime, or else the first that there is.
func chooseRuntime(info system.Info, wanted string) ociRuntime {
	names := runtimeNames
	if wanted != "" {
		names = []string{wanted}
	}
	for _, name := range names {
		if r, ok := info.Runtimes[name]; ok {
			return ociRuntime{name: name, path: r.Path, args: r.Args, gvisor: isGVisor(r.Path, r.Type)}
		}
	}
	return ociRuntime{name: names[len(names)-1], unknown: true}
}

// isGVisor goes by the program, or the shim's type. That it is true is seen when
// the guest runs: its process is named so by runsc itself.
func isGVisor(program, shim string) bool {
	return strings.HasPrefix(path.Base(program), "runsc") || strings.Contains(shim, ".runsc.")
}

// neededArguments are those without which a guest can't reach its doors, and without
// which gVisor's own kernel would have the host's root's rights over files.
var neededArguments = map[string][]string{"host-uds": {"open", "all"}, "directfs": {"false"}}

// lacking gives the names of the needed arguments that the runtime is registered
// without. Those of a wrapper or a shim the engine doesn't show: there what the
// guest is given, and the proof, find out.
func (r ociRuntime) lacking() []string {
	if !r.gvisor || len(r.args) == 0 && path.Base(r.path) != "runsc" {
		return nil
	}
	var names []string
	for name, values := range neededArguments {
		if !slices.ContainsFunc(r.args, func(a string) bool {
			value, found := strings.CutPrefix(strings.TrimLeft(a, "-"), name+"=")
			return found && slices.Contains(values, value)
		}) {
			names = append(names, "--"+name+"="+values[0])
		}
	}
	slices.Sort(names)
	return names
}
