package e2e

import (
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func (c checkout) path(name string) string { return filepath.Join(c.dir, name) }

func (c checkout) read(name string) string {
	c.w.t.Helper()
	b, err := os.ReadFile(c.path(name))
	c.w.must(err)
	return string(b)
}

// work runs a job of this name on the checkout: a script for the guest's shell.
func (c checkout) work(name, script string, flags ...string) result {
	c.w.t.Helper()
	args := append([]string{"run", "--quiet", "--name", name, "--workspace", c.dir}, flags...)
	return c.w.run(append(args, "--", "sh", "-ec", script)...)
}

// sh runs a script of ours on the host, in the checkout.
func (c checkout) sh(script string) string {
	c.w.t.Helper()
	r := c.w.start("sh", "-ec", "cd "+c.dir+"\n"+script)
	if r.code != 0 {
		c.w.t.Fatalf("%s: %s", script, r)
	}
	return r.stdout
}

// snapshot is everything that is in the checkout, the repository included: a line
// for each file with its mode and a digest of its content.
func (c checkout) snapshot() string {
	c.w.t.Helper()
	var b strings.Builder
	c.w.must(filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		c.w.must(err)
		info, err := d.Info()
		c.w.must(err)
		var content []byte
		if info.Mode().IsRegular() {
			content, err = os.ReadFile(path)
			c.w.must(err)
		}
		fmt.Fprintf(&b, "%s %v %x\n", path, info.Mode(), sha256.Sum256(content))
		return nil
	}))
	return b.String()
}

// report is the folder of the newest run's report.
func (w *world) report() string {
	w.t.Helper()
	return w.runs("--all")[0].Report
}

// tree prints each file with its digest, and those that can be executed, the same
// in a guest and on the host.
const tree = `
find . -path ./.git -prune -o -type f -exec sha256sum {} + | sort -k 2
find . -path ./.git -prune -o -type f -perm -u+x -print | sort
`

func TestChangesComeBackAndApply(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		c := w.checkout(map[string]string{"text.txt": "one\ntwo\n", "gone.txt": "x\n", "tool.sh": "#!/bin/sh\n", "kept.txt": "k\n", ".gitignore": "*.o\n"})
		before := c.snapshot()
		r := c.work("change", `
			echo three >> text.txt; rm gone.txt; chmod +x tool.sh; printf 'no newline' > new.txt
			mkdir -p deep/er; head -c 5000 /dev/urandom > deep/er/image.bin; printf '#!/bin/sh\n' > deep/run; chmod 755 deep/run
			git -c user.name=a -c user.email=a@b commit -qam 'some of it'`+tree)
		if check := w.run("apply", "change", "--check"); r.code != 0 || check.code != 0 || check.stdout != "would change 6 files in "+c.dir+"\n" {
			t.Fatal(r, check)
		}
		if c.snapshot() != before {
			t.Error("something changed before apply")
		}
		if applied := w.run("apply", "change"); applied.code != 0 || applied.stdout != "changed 6 files in "+c.dir+"\n" {
			t.Fatal(applied)
		}
		if got := c.sh(tree); got != r.stdout {
			t.Errorf("the checkout has\n%s\nthe guest had\n%s", got, r.stdout)
		}
		c.git("apply", "--check", "--reverse", filepath.Join(w.report(), "changes.patch")) // git reads it as we do
		c.git("fsck", "--strict")
		w.nothingLeft()
	})
}

func TestDigestOfThePatchIsInLedgerAndReport(t *testing.T) {
	w := newWorld(t, true)
	if r := w.checkout(map[string]string{"a.txt": "one\n"}).work("one", "echo two >> a.txt"); r.code != 0 {
		t.Fatal(r)
	}
	patch, err := os.ReadFile(filepath.Join(w.report(), "changes.patch"))
	w.must(err)
	report, err := os.ReadFile(filepath.Join(w.report(), "report.json"))
	w.must(err)
	digest := fmt.Sprintf("%x", sha256.Sum256(patch))
	if ledger := w.run("ls", "--all", "--json"); !strings.Contains(ledger.stdout, digest) || !strings.Contains(string(report), digest) {
		t.Errorf("%s is not in both: %s\n%s", digest, ledger, report)
	}
}

