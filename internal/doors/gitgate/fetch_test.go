package gitgate

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestACloneIsWhatTheUpstreamHas(t *testing.T) {
	w := newWorld(t)
	for _, version := range []string{"0", "1", "2"} {
		dir := w.clone("-c", "protocol.version="+version)
		if b, err := os.ReadFile(filepath.Join(dir, "README")); err != nil || string(b) != "hello\n" {
			t.Errorf("version %s: %q, %v", version, b, err)
		}
	}
	id := w.Commit("widgets.git", "main", map[string]string{"README": "changed\n"})
	dir := w.clone()
	if got := git(t, dir, "rev-parse", "HEAD"); got != id {
		t.Errorf("a stale mirror: %s instead of %s", got, id)
	}
	id = w.Commit("widgets.git", "main", map[string]string{"README": "again\n"})
	git(t, dir, "fetch", "--quiet")
	if got := git(t, dir, "rev-parse", "origin/main"); got != id {
		t.Errorf("a fetch gave %s instead of %s", got, id)
	}
	w.log.checkLines(t)
}

func TestHeadAndBranchesFollowTheUpstream(t *testing.T) {
	w := newWorld(t)
	w.Commit("widgets.git", "trunk", map[string]string{"new": "x"})
	git(t, filepath.Join(w.Server.Dir, "widgets.git"), "symbolic-ref", "HEAD", "refs/heads/trunk")
	dir := w.clone()
	if got := git(t, dir, "branch", "--show-current"); got != "trunk" {
		t.Errorf("HEAD is %q", got)
	}
	git(t, filepath.Join(w.Server.Dir, "widgets.git"), "branch", "-D", "main")
	git(t, dir, "fetch", "--quiet", "--prune")
	if refs := git(t, dir, "branch", "--remotes"); strings.Contains(refs, "main") {
		t.Errorf("a branch that is gone is still there: %s", refs)
	}
}

func TestShallowAndPartialClonesWork(t *testing.T) {
	w := newWorld(t)
	for _, content := range []string{"a", "b", "c"} {
		w.Commit("widgets.git", "main", map[string]string{"README": content})
	}
	if n := git(t, w.clone("--depth=1"), "rev-list", "--count", "HEAD"); n != "1" {
		t.Errorf("a shallow clone has %s commits", n)
	}
	dir := w.clone("--filter=blob:none")
	if content := git(t, dir, "show", "HEAD~2:README"); content != "a" { // which has to be fetched now
		t.Errorf("got %q", content)
	}
}

func TestAnEmptyRepositoryAndOtherIDsWork(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		u := o.Repositories[0].Upstream
		for _, name := range []string{"empty", "sha256"} {
			u.Path = name + ".git"
			o.Repositories = append(o.Repositories, Repository{Name: name, Upstream: u, Push: &PushRules{Refs: []string{pushable}}})
		}
	})
	w.Bare("empty.git")
	w.Bare("sha256.git", "--object-format=sha256")
	for _, name := range []string{"empty", "sha256"} {
		args := []string{"init", "--quiet", name}
		if name == "sha256" {
			args = append(args, "--object-format=sha256")
		}
		git(t, w.dir, args...)
		dir := filepath.Join(w.dir, name)
		if refs := git(t, dir, "ls-remote", w.url+name+".git"); refs != "" {
			t.Errorf("%s has refs: %s", name, refs)
		}
		id := w.change(dir, map[string]string{"file": name})
		git(t, dir, "push", "--quiet", w.url+name+".git", "HEAD:"+pushable)
		if w.Ref(name+".git", pushable) != id {
			t.Errorf("%s did not get the push", name)
		}
		if refs := git(t, dir, "ls-remote", w.url+name+".git"); !strings.Contains(refs, id) {
			t.Errorf("%s: %s", name, refs)
		}
	}
}

func TestAFetchFailsWhereTheUpstreamCantBeAsked(t *testing.T) {
	w := newWorld(t)
	dir := w.clone()
	for name, c := range map[string]struct {
		change func(*Upstream)
		words  string
	}{
		"another host key": {func(u *Upstream) { u.HostKey = newSigner(t).PublicKey() }, "host key mismatch"},
		"another key":      {func(u *Upstream) { u.Signer = newSigner(t) }, "unable to authenticate"},
		"no key":           {func(u *Upstream) { u.Signer = nil }, "there is no key"},
		"no repository":    {func(u *Upstream) { u.Path = "gone.git" }, "does not appear to be a git repository"},
		"nobody listens":   {func(u *Upstream) { u.Port = closedPort(t) }, "connection refused"},
	} {
		m := w.door.mirrors["widgets"]
		good := m.upstream
		m.mu.Lock()
		c.change(&m.upstream)
		m.mu.Unlock()
		if out, err := tryGit(t, dir, "fetch"); err == nil || !strings.Contains(out, c.words) || !strings.Contains(out, "bot-bottle: fetching from the upstream") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		m.mu.Lock()
		m.upstream = good
		m.mu.Unlock()
	}
	w.Before(func(string) error { return errors.New("down for maintenance") })
	if out, err := tryGit(t, dir, "fetch"); err == nil || !strings.Contains(out, "down for maintenance") {
		t.Errorf("%v: %s", err, out)
	}
	w.log.checkLines(t)
}

func closedPort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}
