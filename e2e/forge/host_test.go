package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// host is a machine with a runner that takes the jobs of one repository. /etc and
// the state folder are its own, by a mount namespace; all else is this machine's.
type host struct {
	t      *testing.T
	forge  *forgeServer
	repo   *repository
	dir    string
	uid    int  // the service's
	asUser bool // root gives the service away to that user
	runner *process
	starts int      // of the runner
	mounts []string // of the service, when it had just started
}

// anyone is the first of the ids that the tests started by root use for ordinary
// users, each host another. They belong to nobody.
const anyone = 1_998_000_000

var hosts atomic.Int64

// newHost makes a repository, acme/<name>, and a host for its jobs with a service
// that is an ordinary user's, or root's. It is stopped at the end of the test.
func newHost(t *testing.T, name string, asUser bool) *host {
	t.Helper()
	f := theForge(t)
	repo, err := f.newRepository(t.Context(), f.ada, "acme", name, false)
	must(t, err)
	h := &host{t: t, forge: f.forgeServer, repo: repo, dir: shortDir(t), uid: os.Getuid(), asUser: asUser && os.Getuid() == 0}
	if h.asUser {
		h.uid = anyone + os.Getpid()%10000*100 + int(hosts.Add(1))
	}
	for _, dir := range []string{"etc/bot-bottle", "lib/bot-bottle", "lib/bot-bottle-mirrors", "config", "state", "mirrors", "run", "tmp", "home/.local/state/bot-bottle", "work", "bin"} {
		must(t, os.MkdirAll(filepath.Join(h.dir, dir), 0o700))
	}
	for _, dir := range []string{"etc", "etc/bot-bottle", "lib", "config", "bin"} {
		must(t, os.Chmod(filepath.Join(h.dir, dir), 0o755))
	}
	must(t, os.Link(f.bottle, filepath.Join(h.dir, "bin/bot-bottle")))
	must(t, os.Link(f.runner, filepath.Join(h.dir, "bin/gitea-runner")))
	h.writePasswd()
	h.own("state", "run", "tmp", "home", "work")
	t.Cleanup(h.close)
	h.register()
	h.start()
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shortDir makes a folder with a short path, because that of a socket has only 108
// bytes (unix(7)). Everybody can pass through it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "bf")
	must(t, err)
	must(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("removing the host's folder: %v", err)
		}
	})
	return dir
}

// writePasswd puts the service's account, whose home is the host's, before what this
// machine has: the first entry of an id counts.
func (h *host) writePasswd() {
	h.t.Helper()
	b, err := os.ReadFile("/etc/passwd")
	must(h.t, err)
	if h.uid != 0 {
		b = fmt.Appendf(nil, "bottle-runner:x:%[1]d:%[1]d::%[2]s/home:/bin/sh\n%[3]s", h.uid, h.dir, b)
	}
	must(h.t, os.WriteFile(filepath.Join(h.dir, "etc/passwd"), b, 0o644))
}

// own gives the folders to the service's user.
func (h *host) own(dirs ...string) {
	h.t.Helper()
	for _, dir := range dirs {
		if !h.asUser {
			return
		}
		must(h.t, filepath.WalkDir(filepath.Join(h.dir, dir), func(path string, _ os.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, h.uid, h.uid))
		}))
	}
}