func TestUncommittedChangesTravelOnRequest(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		c := w.checkout(map[string]string{"a.txt": "committed\n", "gone.txt": "x\n", ".gitignore": "*.o\n"})
		c.sh("echo edited >> a.txt; echo staged > staged.txt; git add staged.txt; echo untracked > untracked.txt; echo ignored > ignored.o; rm gone.txt")
		const look = `cat a.txt; ls`
		if r := c.work("without", look); r.stdout != "committed\na.txt\ngone.txt\n" {
			t.Error(r)
		}
		r := c.work("with", look+`; echo agent >> a.txt; echo agent >> untracked.txt`, "--uncommitted")
		if r.code != 0 || r.stdout != "committed\nedited\na.txt\nstaged.txt\nuntracked.txt\n" {
			t.Error(r)
		}
		r = w.run("apply", "with")
		if got := c.read("a.txt") + c.read("untracked.txt"); r.stdout != "changed 2 files in "+c.dir+"\n" || got != "committed\nedited\nagent\nuntracked\nagent\n" {
			t.Errorf("got %q: %s", got, r)
		}
	})
}

func TestShallowCheckoutWorks(t *testing.T) {
	w := newWorld(t, true)
	origin := w.checkout(map[string]string{"a.txt": "one\n"})
	origin.git("commit", "-q", "--allow-empty", "-m", "second")
	c := checkout{w, filepath.Join(w.dir, "shallow")}
	origin.git("clone", "-q", "--depth", "1", "file://"+origin.dir, c.dir)
	r := c.work("shallow", "git rev-list --count HEAD; git fsck; echo two >> a.txt")
	if applied := w.run("apply", "shallow"); r.code != 0 || r.stdout != "1\n" || applied.code != 0 || c.read("a.txt") != "one\ntwo\n" {
		t.Error(r, applied)
	}
}

func TestGuestGetsNothingThatHeadDoesNotReach(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		c := w.checkout(map[string]string{"a.txt": "one\n"})
		c.git("checkout", "-q", "-b", "other")
		c.write("b.txt", "secret-4711 of a branch\n")
		c.git("add", "-A")
		c.git("commit", "-qm", "secret-4711 in a message")
		c.git("tag", "v1-secret-4711")
		c.git("checkout", "-q", "main")
		c.write("a.txt", "secret-4711 in the stash\n")
		c.git("stash", "-q")
		c.git("remote", "add", "origin", "https://user:secret-4711@forge.invalid/x")
		c.git("config", "http.extraHeader", "Authorization: secret-4711")
		c.write(".git/hooks/post-checkout", "#!/bin/sh\necho secret-4711\n")
		r := c.work("look", fmt.Sprintf(`
			git cat-file --batch-all-objects --batch-check='%%(objectname)' | while read -r o; do git cat-file -p $o; done > /tmp/all
			git config --list >> /tmp/all; git for-each-ref >> /tmp/all; git reflog --all >> /tmp/all; find . -type f -exec cat {} + >> /tmp/all
			if grep -a secret-4711 /tmp/all; then echo "it is in the guest"; fi
			if [ -e %q ]; then echo "the checkout is mounted"; fi
			grep -qa begin /tmp/all && echo looked`, c.dir))
		if r.code != 0 || r.stdout != "looked\n" {
			t.Error(r)
		}
	})
}

func TestTamperedPatchIsRefused(t *testing.T) {
	w := newWorld(t, true)
	c := w.checkout(map[string]string{"a.txt": "one\n"})
	if r := c.work("one", "echo good >> a.txt"); r.code != 0 {
		t.Fatal(r)
	}
	before, path := c.snapshot(), filepath.Join(w.report(), "changes.patch")
	patch, err := os.ReadFile(path)
	w.must(err)
	for tampered, word := range map[string]string{
		strings.Replace(string(patch), "+good", "+evil", 1):          "hint: somebody has changed the file",
		string(patch) + newFilePatch("evil.txt", "100644", "evil\n"): "hint: somebody has changed the file",
		"":       "hint: somebody has changed the file",
		"evil\n": "parsing",
	} {
		w.must(os.WriteFile(path, []byte(tampered), 0o600))
		refuses(t, w.run("apply", "one"), 1, word)
		refuses(t, w.run("apply", "one", "--check"), 1, word)
	}
	w.must(os.Remove(path))
	refuses(t, w.run("apply", "one"), 1, "no such file")
	if c.snapshot() != before {
		t.Error("the checkout has changed")
	}
}

