package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/action/internal/forge/forgetest"
	"github.com/bot-bottle/action/internal/sshtest"
	"github.com/bot-bottle/action/internal/testenv"
)

// keyWorld is a runner's host whose bottle "dev" may push to acme/widgets, with a key
// that the forge makes for each run, and an SSH server that lets in who has one.
type keyWorld struct {
	*runnerHost
	forge  *forgetest.KeyForge
	server *sshtest.Server
}

func newKeyWorld(t *testing.T, tags ...string) *keyWorld {
	t.Helper()
	if os.Getuid() != 0 {
		testenv.Skip(t, "the host's file of credentials has to be root's")
	}
	w := &keyWorld{runnerHost: newRunnerHost(t, false, tags...), forge: forgetest.NewKeyForge(t, time.Now()), server: sshtest.New(t)}
	w.forge.Add(7, "acme/widgets")
	w.must(os.Mkdir(w.server.Dir+"/acme", 0o755))
	w.server.Repository("acme/widgets.git", map[string]string{"README": "hello\n"})
	w.server.Allow(func(key string) bool {
		return slices.ContainsFunc(w.forge.Held(7), func(k forgetest.Key) bool { return strings.HasPrefix(k.Public, key) && !k.ReadOnly })
	})
	token := w.write("token", forgetest.Credential+"\n")
	w.write("etc/bot-bottle/config.yaml", fmt.Sprintf("forges: [{url: %q, token: %q}]\n", w.forge.URL, "file:"+token))
	w.hostBottle("dev", fmt.Sprintf("for: {repositories: [acme/widgets]}\ngit-gate:\n  user: {name: a, email: a@b}\n  repos:\n    widgets: {url: %q, host_key: %q, key: {provider: gitea, server: %q}}",
		w.server.URL("acme/widgets.git"), w.server.HostKey, w.forge.URL))
	return w
}

// inputs are of a step that pushes, and then does more.
func (w *keyWorld) inputs(more string) map[string]string {
	return map[string]string{"bottle": "dev", "command": "set -e; git clone -q " + w.server.URL("acme/widgets.git") + " c; cd c; echo x > x; git add x; git commit -qm x\n" +
		"git push -q origin HEAD:$BOT_BOTTLE_BRANCH\n" + more}
}

func (w *keyWorld) pushed() string {
	return sshtest.Run(w.t, w.server.Dir+"/acme/widgets.git", "for-each-ref", "refs/heads/bottle/")
}

func TestAKeyLivesAsLongAsItsRun(t *testing.T) {
	w := newKeyWorld(t)
	r := w.step("one", w.inputs("echo pushed")).do("main")
	if r.code != 0 || !strings.Contains(r.stdout, "pushed") || w.pushed() == "" {
		t.Fatal(r)
	}
	if keys := w.forge.Held(7); len(keys) != 0 {
		t.Errorf("left: %+v", keys)
	}
	if strings.Contains(r.String(), forgetest.Credential) || strings.Contains(r.String(), "PRIVATE KEY") {
		t.Errorf("a credential is in the log: %s", r)
	}
	w.nothingLeft()
}

func TestAKeyOfAKilledRunIsRemovedByPost(t *testing.T) {
	w := newKeyWorld(t)
	s := w.step("one", w.inputs("echo up; sleep 60"))
	cmd := s.command(t.Context(), "main")
	s.await(cmd, "up\n", func() {
		if keys := w.forge.Held(7); len(keys) != 1 || !strings.HasPrefix(keys[0].Title, "bot-bottle/") {
			t.Errorf("during the job: %+v", keys)
		}
		w.killSupervisor(cmd)
	})
	if r := s.do("post"); r.code != 0 {
		t.Error(r)
	}
	if keys := w.forge.Held(7); len(keys) != 0 {
		t.Errorf("left: %+v", keys)
	}
	w.nothingLeft()
}

func TestAKeyThatCantBeRemovedIsOwed(t *testing.T) {
	w := newKeyWorld(t)
	deletions := func(r *http.Request) (forgetest.Answer, bool) {
		return forgetest.Answer{Status: 503, Body: "down"}, r.Method == http.MethodDelete
	}
	w.forge.SetFault(deletions)
	if r := w.step("one", w.inputs("true")).do("main"); r.code != 7 || !strings.Contains(r.stdout, "removing deploy key") {
		t.Error(r)
	}
	if len(w.forge.Held(7)) != 1 {
		t.Error("the key is gone, though the forge did not say so")
	}
	w.forge.SetFault(nil)
	if r := w.step("two", map[string]string{"command": "true"}).do("main"); r.code != 0 {
		t.Error(r)
	}
	if keys := w.forge.Held(7); len(keys) != 0 {
		t.Errorf("the next job left: %+v", keys)
	}
	w.nothingLeft()
}

