package workspace_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/workspace"
)

// trap makes a program that leaves a mark when it runs.
type trap struct {
	t       *testing.T
	program string
	mark    string
}

func newTrap(t *testing.T) trap {
	t.Helper()
	dir := t.TempDir()
	tr := trap{t, filepath.Join(dir, "trap"), filepath.Join(dir, "sprung")}
	must(t, os.WriteFile(tr.program, []byte("#!/bin/sh\necho \"$0 $*\" >> "+tr.mark+"\ncat\n"), 0o755))
	return tr
}

func (tr trap) sprung() string {
	content, _ := os.ReadFile(tr.mark)
	return string(content)
}

// rigged names a program for everything that git has a setting for.
const rigged = `
[core]
	fsmonitor = TRAP
	hooksPath = HOOKS
	pager = TRAP
	editor = TRAP
	sshCommand = TRAP
	gitProxy = TRAP
	askPass = TRAP
	alternateRefsCommand = TRAP
	untrackedCache = true
	autocrlf = input
[filter "evil"]
	clean = TRAP
	smudge = TRAP
	process = TRAP
	required = true
[diff "evil"]
	textconv = TRAP
	command = TRAP
[diff]
	external = TRAP
[merge "evil"]
	driver = TRAP
[gpg]
	program = TRAP
[log]
	showSignature = true
[credential]
	helper = !TRAP
[uploadpack]
	packObjectsHook = TRAP
[pager]
	ls-tree = TRAP
	rev-parse = TRAP
[alias]
	rev-parse = !TRAP
[tar "tar"]
	command = TRAP
[remote "origin"]
	url = ext::TRAP
	uploadpack = TRAP
[sequence]
	editor = TRAP
[submodule]
	recurse = true
[fsck]
	skipList = TRAP
[gc]
	auto = 1
[maintenance]
	auto = true
`

// rig makes the repository name the trap wherever git can be told to run
// something.
func rig(r repo, tr trap) {
	config, err := os.OpenFile(r.path(".git/config"), os.O_APPEND|os.O_WRONLY, 0)
	must(r.t, err)
	_, err = strings.NewReplacer("TRAP", tr.program, "HOOKS", filepath.Dir(tr.program)).WriteString(config, rigged)
	must(r.t, err)
	must(r.t, config.Close())
	for _, hook := range []string{"post-checkout", "post-index-change", "pre-auto-gc", "reference-transaction", "fsmonitor-watchman", "pre-commit", "sendemail-validate"} {
		must(r.t, os.MkdirAll(r.path(".git/hooks"), 0o755))
		must(r.t, os.Symlink(tr.program, r.path(".git/hooks/"+hook)))
		must(r.t, os.Symlink(tr.program, filepath.Join(filepath.Dir(tr.program), hook)))
	}
}

// F10.
func TestNothingThatTheRepositoryConfiguresRuns(t *testing.T) {
	tr := newTrap(t)
	r := newRepo(t)
	r.write(".gitattributes", "* filter=evil diff=evil merge=evil ident\n")
	r.commit("attributes")
	changeFiles(r)
	rig(r, tr)
	must(t, os.WriteFile(r.path(".git/info/attributes"), []byte("* filter=evil diff=evil\n"), 0o644))

	// The trap works: this is what the owner's own git does.
	_, _ = r.tryGit(nil, "status")
	_, _ = r.tryGit(nil, "diff")
	if tr.sprung() == "" {
		t.Fatal("the trap isn't sprung by git itself")
	}
	must(t, os.Remove(tr.mark))

	for _, uncommitted := range []bool{false, true} {
		inside, base := r.guest(workspace.PackOptions{Uncommitted: uncommitted})
		if got := inside.tree(); got != base.Tree {
			t.Errorf("uncommitted=%v: files are tree %s, want %s", uncommitted, got, base.Tree)
		}
		if config := inside.read(".git/config"); strings.Contains(config, "trap") {
			t.Errorf("the guest has the host's config:\n%s", config)
		}
	}
	if got := tr.sprung(); got != "" {
		t.Errorf("ran:\n%s", got)
	}
}