func TestConflictChangesNothing(t *testing.T) {
	w := newWorld(t, true)
	c := w.checkout(map[string]string{"a.txt": "one\n", "b.txt": "one\n", "sub/c.txt": "one\n"})
	if r := c.work("one", "for f in a.txt b.txt sub/c.txt; do echo two >> $f; done"); r.code != 0 {
		t.Fatal(r)
	}
	elsewhere := w.write("elsewhere/c.txt", "one\n")
	for _, spoil := range []string{
		"echo other > b.txt", "rm b.txt", "rm b.txt; mkdir b.txt", "mv b.txt real; ln -s real b.txt", "rm -r sub; ln -s ../elsewhere sub",
	} {
		c.sh(spoil)
		before := c.snapshot()
		refuses(t, w.run("apply", "one", "--check"), 1, "doesn't fit", "nothing was changed")
		refuses(t, w.run("apply", "one"), 1, "doesn't fit", "nothing was changed")
		if c.snapshot() != before || c.sh("cat "+elsewhere) != "one\n" {
			t.Errorf("after %q something was changed", spoil)
		}
		c.sh("rm -rf b.txt sub real; git checkout -q .")
	}
}

func TestChangesApplyOnce(t *testing.T) {
	w := newWorld(t, true)
	c := w.checkout(map[string]string{"a.txt": "one\n"})
	r := c.work("one", "echo two >> a.txt")
	if applied := w.run("apply", "one"); r.code != 0 || applied.code != 0 {
		t.Fatal(r, applied)
	}
	refuses(t, w.run("apply", "one"), 1, "doesn't fit", "nothing was changed")
	if got := c.read("a.txt"); got != "one\ntwo\n" {
		t.Errorf("got %q", got)
	}
}

func TestFilesThatRunByThemselvesNeedAllow(t *testing.T) {
	const script = `mkdir -p .vscode .github/workflows; echo '{}' > .vscode/tasks.json; echo 'on: push' > .github/workflows/x.yml
		echo 'PATH=.' > .envrc; echo '* filter=x' > .gitattributes; echo fine > fine.txt`
	w := newWorld(t, true)
	c := w.checkout(map[string]string{"a.txt": "one\n"})
	before := c.snapshot()
	r := c.work("refused", script)
	refuses(t, r, 1, `".vscode/tasks.json"`, `".github/workflows/x.yml"`, `".envrc"`, `".gitattributes"`, "hint: if such a change is wanted", "--allow")
	if files := list(w.report()); !slices.Contains(files, "report.json") || slices.Contains(files, "changes.patch") {
		t.Errorf("the report has %v", files)
	}
	refuses(t, w.run("apply", "refused"), 2, "this run has none")
	allow := []string{"--allow", ".vscode", "--allow", ".github/workflows/*.yml", "--allow", ".envrc", "--allow", ".gitattributes"}
	if r := c.work("taken", script, allow...); r.code != 0 {
		t.Fatal(r)
	}
	refuses(t, w.run("apply", "taken"), 1, ".envrc", "--allow")
	if c.snapshot() != before {
		t.Error("a refused patch changed something")
	}
	if r := w.run(append([]string{"apply", "taken"}, allow...)...); r.code != 0 || c.read(".vscode/tasks.json") != "{}\n" {
		t.Error(r)
	}
}

func TestLinksAndRepositoriesOfTheAgentAreRefused(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		c := w.checkout(map[string]string{"a.txt": "one\n", "sub/b.txt": "one\n"})
		before := c.snapshot()
		r := c.work("links", `ln -s /etc/passwd planted; ln -sf .git/hooks/pre-commit a.txt; rm -r sub; ln -s /etc sub; echo fine > fine.txt
			git init -q inner; git -C inner -c user.name=a -c user.email=a@b commit -q --allow-empty -m x`, "--allow", "**")
		refuses(t, r, 1, "may not pass", `"planted"`, `"a.txt"`, `"sub"`, "(symlink)", `"inner"`, "(gitlink)")
		refuses(t, w.run("apply", "links"), 2, "this run has none")
		if c.snapshot() != before {
			t.Error("the checkout has changed")
		}
		w.nothingLeft()
	})
}