func TestWithoutAKeyNothingIsStarted(t *testing.T) {
	w := newKeyWorld(t)
	w.forge.SetAdmin(false)
	if r := w.step("one", w.inputs("true")).do("main"); r.code != 3 || !strings.Contains(r.stdout, "administer") {
		t.Error(r)
	}
	w.forge.SetAdmin(true)
	w.write("etc/bot-bottle/config.yaml", "forges: []\n")
	if r := w.step("two", w.inputs("true")).do("main"); r.code != 3 || !strings.Contains(r.stdout, "the host has no credential for it") {
		t.Error(r)
	}
	if w.pushed() != "" || len(w.forge.Held(7)) != 0 {
		t.Error("something was pushed, or a key made")
	}
	w.nothingLeft()
}

// A host whose ledger is lost can't say what was its own: what has expired goes all the
// same, from any host, and nothing else does.
func TestSweepTakesWhatALostHostLeftAndNothingElse(t *testing.T) {
	w := newKeyWorld(t)
	key := func(title string) int64 {
		signer, _ := sshtest.NewSigner(t)
		return w.forge.Put(7, title, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), true)
	}
	past, future := w.forge.Now().Add(-time.Hour).Unix(), w.forge.Now().Add(time.Hour).Unix()
	lost := key(fmt.Sprintf("bot-bottle/abcdefgh23/abcdefgh23/%d", past))
	key(fmt.Sprintf("bot-bottle/abcdefgh23/abcdefgh24/%d", future)) // a live one, or forged
	key(fmt.Sprintf("bot-bottle/../x/%d", past))
	key("somebody's own")
	sweep := func(more ...string) string {
		t.Helper()
		out, err := w.verb(nil, append([]string{"sweep", "--server", w.forge.URL, "--repository", "acme/widgets"}, more...)...)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return out
	}
	if out := sweep("--dry-run"); !strings.Contains(out, "would go") || len(w.forge.Held(7)) != 4 {
		t.Errorf("a dry run: %s", out)
	}
	if out := sweep(); !strings.Contains(out, "removed") {
		t.Error(out)
	}
	left := w.forge.Held(7)
	if len(left) != 3 || slices.ContainsFunc(left, func(k forgetest.Key) bool { return k.ID == lost }) {
		t.Errorf("left: %+v", left)
	}
	if out := sweep(); !strings.Contains(out, "nothing to sweep") {
		t.Error(out)
	}
}

func TestSweepGoesOverAllOfAnOwners(t *testing.T) {
	w := newKeyWorld(t)
	w.forge.AddOwner("acme", true)
	w.forge.Add(8, "acme/gadgets")
	w.forge.Add(9, "acme/stranger")
	w.forge.SetStranger(9)
	past := w.forge.Now().Add(-time.Hour).Unix()
	for _, repository := range []int64{7, 8, 9} {
		signer, _ := sshtest.NewSigner(t)
		w.forge.Put(repository, fmt.Sprintf("bot-bottle/abcdefgh23/abcdefgh23/%d", past), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), true)
	}
	out, err := w.verb(nil, "sweep", "--server", w.forge.URL, "--owner", "acme")
	if err != nil || strings.Count(out, "removed") != 2 || !strings.Contains(out, "skipped  acme/stranger") {
		t.Errorf("%v: %s", err, out)
	}
	if len(w.forge.Held(7)) != 0 || len(w.forge.Held(8)) != 0 || len(w.forge.Held(9)) != 1 {
		t.Errorf("left: %v %v %v", w.forge.Held(7), w.forge.Held(8), w.forge.Held(9))
	}
	out, err = w.verb(nil, "sweep", "--server", w.forge.URL, "--owner", "nobody")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 || !strings.Contains(out, `"nobody"`) {
		t.Errorf("an owner who isn't there: %v: %s", err, out)
	}
}

// verb runs the binary as root on the host, with more variables.
func (w *keyWorld) verb(env []string, args ...string) (string, error) {
	script, flags := w.namespace()
	cmd := exec.CommandContext(w.t.Context(), "unshare", append(append(flags, "sh", "-c", script, w.bin), args...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "CI=true"}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// killSupervisor kills the action's main process as a power cut would: node, and the
// binary that it started.
func (w *keyWorld) killSupervisor(cmd *exec.Cmd) {
	w.t.Helper()
	for _, pid := range w.descendants(cmd.Process.Pid) {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && exe == w.bin && w.isMain(pid) {
			p, err := os.FindProcess(pid)
			w.must(err)
			w.must(p.Kill())
		}
	}
	cmd.Process.Kill()
}

func (w *keyWorld) isMain(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(b), "\x00action\x00main")
}

// descendants gives the processes below one, which is among them.
func (w *keyWorld) descendants(pid int) []int {
	all := []int{pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // none: it has ended
	for _, path := range tasks {
		b, _ := os.ReadFile(path)
		for child := range strings.FieldsSeq(string(b)) {
			n, err := strconv.Atoi(child)
			w.must(err)
			all = append(all, w.descendants(n)...)
		}
	}
	return all
}
