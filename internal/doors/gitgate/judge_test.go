package gitgate

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/sshtest"
)

// judging is a world with the real judge.
func judging(t testing.TB, o JudgeOptions) *world {
	t.Helper()
	j, err := NewJudge(o)
	if err != nil {
		t.Fatal(err)
	}
	return newWorld(t, func(d *Options) { d.Judge = j })
}

// pat is a token of a form that gitleaks knows, made at run time.
func pat() string {
	b := []byte("ghp" + "_")
	for range 36 {
		b = append(b, "abcdefghijklmnopqrstuvwxyz0123456789"[mathrand.IntN(36)])
	}
	return string(b)
}

// commitWith commits what is in the index.
func (w *world) commitWith(dir string, args ...string) {
	w.t.Helper()
	git(w.t, dir, append(append([]string{}, args...), "commit", "--quiet", "--allow-empty", "--message", "x")...)
}

func TestASecretDoesNotLeaveWhereverItIs(t *testing.T) {
	known := rand.Text()
	w := judging(t, JudgeOptions{Known: []secret.Value{secret.New("THE_TOKEN", known)}})
	token := pat()
	for name, c := range map[string]struct {
		words string
		make  func(dir string)
	}{
		"a file": {"rule github-pat, line 2", func(dir string) { w.change(dir, map[string]string{"a/b.png": "x\nkey = \"" + token + "\"\n"}) }},
		"a file, then not": {"github-pat", func(dir string) {
			w.change(dir, map[string]string{"a": token})
			w.change(dir, map[string]string{"a": "nothing"})
		}},
		"a message": {"the text of commit", func(dir string) { git(t, dir, "commit", "--quiet", "--allow-empty", "--message", "use "+token) }},
		"an author": {"the text of commit", func(dir string) {
			w.commitWith(dir, "-c", "user.name=x", "-c", "author.name="+token, "-c", "author.email=a@b", "-c", "user.useConfigOnly=true")
		}},
		"a path":      {"the name of a file", func(dir string) { w.change(dir, map[string]string{token + "/x": "y"}) }},
		"a known one": {"known-secret: rule THE_TOKEN", func(dir string) { w.change(dir, map[string]string{"a": "x" + hex.EncodeToString([]byte(known)) + "y"}) }},
		"a branch merged": {"github-pat", func(dir string) {
			git(t, dir, "checkout", "--quiet", "-b", "side")
			w.change(dir, map[string]string{"side": token})
			w.change(dir, map[string]string{"side": "clean"})
			git(t, dir, "checkout", "--quiet", "main")
			w.change(dir, map[string]string{"more": "x"})
			git(t, dir, "merge", "--quiet", "--no-edit", "side")
		}},
		"a merge alone": {"github-pat", func(dir string) {
			git(t, dir, "checkout", "--quiet", "-b", "side2")
			w.change(dir, map[string]string{"side": "x"})
			git(t, dir, "checkout", "--quiet", "main")
			w.change(dir, map[string]string{"more": "x"})
			git(t, dir, "merge", "--quiet", "--no-commit", "side2")
			w.change(dir, map[string]string{"evil": token})
		}},
		"an allowed one": {"gitleaks:allow is not honoured", func(dir string) { w.change(dir, map[string]string{"a": "k = \"" + token + "\" # gitleaks:allow\n"}) }},
		"a big file": {"github-pat", func(dir string) {
			w.change(dir, map[string]string{"big": strings.Repeat("text and more\n", 1<<16) + token})
		}},
	} {
		dir := w.clone()
		git(t, dir, "config", "user.name", "x")
		c.make(dir)
		if name == "an author" {
			git(t, dir, "commit", "--quiet", "--amend", "--allow-empty", "--no-edit", "--author", token+" <a@b>")
		}
		out, err := tryGit(t, dir, "push", "origin", "HEAD:"+pushable)
		if err == nil || !strings.Contains(out, c.words) || w.pushes() != 0 {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		if strings.Contains(out, token[5:]) && name != "a path" || strings.Contains(out, known) {
			t.Errorf("%s: the refusal tells the secret: %s", name, out)
		}
	}
	for _, rule := range w.log.rules() {
		if rule != RuleSecret {
			t.Errorf("refused by %q", rule)
		}
	}
}

// A line that looks like a parent's, behind where git reads them, names a commit that
// git does not count: what it holds is as new as all the rest.
func TestAParentThatGitDoesNotSeeHidesNothing(t *testing.T) {
	w := judging(t, JudgeOptions{})
	dir := w.clone()
	hidden := w.change(dir, map[string]string{"k": "key = \"" + pat() + "\"\n"})
	object := fmt.Sprintf("tree %s\nauthor a <a@b> 1700000000 +0000\ncommitter a <a@b> 1700000000 +0000\nparent %s\n\nx\n", git(t, dir, "rev-parse", "HEAD^{tree}"), hidden)
	write := sshtest.Git(dir, "hash-object", "-t", "commit", "-w", "--stdin", "--literally")
	write.Stdin = strings.NewReader(object)
	out, err := write.Output()
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(string(out))
	pack := sshtest.Git(dir, "pack-objects", "--stdout", "--revs")
	pack.Stdin = strings.NewReader(id + "\n" + hidden + "\n")
	packed, err := pack.Output()
	if err != nil {
		t.Fatal(err)
	}
	body := commands(strings.Repeat("0", 40) + " " + id + " " + pushable)
	body.Write(packed)
	status, answer := w.post(pushPath, pushType, body)
	if rules := w.log.rules(); status != 200 || len(rules) != 1 || rules[0] != RuleSecret || w.pushes() != 0 {
		t.Errorf("%d, %v: %q", status, rules, answer)
	}
}

func TestATagIsScannedToo(t *testing.T) {
	j, err := NewJudge(JudgeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(o *Options) {
		o.Judge = j
		o.Repositories[0].Push.Refs = append(o.Repositories[0].Push.Refs, "refs/tags/*")
	})
	dir := w.clone()
	git(t, dir, "tag", "--annotate", "--message", "see "+pat(), "v1")
	git(t, dir, "tag", "--annotate", "--message", "fine", "v2")
	if out, err := tryGit(t, dir, "push", "origin", "v1"); err == nil || !strings.Contains(out, "the text of tag") || w.pushes() != 0 {
		t.Errorf("%v: %s", err, out)
	}
	git(t, dir, "push", "--quiet", "origin", "v2")
	if w.Ref("widgets.git", "refs/tags/v2") == "" {
		t.Error("a tag that the bottle lists was not pushed")
	}
}

func TestWhatAForgeWouldRunIsNotPushed(t *testing.T) {
	w := judging(t, JudgeOptions{Protected: map[string][]string{"widgets": {".github/workflows/allowed.yml"}}})
	w.Commit("widgets.git", "main", map[string]string{".github/workflows/ci.yml": "on: push\n", "src/action.yml": "x\n"})
	for _, name := range []string{".github/workflows/new.yml", ".GitHub/workflows/x.yml", ".gitea/workflows/x.yaml", ".forgejo/x", "action.yml", "deep/er/Action.YAML", "CODEOWNERS", "docs/CODEOWNERS", ".github", ".bot-bottle/agents/x.md", ".gitlab-ci.yml"} {
		dir := w.clone()
		if name == ".github" {
			git(t, dir, "rm", "-r", "--quiet", ".github")
		}
		w.change(dir, map[string]string{name: "evil"})
		w.refusedPush(t, dir, RuleProtected, "which a forge or the host would run or obey", "HEAD:"+pushable)
	}
	for name, change := range map[string]func(dir string){
		"a deletion":          func(dir string) { git(t, dir, "rm", "--quiet", ".github/workflows/ci.yml"); w.commitWith(dir) },
		"a folder's deletion": func(dir string) { git(t, dir, "rm", "-r", "--quiet", ".github"); w.commitWith(dir) },
		"a mode":              func(dir string) { git(t, dir, "update-index", "--chmod=+x", "src/action.yml"); w.commitWith(dir) },
		"a rename":            func(dir string) { git(t, dir, "mv", "src/action.yml", "src/other"); w.commitWith(dir) },
		"a change taken back": func(dir string) {
			w.change(dir, map[string]string{".github/workflows/ci.yml": "evil"})
			w.change(dir, map[string]string{".github/workflows/ci.yml": "on: push\n"})
		},
	} {
		dir := w.clone()
		change(dir)
		t.Log(name)
		w.refusedPush(t, dir, RuleProtected, "which a forge or the host would run or obey", "HEAD:"+pushable)
	}
	dir := w.clone()
	w.change(dir, map[string]string{".github/workflows/allowed.yml": "on: push\n", "action.yml.txt": "x", "my.github/x": "y"})
	git(t, dir, "push", "--quiet", "origin", "HEAD:"+pushable)
}

// A merge of the upstream's own branch brings its workflows, which nobody here changed.
func TestAMergeOfTheUpstreamsOwnWorkflowsPasses(t *testing.T) {
	w := judging(t, JudgeOptions{})
	dir := w.clone()
	w.change(dir, map[string]string{"mine": "x"})
	w.Commit("widgets.git", "main", map[string]string{".github/workflows/ci.yml": "on: push\n"})
	git(t, dir, "pull", "--quiet", "--no-rebase", "--no-edit", "origin", "main")
	git(t, dir, "push", "--quiet", "origin", "HEAD:"+pushable)
}

// Whoever opens a pull request from a fork chooses what its head is. The guest may have
// it; pushed to a branch, its workflow would run.
func TestAForksHeadIsNothingThatTheUpstreamHas(t *testing.T) {
	j, err := NewJudge(JudgeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const head = "refs/pull/7/head"
	w := newWorld(t, func(o *Options) { o.Judge, o.Repositories[0].Also = j, []string{head} })
	fork := w.Commit("widgets.git", "aside", map[string]string{".github/workflows/ci.yml": "on: push\n"})
	bare := filepath.Join(w.Dir, "widgets.git")
	git(t, bare, "update-ref", head, fork)
	git(t, bare, "update-ref", "-d", "refs/heads/aside")
	dir := w.clone()
	git(t, dir, "fetch", "--quiet", "origin", head)
	w.refusedPush(t, dir, RuleProtected, "which a forge or the host would run or obey", fork+":"+pushable)
}

func TestPathsThatBecomeOthersAreRefused(t *testing.T) {
	w := judging(t, JudgeOptions{})
	blob := func(dir, content string) string {
		path := filepath.Join(w.dir, "blob")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return git(t, dir, "hash-object", "-w", path)
	}
	for name, c := range map[string]struct{ mode, path, rule string }{
		"a submodule":          {"160000", "sub", RuleGitlink},
		"a link git obeys":     {"120000", ".gitmodules", RulePack}, // fsck says so first
		"attributes as a link": {"120000", ".GitAttributes", RuleSpecial},
		"git with a dot":       {"100644", ".git.", ""},
		"git's short name":     {"100644", "git~1", ""},
		"git for HFS":          {"100644", ".g\u200cit", ""},
		"git as a stream":      {"100644", ".git::$INDEX_ALLOCATION", ""},
		"an LFS pointer":       {"100644", "big.bin", RuleLFSFile},
	} {
		dir := w.clone()
		id := blob(dir, "version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
		if c.mode == "160000" {
			id = git(t, dir, "rev-parse", "HEAD")
		}
		commitEntry(t, dir, c.mode, id, c.path)
		before := len(w.log.rules())
		out, err := tryGit(t, dir, "push", "origin", "HEAD:"+pushable)
		rules := w.log.rules()[before:]
		if err == nil || len(rules) != 1 || c.rule != "" && rules[0] != c.rule || c.rule == "" && rules[0] != RuleBadPath && rules[0] != RulePack || w.pushes() != 0 {
			t.Errorf("%s: %v, %v: %s", name, err, rules, out)
		}
	}
}

// commitEntry commits a folder with an entry that git would not add by itself.
func commitEntry(t *testing.T, dir, mode, id, name string) {
	t.Helper()
	kind := map[string]string{"160000": "commit", "40000": "tree"}[mode]
	if kind == "" {
		kind = "blob"
	}
	cmd := sshtest.Git(dir, "mktree", "--missing")
	cmd.Stdin = strings.NewReader(mode + " " + kind + " " + id + "\t" + name + "\n")
	tree, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	commit := git(t, dir, "commit-tree", "-p", "HEAD", "-m", "x", strings.TrimSpace(string(tree)))
	git(t, dir, "update-ref", "HEAD", commit)
}

func TestOrdinaryWorkIsPushed(t *testing.T) {
	w := judging(t, JudgeOptions{})
	dir := w.clone()
	w.change(dir, map[string]string{"src/main.go": "package main\n", "empty": "", "\xff\xfe": "not UTF-8", "docs/ünï.md": "text", "bin": "\x00\x01\x02"})
	git(t, dir, "checkout", "--quiet", "--orphan", "fresh")
	w.change(dir, map[string]string{"root": "another root"})
	git(t, dir, "checkout", "--quiet", "main")
	git(t, dir, "merge", "--quiet", "--allow-unrelated-histories", "--no-edit", "fresh")
	git(t, dir, "push", "--quiet", "origin", "HEAD:"+pushable)
	if w.Ref("widgets.git", pushable) != git(t, dir, "rev-parse", "HEAD") {
		t.Error("it did not arrive")
	}
}

func TestAJudgeThatTakesTooLongRefuses(t *testing.T) {
	w := judging(t, JudgeOptions{Time: 300 * time.Millisecond})
	dir := w.clone()
	var noise bytes.Buffer
	for noise.Len() < 3<<20 {
		noise.WriteString(rand.Text() + "\n")
	}
	w.change(dir, map[string]string{"noise": noise.String()})
	w.refusedPush(t, dir, RuleNotJudged, "it took longer than", "HEAD:"+pushable)
}

func TestManyCommitsAreJudged(t *testing.T) {
	w := judging(t, JudgeOptions{})
	dir := w.clone()
	var stream strings.Builder
	for i := range 300 {
		fmt.Fprintf(&stream, "commit refs/heads/many\ncommitter a <a@b> %d +0000\ndata 2\nx\n%sM 100644 inline dir%d/file%d\ndata 6\nhello\n\n", 1700000000+i, map[bool]string{true: "from refs/heads/main\n"}[i == 0], i%10, i)
	}
	path := filepath.Join(w.dir, "stream")
	if err := os.WriteFile(path, []byte(stream.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := fastImport(dir, path); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	git(t, dir, "push", "--quiet", "origin", "many:"+pushable)
	t.Logf("300 commits in %v", time.Since(begun))
	if w.Ref("widgets.git", pushable) == "" {
		t.Error("they did not arrive")
	}
}

func fastImport(dir, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := sshtest.Git(dir, "fast-import", "--quiet")
	cmd.Stdin = f
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	return nil
}

func FuzzTree(f *testing.F) {
	f.Add([]byte("100644 a\x0001234567890123456789"), 20)
	f.Add([]byte("40000 dir\x0001234567890123456789012345678901"), 32)
	f.Add([]byte("x"), 20)
	f.Fuzz(func(t *testing.T, b []byte, idBytes int) {
		if idBytes != 20 && idBytes != 32 {
			return
		}
		list, err := parseTree(b, idBytes)
		n := 0
		for _, e := range list {
			n += len(e.mode) + len(e.name) + 2 + idBytes
			if len(e.id) != 2*idBytes || e.name == "" || strings.Contains(e.name, "\x00") {
				t.Errorf("took %+v", e)
			}
		}
		if err == nil && n != len(b) {
			t.Errorf("took %d of %d bytes", n, len(b))
		}
		if id := firstField(b, "tree"); id != "" && !strings.HasPrefix(string(b), "tree "+id) {
			t.Errorf("took %q", id)
		}
		readGreeting(b)
	})
}