// In a partial clone, git fetches a missing object by what the remote's config
// says, upload-pack command and all (CVE-2024-32004).
func TestMissingObjectsOfAPartialCloneAreNotFetched(t *testing.T) {
	tr := newTrap(t)
	for name, config := range map[string]map[string]string{
		"upload-pack": {"remote.origin.url": "file:///nonexistent", "remote.origin.uploadpack": tr.program},
		"ext":         {"remote.origin.url": "ext::" + tr.program, "protocol.ext.allow": "always", "protocol.allow": "always"},
		"ssh":         {"remote.origin.url": "ssh://nobody@127.0.0.1/x", "core.sshCommand": tr.program},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			blob := strings.TrimSpace(r.git("rev-parse", "HEAD:README.md"))
			tree := strings.TrimSpace(r.git("rev-parse", "HEAD:src"))
			checkout := r.open()
			r.remove(filepath.Join(".git/objects", blob[:2], blob[2:]))
			r.git("config", "core.repositoryformatversion", "1")
			r.git("config", "extensions.partialClone", "origin")
			r.git("config", "remote.origin.promisor", "true")
			for key, value := range config {
				r.git("config", key, value)
			}
			r.write(".git/objects/pack/pack-x.promisor", "")
			r.remove("README.md") // or git would make the object from it
			for _, uncommitted := range []bool{false, true} {
				_, err := checkout.Pack(t.Context(), workspace.PackOptions{Uncommitted: uncommitted}, io.Discard)
				if err == nil {
					t.Error("packing succeeded without an object")
				}
			}
			r.remove(filepath.Join(".git/objects", tree[:2], tree[2:]))
			_, err := workspace.Open(t.Context(), r.dir)
			if err == nil || !strings.Contains(hintsOf(err), "partial clone") {
				t.Errorf("opening gives %v, hints %q", err, hintsOf(err))
			}
			if got := tr.sprung(); got != "" {
				t.Errorf("ran:\n%s", got)
			}
		})
	}
}

// A filter that the user has configured for himself needn't be sprung by a
// repository's attributes either.
func TestFiltersOfTheUsersConfigDoNotRun(t *testing.T) {
	tr := newTrap(t)
	home := repo{t, t.TempDir()}
	home.write(".gitconfig", "[filter \"lfs\"]\n\tclean = "+tr.program+"\n\tsmudge = "+tr.program+"\n\trequired = true\n[core]\n\tfsmonitor = "+tr.program+"\n")
	t.Setenv("HOME", home.dir)
	t.Setenv("XDG_CONFIG_HOME", "")
	r := newRepo(t)
	r.write(".gitattributes", "*.big filter=lfs\n")
	r.write("a.big", "pointer\n")
	r.commit("lfs")
	r.write("a.big", "changed\n")
	inside, _ := r.guest(workspace.PackOptions{Uncommitted: true})
	if got := inside.read("a.big"); got != "changed\n" {
		t.Errorf("the guest has %q", got)
	}
	if got := tr.sprung(); got != "" {
		t.Errorf("ran:\n%s", got)
	}
}

func TestEnvironmentDoesNotReachGit(t *testing.T) {
	tr := newTrap(t)
	r := newRepo(t)
	other := newRepo(t)
	for name, value := range map[string]string{
		"GIT_DIR": other.path(".git"), "GIT_WORK_TREE": other.dir, "GIT_INDEX_FILE": "/nonexistent", "GIT_EXTERNAL_DIFF": tr.program,
		"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": tr.program, "GIT_EXEC_PATH": filepath.Dir(tr.program),
		"GIT_OBJECT_DIRECTORY": "/nonexistent", "GIT_TRACE": tr.mark, "GIT_TEMPLATE_DIR": "/nonexistent",
	} {
		t.Setenv(name, value)
	}
	var packed bytes.Buffer
	base, err := r.open().Pack(t.Context(), workspace.PackOptions{Uncommitted: true}, &packed)
	must(t, err)
	if got := strings.TrimSpace(r.git("rev-parse", "HEAD")); got != base.Commit {
		t.Errorf("packed %s, want %s", base.Commit, got)
	}
	if got := tr.sprung(); got != "" {
		t.Errorf("left a mark:\n%s", got)
	}
}

func TestCheckoutThatIsSomewhereElseByConfigIsReadWhereItLies(t *testing.T) {
	r := newRepo(t)
	elsewhere := t.TempDir()
	must(t, os.WriteFile(filepath.Join(elsewhere, "planted"), []byte("secret"), 0o600))
	r.git("config", "core.worktree", elsewhere)
	r.write("mine", "x")
	var packed bytes.Buffer
	_, err := r.open().Pack(t.Context(), workspace.PackOptions{Uncommitted: true}, &packed)
	must(t, err)
	inside := repo{t, t.TempDir()}
	untar(t, &packed, inside.dir)
	if got := inside.git("status", "--porcelain"); got != "?? mine\n" {
		t.Errorf("the guest has besides HEAD's files: %s", got)
	}
}
