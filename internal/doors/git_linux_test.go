package doors_test

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/doors"
	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/doors/gitgate"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/sshtest"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/testenv"
)

// gitSidecar starts the sidecar of a git-gate that serves a repository of server.
func gitSidecar(t *testing.T, server *sshtest.Server) *world {
	t.Helper()
	w, o := newWorld(t)
	program, err := gitgate.FindGit()
	w.must(err)
	dir := w.path("mirrors")
	w.must(os.Mkdir(dir, 0o700))
	if os.Getuid() == 0 {
		w.must(os.Chown(dir, o.UID, o.GID))
	}
	o.Listeners = map[decision.Door]*net.UnixListener{decision.GitGate: o.Listeners[decision.GitGate]}
	o.Git = &doors.GitPlace{Dir: dir, Program: program, Ports: []uint16{server.Address.AddrPort().Port()}}
	w.start(o)
	c := config()
	remote := policy.GitRemote{Name: "widgets", URL: server.URL("widgets.git"), HostKey: server.HostKey, Push: []string{"refs/heads/bottle/run1"}}
	c.Git = &doors.GitConfig{Remotes: []doors.GitRemote{{GitRemote: remote, Key: secret.New("key", server.Key)}}}
	if _, err := w.sidecar.Configure(w.context(), c); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestTheGitGatesSidecarServesAndReachesNothingElse(t *testing.T) {
	server := sshtest.New(t)
	server.Repository("widgets.git", map[string]string{"README": "hello\n"})
	w := gitSidecar(t, server)
	if status := w.get("git-gate", "/widgets.git/info/refs?service=git-upload-pack"); status != 200 {
		t.Fatalf("a fetch got %d", status)
	}
	got := w.attempts()
	denied := func(tries map[string]string, errnos []string, names ...string) {
		t.Helper()
		for _, name := range names {
			if errno, ok := tries[name]; !ok || !slices.Contains(errnos, errno) {
				t.Errorf("%s gives %q", name, errno)
			}
		}
	}
	denied(got.Everyday, []string{"EACCES"}, "read", "read-self", "list", "create", "create-reading", "mkdir", "symlink")
	denied(got.Everyday, []string{"EPERM", "EACCES"}, "unix-socket", "netlink-socket", "listen-tcp")
	denied(got.Grave, []string{"EPERM"}, "trace", "read-memory", "mount", "chroot", "unshare", "setns", "bpf", "keyctl", "io-uring", "userfaultfd", "perf", "module", "open-handle")
	for name, errno := range got.Necessary {
		if errno != "" {
			t.Errorf("%s, which the door needs, gives %s", name, errno)
		}
	}
}

// What git is handed may take it over: it has no network to tell of that.
func TestWhatBecomesGitHasNoSockets(t *testing.T) {
	helper := testenv.Binary(t, "./internal/helper")
	out, err := testenv.AsUser(exec.Command(helper, doors.Verb, "git-program", helper, "attempt")).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got attempts
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for name, errno := range map[string]string{
		"unix-socket": got.Everyday["unix-socket"], "netlink-socket": got.Everyday["netlink-socket"], "listen-tcp": got.Everyday["listen-tcp"],
		"bind-udp": got.Everyday["bind-udp"], "tcp-socket": got.Necessary["tcp-socket"], "send-udp": got.Necessary["send-udp"],
	} {
		if errno != "EPERM" {
			t.Errorf("%s gives %q", name, errno)
		}
	}
	if errno := got.Everyday["read"]; errno != "" {
		t.Errorf("it can't do its work either: reading gives %s", errno)
	}
}

// The sidecar is asked, which is confined for it, and what it says is for a person.
func TestTheGitGatesSidecarLooksAtWorkflows(t *testing.T) {
	const ci = ".gitea/workflows/ci.yml"
	server := sshtest.New(t)
	server.Repository("widgets.git", map[string]string{ci: "on: push\njobs: { build: { runs-on: nixos } }\n"})
	w := gitSidecar(t, server)
	err := w.sidecar.CheckWorkflows(w.context(), "widgets", "")
	if err == nil || term.StageOf(err, "") != term.StagePreflight || !strings.Contains(err.Error(), ci) || !strings.Contains(strings.Join(term.Hints(err), "\n"), "host_workflows: ["+ci+"]") {
		t.Fatalf("of stage %q, with %q: %v", term.StageOf(err, ""), term.Hints(err), err)
	}
	server.Commit("widgets.git", "main", map[string]string{ci: "on: push\njobs: { build: { runs-on: ubuntu-latest } }\n"})
	if err := w.sidecar.CheckWorkflows(w.context(), "widgets", ""); err != nil {
		t.Errorf("after the workflow was changed: %v", err)
	}
}
