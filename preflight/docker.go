package preflight

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
)

var (
	dockerMissing = Entry{"docker-missing", Fail, "There is no Docker Engine here.",
		[]Remedy{{"nixos", "virtualisation.docker.enable = true;"}, {"debian", "apt install docker.io, then {again}"}, {"", "install Docker Engine (version 20.10 or newer) on this machine"}}}
	dockerDenied = Entry{"docker-denied", Fail, "Docker's socket is there, and this user may not use it. Who may is as good as root on this host.",
		[]Remedy{{"nixos", "systemd.services.RUNNER.serviceConfig.SupplementaryGroups = [ \"docker\" ];, or users.users.{user}.extraGroups = [ \"docker\" ]; and {again}"}, {"", "usermod -aG docker {user}, and {again}"}}}
	dockerRemote = Entry{"docker-remote", Fail, "DOCKER_HOST names an engine of another machine, where the doors' sockets are not.",
		[]Remedy{{"", "take DOCKER_HOST out of the environment of the runner's service, or set it to unix:///var/run/docker.sock"}}}
	dockerStopped = Entry{"docker-stopped", Fail, "Docker's socket is there, and no engine answers.",
		[]Remedy{{"", "systemctl restart docker, and see `journalctl -u docker`"}}}
	dockerStrange = Entry{"docker-strange", Fail, "What answers at Docker's socket is not Docker Engine.",
		[]Remedy{{"", "see what listens: `ss -xlp | grep {path}`"}}}
)

// DockerSocket is where Docker Engine listens unless DOCKER_HOST says otherwise.
const DockerSocket = "/var/run/docker.sock"

// Docker asks whether Docker Engine answers, and is this machine's own. The socket
// is the one that DOCKER_HOST names, else standard.
func Docker(h Host, standard string) Check {
	socket, local := standard, true
	if named := h.Getenv("DOCKER_HOST"); named != "" {
		socket, local = strings.CutPrefix(named, "unix://")
	}
	return Check{ID: "docker", Subject: socket, Run: func(ctx context.Context) Finding {
		if !local {
			return h.Found(dockerRemote, "not a socket of this machine")
		}
		if _, err := os.Stat(socket); errors.Is(err, fs.ErrNotExist) {
			return h.Found(dockerMissing, "not there")
		}
		return h.ping(ctx, socket)
	}}
}

// ping asks for /_ping of Docker's Engine API, which needs no version.
func (h Host) ping(ctx context.Context, socket string) Finding {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", nil)
	if err != nil {
		return h.Found(dockerStrange, err.Error(), "{path}", socket)
	}
	response, err := transport.RoundTrip(request)
	switch {
	case ctx.Err() != nil:
		return h.Found(dockerStopped, fmt.Sprintf("no answer within %v", CutOff))
	case errors.Is(err, syscall.EACCES):
		return h.Found(dockerDenied, reason(err))
	case err != nil:
		return h.Found(dockerStopped, reason(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxVersion))
	version := response.Header.Get("Api-Version")
	switch {
	case ctx.Err() != nil:
		return h.Found(dockerStopped, fmt.Sprintf("no answer within %v", CutOff))
	case err != nil || response.StatusCode != http.StatusOK || string(body) != "OK" || version == "" || !printable(version):
		return h.Found(dockerStrange, fmt.Sprintf("answers status %d", response.StatusCode), "{path}", socket)
	}
	return Passed("Docker Engine API " + version)
}
