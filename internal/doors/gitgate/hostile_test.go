package gitgate

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/objectid"
)

// post sends a body to the door as git would, and gives the answer.
func (w *world) post(path, contentType string, body io.Reader, headers ...string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

const (
	pushPath = "widgets.git/git-receive-pack"
	pushType = "application/x-git-receive-pack-request"
)

// commands are a push's, before the pack.
func commands(lines ...string) *bytes.Buffer {
	var b []byte
	for i, line := range lines {
		if i == 0 {
			line += "\x00report-status"
		}
		b = appendPacket(b, line)
	}
	return bytes.NewBuffer(append(b, flushPacket...))
}

func TestCommandsThatGitWouldNotSendAreRefused(t *testing.T) {
	w := newWorld(t)
	dir := w.clone()
	main := git(t, dir, "rev-parse", "HEAD")
	id := w.change(dir, map[string]string{"new": "x"})
	git(t, dir, "push", "origin", "HEAD:"+pushable)
	zero := strings.Repeat("0", 40)
	for rule, c := range map[string]struct {
		status int
		lines  []string
	}{
		RuleDelete:     {200, []string{id + " " + zero + " " + pushable}},
		RuleStale:      {200, []string{main + " " + id + " " + pushable}},
		RuleRef:        {200, []string{zero + " " + id + " refs/heads/x"}},
		RulePack:       {200, []string{id + " " + strings.Repeat("1", 40) + " " + pushable}}, // without a pack
		RuleUnreadable: {400, []string{zero + " " + id + " refs/heads/../../x"}},
	} {
		sessions, before := len(w.Commands()), len(w.log.rules())
		status, answer := w.post(pushPath, pushType, commands(c.lines...))
		if got := w.log.rules()[before:]; status != c.status || len(got) != 1 || got[0] != rule || status == 200 && !strings.Contains(answer, "ng ") {
			t.Errorf("%s: %d, %v: %q", rule, status, got, answer)
		}
		if said := w.Commands(); len(said) != sessions {
			t.Errorf("%s: the upstream was asked: %v", rule, said[sessions:])
		}
	}
	if w.Ref("widgets.git", pushable) != id {
		t.Error("the ref has changed")
	}
	w.log.checkLines(t)
}

// A pack that has no connection with what the upstream has would be taken by git, if
// the tip is in it.
func TestAPackThatLacksWhatItNeedsIsRefused(t *testing.T) {
	w := newWorld(t)
	dir := w.clone()
	id := w.change(dir, map[string]string{"new": "x", "other": "y"})
	cmd := exec.Command("git", "-C", dir, "pack-objects", "--stdout")
	cmd.Stdin = strings.NewReader(id + "\n") // the commit alone, without its tree
	pack, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	body := commands(strings.Repeat("0", 40) + " " + id + " " + pushable)
	body.Write(pack)
	status, answer := w.post(pushPath, pushType, body)
	if rules := w.log.rules(); status != 200 || len(rules) != 1 || rules[0] != RulePack || w.pushes() != 0 {
		t.Errorf("%d, %v: %q", status, rules, answer)
	}
	body = commands(strings.Repeat("0", 40) + " " + id + " " + pushable)
	body.Write(pack[:len(pack)/2])
	if w.post(pushPath, pushType, body); len(w.log.rules()) != 2 || w.pushes() != 0 {
		t.Errorf("half a pack: %v", w.log.rules())
	}
}

func TestAPackIsBounded(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Repositories[0].Push.MaxBytes = 100 << 10 })
	dir := w.clone()
	var noise strings.Builder
	for i := range 60000 {
		fmt.Fprintf(&noise, "%x", i*7919%65521*i)
	}
	w.change(dir, map[string]string{"big": noise.String()})
	w.refusedPush(t, dir, RulePack, RulePack, "HEAD:"+pushable)
	// a small body that unpacks to much
	var small bytes.Buffer
	z := gzip.NewWriter(&small)
	z.Write(commands(strings.Repeat("0", 40) + " " + strings.Repeat("1", 40) + " " + pushable).Bytes())
	z.Write(make([]byte, 8<<20))
	z.Close()
	if status, _ := w.post(pushPath, pushType, &small, "Content-Encoding", "gzip"); status != 200 || len(w.log.rules()) != 2 {
		t.Errorf("%d, %v", status, w.log.rules())
	}
}

