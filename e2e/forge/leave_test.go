package forge

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// addDeployKey makes a key pair in dir and lets it push to the repository. It gives
// the file of the private half.
func (r *repository) addDeployKey(ctx context.Context, dir, title string) (string, error) {
	private := filepath.Join(dir, "deploy-key")
	keygen := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", private)
	if _, err := output(ctx, keygen); err != nil {
		return "", err
	}
	public, err := os.ReadFile(private + ".pub")
	if err != nil {
		return "", err
	}
	key := map[string]any{"title": title, "key": strings.TrimSpace(string(public)), "read_only": false}
	return private, r.as.post(ctx, r.path("/keys"), key, nil)
}

// sshURL is the repository's address at the forge's SSH server.
func (r *repository) sshURL() string { return "ssh://git@" + r.forge.ssh + "/" + r.fullName() + ".git" }

// hostKey is the line of known_hosts for the forge's SSH server.
func (f *forgeServer) hostKey(ctx context.Context) (string, error) {
	host, port, _ := strings.Cut(f.ssh, ":")
	return output(ctx, exec.CommandContext(ctx, "ssh-keyscan", "-t", "rsa,ed25519", "-T", "60", "-p", port, host))
}

// hostKeyOnly is the key without the server's name: "TYPE BASE64".
func (f *forgeServer) hostKeyOnly(t *testing.T) string {
	t.Helper()
	known, err := f.hostKey(t.Context())
	must(t, err)
	for line := range strings.Lines(known) {
		if fields := strings.Fields(line); len(fields) == 3 {
			return fields[1] + " " + fields[2]
		}
	}
	t.Fatalf("the server has no key: %s", known)
	return ""
}

// pushBySSH clones the repository with the key and pushes a change as a branch. The
// server has to have the host key that the forge has.
func (r *repository) pushBySSH(t *testing.T, private, branch string) {
	t.Helper()
	known, err := r.forge.hostKey(t.Context())
	must(t, err)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "known_hosts"), []byte(known), 0o600))
	ssh := fmt.Sprintf("ssh -F none -i %s -o IdentitiesOnly=yes -o UserKnownHostsFile=%s/known_hosts -o StrictHostKeyChecking=yes", private, dir)
	script := `git clone -q "$0" clone && cd clone && git checkout -q -b "$1" && echo more > more.txt && git add . && git commit -q -m more && git push -q origin "$1"`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script, r.sshURL(), branch)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_SSH_COMMAND=" + ssh,
		"GIT_AUTHOR_NAME=ada", "GIT_AUTHOR_EMAIL=ada@forge.invalid", "GIT_COMMITTER_NAME=ada", "GIT_COMMITTER_EMAIL=ada@forge.invalid",
	}
	_, err = output(t.Context(), cmd)
	must(t, err)
}

// What a job may leave on the forge is looked for by these means, so that each of
// them has to find what is there.
func TestTheForgeTellsWhatAJobLeft(t *testing.T) {
	t.Parallel()
	f := theForge(t)
	r, err := f.newRepository(t.Context(), f.ada, "acme", "leave", false)
	must(t, err)
	private, err := r.addDeployKey(t.Context(), t.TempDir(), "bot-bottle/here/run/0")
	must(t, err)
	keys, err := r.deployKeys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].Title != "bot-bottle/here/run/0" || keys[0].ReadOnly || keys[0].Fingerprint == "" {
		t.Errorf("deploy keys: %+v %v", keys, err)
	}
	r.pushBySSH(t, private, "bottle/run")
	head := r.headOf(t, "bottle/run")
	must(t, r.as.post(t.Context(), r.path("/statuses/"+head), map[string]any{"state": "pending", "context": "bot-bottle"}, nil))
	all, err := r.statuses(t.Context(), head)
	if err != nil || len(all) != 1 || all[0].State != "pending" || all[0].Context != "bot-bottle" || all[0].Creator.Login != "ada" {
		t.Errorf("statuses: %+v %v", all, err)
	}
	must(t, r.as.post(t.Context(), r.path("/pulls"), map[string]any{"head": "bottle/run", "base": "main", "title": "a change"}, nil))
	pulls, err := r.pullRequests(t.Context())
	if err != nil || len(pulls) != 1 || pulls[0].State != "open" || pulls[0].Head.SHA != head || pulls[0].Base.Ref != "main" {
		t.Fatalf("pull requests: %+v %v", pulls, err)
	}
	must(t, r.comment(t.Context(), f.rob, pulls[0].Number, "looks right"))
	said, err := r.comments(t.Context(), pulls[0].Number)
	if err != nil || len(said) != 1 || said[0].Body != "looks right" || said[0].User.Login != "rob" {
		t.Errorf("comments: %+v %v", said, err)
	}
}

// headOf is the commit of a branch that has to be there.
func (r *repository) headOf(t *testing.T, name string) string {
	t.Helper()
	all, err := r.branches(t.Context())
	must(t, err)
	for _, b := range all {
		if b.Name == name {
			return b.Commit.ID
		}
	}
	t.Fatalf("there is no branch %q in %+v", name, all)
	return ""
}
