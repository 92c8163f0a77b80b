package forge

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// repository is one of the forge's, with a client of its owner's.
type repository struct {
	forge       *forgeServer
	owner, name string
	as          *client // ada
}

// fullName is "owner/name".
func (r *repository) fullName() string { return r.owner + "/" + r.name }

// path is that of the API for the repository, with rest below it.
func (r *repository) path(rest string) string { return "/repos/" + r.fullName() + rest }

// newOrganisation makes one that belongs to the client's account.
func (c *client) newOrganisation(ctx context.Context, name string) error {
	return c.post(ctx, "/orgs", map[string]any{"username": name}, nil)
}

// newRepository makes a public one. Where it is to be pushed to as a whole it
// stays empty.
func (f *forgeServer) newRepository(ctx context.Context, as *client, owner, name string, empty bool) (*repository, error) {
	r := &repository{f, owner, name, as}
	err := as.post(ctx, "/orgs/"+owner+"/repos", map[string]any{"name": name, "auto_init": !empty, "default_branch": "main"}, nil)
	return r, err
}

// pushTree pushes the working tree in dir, but for what its .gitignore names, as one
// commit to main and as the tags. dir may be a checkout or not, and is only read.
func (r *repository) pushTree(ctx context.Context, dir string, tags ...string) error {
	aside, err := os.MkdirTemp("", "push-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	refs := []string{"HEAD:refs/heads/main"}
	for _, tag := range tags {
		refs = append(refs, "HEAD:refs/tags/"+tag)
	}
	for _, args := range [][]string{
		{"init", "--quiet"},
		{"add", "--all", "."},
		{"commit", "--quiet", "--message", "the working tree"},
		append([]string{"push", "--quiet", r.pushURL()}, refs...),
	} {
		if _, err := output(ctx, git(ctx, aside, dir, args...)); err != nil {
			return err
		}
	}
	return nil
}

// git is a git command with its data in dir and its files in tree. No configuration
// of the user's or the machine's reaches it.
func git(ctx context.Context, dir, tree string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "user.name=ada", "-c", "user.email=ada@forge.invalid"}, args...)...)
	cmd.Dir = tree
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_DIR=" + dir, "GIT_WORK_TREE=" + tree,
	}
	return cmd
}

// pushURL is the address of the repository with its owner's token.
func (r *repository) pushURL() string {
	u, _ := url.Parse(r.forge.url)
	u.User = url.UserPassword(r.as.login, r.as.token)
	return u.String() + "/" + r.fullName() + ".git"
}

// commit adds or replaces files on main, in one commit, as the repository's owner.
func (r *repository) commit(ctx context.Context, files map[string]string) error {
	var changes []map[string]string
	for _, path := range slices.Sorted(maps.Keys(files)) {
		change, err := r.change(ctx, path, files[path])
		if err != nil {
			return err
		}
		changes = append(changes, change)
	}
	return r.as.post(ctx, r.path("/contents"), map[string]any{"branch": "main", "message": "a change", "files": changes}, nil)
}

func (r *repository) change(ctx context.Context, path, content string) (map[string]string, error) {
	change := map[string]string{"operation": "create", "path": path, "content": base64.StdEncoding.EncodeToString([]byte(content))}
	var there struct{ SHA string }
	err := r.as.get(ctx, r.path("/contents/"+path), &there)
	if absent(err) {
		return change, nil
	}
	change["operation"], change["sha"] = "update", there.SHA
	return change, err
}

// collaborator gives the account the permission: read, write or admin.
func (r *repository) collaborator(ctx context.Context, login, permission string) error {
	return r.as.put(ctx, r.path("/collaborators/"+login), map[string]any{"permission": permission})
}

// issue opens one as the client's account, and gives its number.
func (r *repository) issue(ctx context.Context, as *client, title, body string) (int64, error) {
	var made struct{ Number int64 }
	err := as.post(ctx, r.path("/issues"), map[string]any{"title": title, "body": body}, &made)
	return made.Number, err
}

// comment writes one as the client's account, which fires issue_comment.
func (r *repository) comment(ctx context.Context, as *client, issue int64, body string) error {
	return as.post(ctx, r.path(fmt.Sprintf("/issues/%d/comments", issue)), map[string]any{"body": body}, nil)
}

// comment is one of an issue or pull request.
type comment struct {
	ID   int64
	Body string
	User struct{ Login string }
}

func (r *repository) comments(ctx context.Context, issue int64) (all []comment, err error) {
	return all, r.as.get(ctx, r.path(fmt.Sprintf("/issues/%d/comments", issue)), &all)
}

// deployKey is a key that may fetch from the repository, or push to it too.
type deployKey struct {
	ID          int64
	Title       string
	Fingerprint string
	ReadOnly    bool `json:"read_only"`
}

func (r *repository) deployKeys(ctx context.Context) (all []deployKey, err error) {
	return all, r.as.get(ctx, r.path("/keys"), &all)
}

// status is what somebody said of a commit.
type status struct {
	State       string `json:"status"`
	Context     string
	Description string
	Creator     struct{ Login string }
}

func (r *repository) statuses(ctx context.Context, commit string) (all []status, err error) {
	return all, r.as.get(ctx, r.path("/commits/"+commit+"/statuses"), &all)
}

// branch is one with the commit that it is at.
type branch struct {
	Name   string
	Commit struct{ ID string }
}

func (r *repository) branches(ctx context.Context) (all []branch, err error) {
	return all, r.as.get(ctx, r.path("/branches"), &all)
}

// pullRequest is one, open or not.
type pullRequest struct {
	Number      int64
	Title, Body string
	State       string
	Head, Base  struct{ Ref, SHA string }
}

func (r *repository) pullRequests(ctx context.Context) (all []pullRequest, err error) {
	return all, r.as.get(ctx, r.path("/pulls?state=all"), &all)
}

// repositoryRoot is the folder of the module that this one lives in.
func repositoryRoot() (string, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil || !strings.HasPrefix(string(b), "module github.com/bot-bottle/action\n") {
		return "", fmt.Errorf("%q is not the repository: %w", root, err)
	}
	return root, nil
}