// configure writes a file below /etc/bot-bottle, which is the host's owner's.
func (h *host) configure(name, content string) {
	h.t.Helper()
	path := filepath.Join(h.dir, "config", name)
	must(h.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(h.t, os.WriteFile(path, []byte(content), 0o644))
}

// inside is what puts the host's own folders where the service sees them. Run by
// root, the service is a real ordinary user after that, and is told again to die with
// the tests, which the change of user makes the kernel forget (prctl(2)); run by
// anybody else, it is that user's again, in a user namespace.
func (h *host) inside() []string {
	state, become := "/var/lib/bot-bottle", ""
	flags := []string{"unshare", "--mount"}
	switch {
	case os.Getuid() != 0:
		state, flags = h.stateInHome(), append(flags, "--user", "--map-root-user")
		become = fmt.Sprintf("unshare --user --map-user=%d --map-group=%d -- ", os.Getuid(), os.Getgid())
	case h.asUser:
		state = h.stateInHome()
		become = fmt.Sprintf("setpriv --pdeathsig KILL --reuid %[1]d --regid %[1]d --clear-groups -- ", h.uid)
	}
	script := fmt.Sprintf("mount -t overlay -o lowerdir=%[1]s/etc:/etc none /etc && mount -t overlay -o lowerdir=%[1]s/lib:/var/lib none /var/lib && "+
		"mount --bind %[1]s/config /etc/bot-bottle && mount --bind %[1]s/state %[2]s && mount --bind %[1]s/mirrors /var/lib/bot-bottle-mirrors && exec %[3]s\"$0\" \"$@\"", h.dir, state, become)
	return append(flags, "sh", "-c", script)
}

func (h *host) stateInHome() string { return filepath.Join(h.dir, "home/.local/state/bot-bottle") }

// environment is the service's, which its jobs inherit.
func (h *host) environment() []string {
	return []string{
		"PATH=" + filepath.Join(h.dir, "bin") + ":" + os.Getenv("PATH"), "HOME=" + filepath.Join(h.dir, "home"),
		"TMPDIR=" + filepath.Join(h.dir, "tmp"), "XDG_RUNTIME_DIR=" + filepath.Join(h.dir, "run"), "LANG=C.UTF-8",
		"GIT_CONFIG_NOSYSTEM=1",
	}
}

// register makes the runner known to the forge, for the jobs of the repository
// alone.
func (h *host) register() {
	h.t.Helper()
	var made struct{ Token string }
	must(h.t, h.repo.as.post(h.t.Context(), h.repo.path("/actions/runners/registration-token"), nil, &made))
	// A YAML file may be JSON. It takes jobs and tells of them as soon as it can.
	config, err := json.Marshal(map[string]any{
		"log": map[string]any{"level": "info"},
		"runner": map[string]any{
			"file": filepath.Join(h.dir, "home/.runner"), "capacity": 1, "labels": []string{"nixos:host"},
			"fetch_interval": "200ms", "fetch_interval_max": "1s", "log_report_interval": "200ms", "log_report_max_latency": "100ms", "state_report_interval": "200ms",
		},
		"cache": map[string]any{"enabled": false},
		"host":  map[string]any{"workdir_parent": filepath.Join(h.dir, "work")},
	})
	must(h.t, err)
	h.write("home/config.yaml", string(config))
	_, err = output(h.t.Context(), h.service(h.t.Context(), "register", "--no-interactive", "--instance", h.forge.url, "--token", made.Token, "--name", h.repo.name))
	must(h.t, err)
}

// write makes a file of the service's user.
func (h *host) write(name, content string) {
	h.t.Helper()
	must(h.t, os.WriteFile(filepath.Join(h.dir, name), []byte(content), 0o600))
	h.own(name)
}

// service is the runner's binary with args, on the host.
func (h *host) service(ctx context.Context, args ...string) *exec.Cmd {
	argv := append(h.inside(), filepath.Join(h.dir, "bin/gitea-runner"), "--config", filepath.Join(h.dir, "home/config.yaml"))
	argv = append(argv, args...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = h.environment(), filepath.Join(h.dir, "home")
	return cmd
}

// start starts the runner. One that was started before must have ended.
func (h *host) start() {
	h.t.Helper()
	h.starts++
	log := filepath.Join(h.dir, fmt.Sprintf("runner-%d.log", h.starts))
	var err error
	h.runner, err = launch(h.service(context.Background(), "daemon"), log)
	must(h.t, err)
	must(h.t, eventually(h.t.Context(), "the runner has come up", func() (bool, error) {
		if h.runner.ended() {
			return false, fmt.Errorf("the runner ended:\n%s", h.runner.tail())
		}
		return strings.Contains(h.runner.tail(), "declare successfully"), nil
	}))
	h.mounts = h.mounted()
}

// mounted lists the mounts that the service sees.
func (h *host) mounted() []string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/mounts", h.runner.cmd.Process.Pid))
	return strings.Split(string(b), "\n")
}

// close stops the runner. Nothing may be running on the host after that; what a
// failed test has left is ended by its id.
func (h *host) close() {
	if h.runner != nil {
		h.runner.stop()
		if h.t.Failed() {
			h.t.Logf("the runner of %s said:\n%s", h.repo.name, h.runner.tail())
		}
	}
	if !h.t.Failed() {
		err := eventually(context.Background(), "no process is left", func() (bool, error) { return len(processes(h.dir)) == 0, nil })
		if err == nil {
			return
		}
		h.t.Error(err)
	}
	for _, line := range processes(h.dir) {
		h.t.Logf("ending %s", line)
		syscall.Kill(id(line), syscall.SIGKILL)
	}
}