// newFilePatch is a patch in git's form that adds one file.
func newFilePatch(path, mode, content string) string {
	id := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(content), content))
	body := "+" + strings.ReplaceAll(strings.TrimSuffix(content, "\n"), "\n", "\n+")
	return fmt.Sprintf("diff --git a/%[1]s b/%[1]s\nnew file mode %[2]s\nindex %040[3]d..%[4]x\n--- /dev/null\n+++ b/%[1]s\n@@ -0,0 +1,%[5]d @@\n%[6]s\n",
		path, mode, 0, id, strings.Count(body, "\n")+1, body)
}

// lyingGit is a script for root in the guest: from then on its git prints patch
// when it is asked for a diff.
func lyingGit(patch string) string {
	return "cat > /usr/local/bin/git <<'END'\n#!/bin/sh\ncase \"$*\" in *diff*) cat /patch;; *) exec /usr/bin/git \"$@\";; esac\nEND\n" +
		"chmod 755 /usr/local/bin/git\ncat > /patch <<'END'\n" + patch + "END\n"
}

func TestPatchOfALyingGuestIsRefused(t *testing.T) {
	w := newWorld(t, true)
	c := w.checkout(map[string]string{"a.txt": "one\n"})
	if r := c.work("honest", lyingGit(newFilePatch("b.txt", "100644", "lie\n")), "--root"); r.code != 0 || w.run("apply", "honest").code != 0 || c.read("b.txt") != "lie\n" {
		t.Fatalf("the lie that this test needs is not told: %s", r)
	}
	before := c.snapshot()
	r := c.work("lies", lyingGit(newFilePatch("../outside", "100644", "x\n")+
		newFilePatch(".git/hooks/post-checkout", "100755", "#!/bin/sh\n")+
		newFilePatch("sub/.GIT/config", "100644", "x\n")+
		newFilePatch("link", "120000", "/etc/passwd\n")+
		newFilePatch("setuid", "104755", "x\n")), "--root", "--allow", "**")
	refuses(t, r, 1, "may not pass", "outside", "post-checkout", "config", "link", "setuid")
	refuses(t, c.work("absolute", lyingGit(newFilePatch("/tmp/absolute", "100644", "x\n")), "--root"), 1, "patch: parsing")
	if _, err := os.Lstat(filepath.Join(w.dir, "outside")); err == nil || c.snapshot() != before {
		t.Error("something was changed")
	}
	w.nothingLeft()
}

// trap makes a program that leaves a trace, and gives what reads and removes it.
func (w *world) trap() (program string, sprung func() string) {
	w.t.Helper()
	traces := filepath.Join(w.dir, "sprung")
	program = w.write("trap", "#!/bin/sh\necho \"$0 $*\" >> "+traces+"\nexec cat 2>/dev/null\n")
	w.must(os.Chmod(program, 0o755))
	return program, func() string {
		b, _ := os.ReadFile(traces)
		os.Remove(traces)
		return string(b)
	}
}

func TestGuestThatRewritesTheRepositoryChangesNoCheckout(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		c := w.checkout(map[string]string{"a.txt": "one\n"})
		program, sprung := w.trap()
		before := c.snapshot()
		refuses(t, c.work("objects", `find .git -type f | while read -r f; do chmod u+w "$f"; echo rewritten > "$f"; done`), 1, "asking the guest for its changes", "hint: ")
		r := c.work("config", fmt.Sprintf(`
			printf '[core]\nfsmonitor=%[1]s\nhooksPath=.git/hooks\n[filter "x"]\nclean=%[1]s\n[diff]\nexternal=%[1]s\n[alias]\nread-tree=!%[1]s\n' >> .git/config
			mkdir -p .git/hooks; for h in post-index-change pre-commit post-checkout; do cp /bin/true .git/hooks/$h; done
			echo %[2]q > .git/objects/info/alternates; echo '* filter=x' > .git/info/attributes
			git -c core.fsmonitor= update-index --assume-unchanged a.txt; echo two >> a.txt`, program, c.path(".git/objects")))
		if r.code != 0 || c.snapshot() != before || sprung() != "" {
			t.Fatalf("the checkout has changed, or the host ran what the guest configured: %s", r)
		}
		c.git("fsck", "--strict")
		if r := w.run("apply", "config"); r.code != 0 || c.read("a.txt") != "one\ntwo\n" || sprung() != "" {
			t.Errorf("the change that was hidden from git: %s", r)
		}
	})
}