func TestWhatIsNotGitsIsRefused(t *testing.T) {
	w := newWorld(t)
	w.clone()
	for path, rule := range map[string]string{
		"":                      RuleNotGit,
		"widgets.git/HEAD":      RuleNotGit, // the dumb protocol
		"widgets.git/info/refs": RuleNotGit,
		"widgets.git/info/refs?service=git-upload-archive":   RuleNotGit,
		"widgets.git/objects/info/packs":                     RuleNotGit,
		"widgets.git/%2e%2e/other.git/info/refs":             RuleNotGit,
		"other.git/info/refs?service=git-upload-pack":        RuleNoRemote,
		"..git/info/refs?service=git-upload-pack":            RuleNotGit,
		"widgets.git/info/lfs/objects/batch":                 RuleLFS,
		"widgets.git/git-upload-pack":                        RuleNotGit, // by GET
		"widgets.git//info/refs?service=git-upload-pack":     RuleNotGit,
		"widgets%2egit/info/refs?service=git-upload-pack":    RuleNotGit,
		"widgets.git/info/refs;x?service=git-receive-pack":   RuleNotGit,
		"widgets.git.git/info/refs?service=git-receive-pack": RuleNoRemote,
	} {
		before := len(w.log.rules())
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if rules := w.log.rules()[before:]; answer.StatusCode < 400 || len(rules) != 1 || rules[0] != rule {
			t.Errorf("%q: %d, %v", path, answer.StatusCode, rules)
		}
	}
	for _, c := range [][]string{{"text/plain", ""}, {pushType, "br"}} {
		if status, _ := w.post(pushPath, c[0], strings.NewReader("0000"), "Content-Encoding", c[1]); status != 400 {
			t.Errorf("%v: %d", c, status)
		}
	}
	if status, body := w.post(pushPath, pushType, strings.NewReader("0000")); status != 200 || body != "" {
		t.Errorf("a client that asks whether it may: %d %q", status, body)
	}
	w.log.checkLines(t)
}

// The environment of a git that the door runs has nothing of ours.
func TestGitIsGivenNothingOfOurs(t *testing.T) {
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "core.hooksPath")
	t.Setenv("GIT_CONFIG_VALUE_0", "/evil")
	t.Setenv("THE_SECRET", "x")
	w := newWorld(t)
	for _, e := range w.door.options.Git.Command(t.Context(), t.TempDir(), nil, "version").Env {
		if strings.Contains(e, "SECRET") || strings.Contains(e, "evil") {
			t.Errorf("git is given %q", e)
		}
	}
}

func TestManyRefsAreServed(t *testing.T) {
	w := newWorld(t)
	id := w.Ref("widgets.git", "main")
	var all strings.Builder
	for i := range 500 {
		fmt.Fprintf(&all, "create refs/heads/many/%05d %s\n", i, id)
	}
	cmd := exec.Command("git", "-C", w.Server.Dir+"/widgets.git", "update-ref", "--stdin")
	cmd.Stdin = strings.NewReader(all.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	git(t, w.Server.Dir+"/widgets.git", "pack-refs", "--all")
	begun := time.Now()
	if refs := git(t, w.dir, "ls-remote", w.url+"widgets.git"); strings.Count(refs, "\n") < 500 {
		t.Errorf("%d refs", strings.Count(refs, "\n"))
	}
	t.Logf("500 refs in %v", time.Since(begun))
}

func FuzzRequest(f *testing.F) {
	f.Add(commands(strings.Repeat("0", 40) + " " + strings.Repeat("1", 40) + " refs/heads/x").Bytes())
	f.Add([]byte("0000"))
	f.Add([]byte("0004"))
	f.Add([]byte("ffff"))
	f.Add(append(appendPacket(nil, "push-cert\x00"), flushPacket...))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		for _, c := range r.commands {
			if checkRef(c.Ref) != nil || !objectid.Is(c.Old) || !objectid.Is(c.New) || strings.ContainsAny(c.Ref, " \n\x00") {
				t.Errorf("took %+v", c)
			}
		}
	})
}