// setTraps gives the checkout the settings by which git can be made to run a
// program.
func (c checkout) setTraps(program string) {
	c.w.t.Helper()
	c.write(".gitattributes", "* filter=trap diff=trap merge=trap\n")
	c.sh(`git add -A; git -c user.name=a -c user.email=a@b commit -qm attributes
		for h in post-checkout post-index-change pre-commit reference-transaction pre-auto-gc post-merge; do cp ` + program + ` .git/hooks/$h; done
		for k in core.fsmonitor core.sshCommand core.pager core.editor core.askPass core.alternateRefsCommand core.gitProxy gpg.program \
			filter.trap.clean filter.trap.smudge diff.external diff.trap.command diff.trap.textconv merge.trap.driver uploadpack.packObjectsHook \
			credential.helper pager.log remote.origin.uploadpack remote.origin.vcs; do git config $k ` + program + `; done
		git config filter.trap.required true; git config remote.origin.url ext::` + program + `
		git config extensions.partialClone origin; git config alias.rev-parse '!` + program + `'`)
}

func TestHostileConfigOfTheCheckoutRunsNothing(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		c := w.checkout(map[string]string{"a.txt": "one\n"})
		program, sprung := w.trap()
		c.setTraps(program)
		c.write("a.txt", "one\nedited\n")
		sprung()
		if c.git("status"); sprung() == "" {
			t.Fatal("the trap that this test needs doesn't spring")
		}
		c.sh("git config filter.trap.process " + program)
		before := c.snapshot()
		r := c.work("hostile", `cat a.txt; if grep -r trap .git/config .git/hooks; then echo "it travelled"; fi; echo two >> a.txt`, "--uncommitted")
		if ran := sprung(); ran != "" || r.code != 0 || r.stdout != "one\nedited\n" || c.snapshot() != before {
			t.Errorf("the host ran %q, or the checkout has changed: %s", ran, r)
		}
		r = w.run("apply", "hostile")
		if ran := sprung(); ran != "" || r.code != 0 || c.read("a.txt") != "one\nedited\ntwo\n" {
			t.Errorf("apply ran %q: %s", ran, r)
		}
	})
}

// Root in the guest can put its own program in the place of the git that reads the
// changes. By then nothing passes any more.
func TestNothingPassesOnceTheAgentHasEnded(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		if asked, r := w.askedByGit(t); r.code != 0 || !slices.Equal(asked, []string{"/during"}) || !strings.Contains(r.stderr, "b.txt") {
			t.Errorf("the upstream was asked for %q\n%s", asked, r)
		}
		w.nothingLeft()
	})
}

// askedByGit has an agent put a program in git's place that asks an upstream, and
// gives what the upstream was asked for.
func (w *world) askedByGit(t *testing.T) (asked []string, r result) {
	t.Helper()
	var mu sync.Mutex
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.Path)
	}))
	defer upstream.Close()
	c := w.checkout(map[string]string{"a.txt": "a\n"})
	flags := w.bottle("egress:\n  routes:\n    - {host: up.example, port: 80, connect_to: \""+upstream.Listener.Addr().String()+"\", addresses: [127.0.0.0/8]}\n",
		"sh", "-ec", `
		mkdir -p /usr/local/bin
		printf '#!/bin/sh\ncurl -s http://up.example/after >&2\nexec /usr/bin/git "$@"\n' >/usr/local/bin/git
		chmod 755 /usr/local/bin/git
		curl -sS http://up.example/during
		echo b >b.txt`)
	r = w.run(append(flags, "--root", "--workspace", c.dir)...)
	mu.Lock()
	defer mu.Unlock()
	return asked, r
}
