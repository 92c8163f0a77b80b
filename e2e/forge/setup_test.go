package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// hostScope is the only scope of the host's token (docs/setup/gitea.md).
const hostScope = "write:repository"

// tokenForm finds the token in what `gitea admin user create` says.
var tokenForm = regexp.MustCompile(`\b[0-9a-f]{40}\b`)

// newBot makes an account for machines with a token of these scopes, as
// docs/setup/gitea.md says.
func (f *forgeServer) newBot(ctx context.Context, login, scopes string) (*client, error) {
	said, err := output(ctx, f.command(ctx, "admin", "user", "create", "--user-type", "bot", "--restricted", "--username", login, "--email", login+"@forge.invalid",
		"--access-token", "--access-token-name", "host-1", "--access-token-scopes", scopes))
	if err != nil {
		return nil, err
	}
	token := tokenForm.FindString(said)
	if token == "" {
		return nil, fmt.Errorf("no token in %q", said)
	}
	// An account for machines has no password, and has to change it all the same (1.26).
	_, err = output(ctx, f.command(ctx, "admin", "user", "must-change-password", "--unset", login))
	return &client{base: f.url + "/api/v1", login: login, token: token}, err
}

// publicKey makes a key pair and gives the public half.
func publicKey(t *testing.T) string {
	t.Helper()
	private := filepath.Join(t.TempDir(), "key")
	_, err := output(t.Context(), exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", private))
	must(t, err)
	public, err := os.ReadFile(private + ".pub")
	must(t, err)
	return strings.TrimSpace(string(public))
}

// code is the HTTP status of an answer that was no success; 200 of one that was.
func code(t *testing.T, err error) int {
	t.Helper()
	var r *refused
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &r):
		return r.code
	}
	t.Fatal(err)
	return 0
}

// asked is what the forge answers to each thing that bot-bottle asks with the host's
// token: what somebody may do, for the repository by its name and by its id, and for
// its deploy keys, of which one is added and removed.
type asked struct{ access, name, id, list, add, remove int }

func (r *repository) askAs(t *testing.T, c *client) (a asked) {
	t.Helper()
	ctx := t.Context()
	var known, key struct{ ID int64 }
	must(t, r.as.get(ctx, r.path(""), &known))
	a.access = code(t, c.get(ctx, r.path("/collaborators/ada/permission"), nil))
	a.name = code(t, c.get(ctx, r.path(""), nil))
	a.id = code(t, c.get(ctx, fmt.Sprintf("/repositories/%d", known.ID), nil))
	a.list = code(t, c.get(ctx, r.path("/keys"), nil))
	a.add = code(t, c.post(ctx, r.path("/keys"), map[string]any{"title": "tried", "key": publicKey(t), "read_only": false}, &key))
	a.remove = code(t, c.do(ctx, http.MethodDelete, r.path(fmt.Sprintf("/keys/%d", key.ID)), nil, nil))
	return a
}

// docs/setup/gitea.md says which permission and scope the host's token needs, and
// that nothing less will do.
func TestTheHostsTokenNeedsAdministrationAndOneScope(t *testing.T) {
	t.Parallel()
	f := theForge(t)
	r, err := f.newRepository(t.Context(), f.ada, "acme", "rights", false)
	must(t, err)
	for i, c := range []struct {
		scopes, permission string
		want               asked
	}{
		{hostScope, "admin", asked{200, 200, 200, 200, 200, 200}},
		{"read:repository", "admin", asked{200, 200, 200, 200, 403, 403}},
		{"write:issue,write:user,write:misc", "admin", asked{403, 403, 403, 403, 403, 403}},
		{hostScope, "write", asked{403, 200, 200, 403, 403, 403}},
	} {
		bot, err := f.newBot(t.Context(), fmt.Sprintf("bot-%d", i), c.scopes)
		must(t, err)
		must(t, r.collaborator(t.Context(), bot.login, c.permission))
		if got := r.askAs(t, bot); got != c.want {
			t.Errorf("%s of the repository, scopes %q: got %+v, want %+v", c.permission, c.scopes, got, c.want)
		}
	}
}

// ready gives a host that was set up as docs/setup/gitea.md says: its token is a
// bot's, which administers the repository and has no more than hostScope, and the
// bottle may push to the job's repository.
func ready(t *testing.T, name string) *host {
	t.Helper()
	rootOnly(t)
	h := newHost(t, name, true)
	bot, err := theForge(t).newBot(t.Context(), "bot-of-"+name, hostScope)
	must(t, err)
	must(t, h.repo.collaborator(t.Context(), bot.login, "admin"))
	h.write("home/forge-token", bot.token+"\n")
	h.configure("config.yaml", fmt.Sprintf("forges:\n  - url: %s\n    token: \"file:%s/home/forge-token\"\n    ssh: git@%s\n    host_key: %s\n", h.forge.url, h.dir, h.forge.ssh, h.hostKey()))
	h.configure("bottles/claude-dev.md", fmt.Sprintf("---\nfor: {repositories: [%s]}\ngit-gate:\n  user: {name: Claude, email: bottle@forge.invalid}\n  repos: {self: {key: {provider: gitea}}}\n---\n", h.repo.fullName()))
	return h
}

// hostKey is what `bot-bottle hostkey` says that the forge's SSH server has: the first
// of its lines, without the name.
func (h *host) hostKey() string {
	h.t.Helper()
	lines, err := h.bottle(h.t.Context(), "hostkey", h.forge.ssh)
	must(h.t, err)
	line, _, _ := strings.Cut(lines, "\n")
	_, key, ok := strings.Cut(line, " ")
	if !ok {
		h.t.Fatalf("no host key in %q", lines)
	}
	return key
}

// work is what the agent of a copied workflow does.
const work = "echo a change > new.txt; git add new.txt; git commit -qm done; git push -q; echo worked"

// copied is the workflow that is there to be copied, with a command for the bottle: an
// agent would need a model.
func copied(t *testing.T, name string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../workflows", name))
	must(t, err)
	const with = "with: { bottle: claude-dev, pull-request: true }"
	if strings.Contains(name, "agent-") && !strings.Contains(string(text), with) {
		t.Fatalf("%s has no %q", name, with)
	}
	changed := strings.ReplaceAll(string(text), with, "with: { bottle: claude-dev, pull-request: true, backend: gvisor, command: \"set -e; "+work+"\" }")
	return map[string]string{".gitea/workflows/" + filepath.Base(name): changed}
}

// endedWell looks at the job, the comment that tells of it, the commit's status, and the
// pull request of what was pushed. The key that pushed it is gone.
func (h *host) endedWell(of run, issue int64) {
	h.t.Helper()
	j, log := h.end(of)
	if j.Conclusion != "success" || !strings.Contains(log, "worked\n") {
		h.t.Errorf("the job ended with %q:\n%s", j.Conclusion, log)
	}
	said, err := h.repo.comments(h.t.Context(), issue)
	must(h.t, err)
	if last := said[len(said)-1]; last.User.Login != "gitea-actions" || !strings.Contains(last.Body, "passed") {
		h.t.Errorf("the last comment: %+v", last)
	}
	all, err := h.repo.statuses(h.t.Context(), of.HeadSHA)
	must(h.t, err)
	found := false
	for _, s := range all {
		found = found || s.State == "success" && strings.HasPrefix(s.Context, "bot-bottle: ")
	}
	if !found {
		h.t.Errorf("statuses: %+v", all)
	}
	pulls, err := h.repo.pullRequests(h.t.Context())
	must(h.t, err)
	if len(pulls) == 0 || pulls[0].State != "open" || !strings.HasPrefix(pulls[0].Head.Ref, "bottle/") || pulls[0].Base.Ref != "main" {
		h.t.Fatalf("pull requests: %+v", pulls)
	}
	must(h.t, h.repo.as.get(h.t.Context(), h.repo.path("/contents/new.txt?ref="+pulls[0].Head.Ref), nil))
	h.noKeys()
	h.awaitNothingLeft()
}

func TestTheWorkflowForCommentsWorksWithLeastRights(t *testing.T) {
	t.Parallel()
	h := ready(t, "on-comment")
	must(t, h.repo.commit(t.Context(), copied(t, "gitea/agent-on-comment.yml")))
	issue, err := h.repo.issue(t.Context(), h.repo.as, "the colour", "it is wrong")
	must(t, err)
	h.endedWell(h.commented(h.repo.as, issue, "@bottle please"), issue)
}

// labelled gives the repository a label and its id.
func (r *repository) labelled(ctx context.Context, name string) (int64, error) {
	var made struct{ ID int64 }
	return made.ID, r.as.post(ctx, r.path("/labels"), map[string]any{"name": name, "color": "#00aa00"}, &made)
}

func TestTheWorkflowForIssuesWorksWithLeastRights(t *testing.T) {
	t.Parallel()
	h := ready(t, "on-issue")
	label, err := h.repo.labelled(t.Context(), "bottle")
	must(t, err)
	other, err := h.repo.labelled(t.Context(), "other")
	must(t, err)
	must(t, h.repo.commit(t.Context(), copied(t, "gitea/agent-on-issue.yml")))
	labels := func(issue, label int64) func() error {
		return func() error {
			return h.repo.as.post(t.Context(), h.repo.path(fmt.Sprintf("/issues/%d/labels", issue)), map[string]any{"labels": []int64{label}}, nil)
		}
	}
	var opened struct{ Number int64 }
	withLabel := h.started(func() error {
		return h.repo.as.post(t.Context(), h.repo.path("/issues"), map[string]any{"title": "one", "body": "it is wrong", "labels": []int64{label}}, &opened)
	})
	h.endedWell(withLabel, opened.Number)
	if j, _ := h.end(h.started(labels(opened.Number, other))); j.Conclusion != "skipped" {
		t.Errorf("another label on an issue with the label: %q", j.Conclusion)
	}
	var strangers int64
	bare := h.started(func() (err error) {
		strangers, err = h.repo.issue(t.Context(), theForge(t).rob, "two", "it is wrong, too")
		return err
	})
	if j, _ := h.end(bare); j.Conclusion != "skipped" {
		t.Errorf("an issue without the label: %q", j.Conclusion)
	}
	h.endedWell(h.started(labels(strangers, label)), strangers)
}

// The title is one of ours, of another host, and over since 2001.
func TestTheWorkflowThatSweepsRemovesTheKeysOfLostHosts(t *testing.T) {
	t.Parallel()
	h := ready(t, "sweep")
	for _, title := range []string{"bot-bottle/abcdefgh234567/abcdefg234/1000000000", "somebody's own"} {
		must(t, h.repo.as.post(t.Context(), h.repo.path("/keys"), map[string]any{"title": title, "key": publicKey(t), "read_only": true}, nil))
	}
	must(t, h.repo.commit(t.Context(), copied(t, "gitea/sweep.yml")))
	r := h.started(func() error {
		return h.repo.as.post(t.Context(), h.repo.path("/actions/workflows/sweep.yml/dispatches"), map[string]any{"ref": "main"}, nil)
	})
	if j, log := h.end(r); j.Conclusion != "success" || !strings.Contains(log, "nothing to reap") || !strings.Contains(log, "removed") {
		t.Errorf("the job ended with %q:\n%s", j.Conclusion, log)
	}
	keys, err := h.repo.deployKeys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].Title != "somebody's own" {
		t.Errorf("deploy keys: %+v %v", keys, err)
	}
}

// Going over an owner's repositories takes one scope more, as docs/setup/gitea.md says.
// Other tests' repositories of the same owner are seen and not administered.
func TestSweepGoesOverAnOwnersRepositories(t *testing.T) {
	t.Parallel()
	h := ready(t, "owner")
	title := map[string]any{"title": "bot-bottle/abcdefgh234567/abcdefg234/1000000000", "key": publicKey(t), "read_only": true}
	must(t, h.repo.as.post(t.Context(), h.repo.path("/keys"), title, nil))
	files := copied(t, "gitea/sweep.yml")
	for path, text := range files {
		files[path] = strings.Replace(text, `--repository "$GITHUB_REPOSITORY"`, `--owner "${GITHUB_REPOSITORY%%/*}"`, 1)
	}
	must(t, h.repo.commit(t.Context(), files))
	sweep := func() (string, string) {
		j, log := h.end(h.started(func() error {
			return h.repo.as.post(t.Context(), h.repo.path("/actions/workflows/sweep.yml/dispatches"), map[string]any{"ref": "main"}, nil)
		}))
		return j.Conclusion, log
	}
	if end, log := sweep(); end != "failure" || !strings.Contains(log, "read:user") {
		t.Errorf("without the scope it ended with %q:\n%s", end, log)
	}
	bot, err := theForge(t).newBot(t.Context(), "lister", hostScope+",read:user")
	must(t, err)
	must(t, h.repo.collaborator(t.Context(), bot.login, "admin"))
	h.write("home/forge-token", bot.token+"\n")
	if end, log := sweep(); end != "success" || strings.Count(log, "removed  ") != 1 {
		t.Errorf("it ended with %q:\n%s", end, log)
	}
	keys, err := h.repo.deployKeys(t.Context())
	if err != nil || len(keys) != 0 {
		t.Errorf("deploy keys: %+v %v", keys, err)
	}
}

// What docs/setup/gitea.md has on Gitea's own command line is the token that its API
// gives for the jobs of the one repository.
func TestTheCommandLinesRunnerTokenIsOfOneRepository(t *testing.T) {
	t.Parallel()
	f := theForge(t)
	r, err := f.newRepository(t.Context(), f.ada, "acme", "runner-token", false)
	must(t, err)
	other, err := f.newRepository(t.Context(), f.ada, "acme", "runner-token-2", false)
	must(t, err)
	said, err := output(t.Context(), f.command(t.Context(), "actions", "generate-runner-token", "--scope", r.fullName()))
	must(t, err)
	lines := strings.Fields(said)
	var own, others struct{ Token string }
	must(t, r.as.post(t.Context(), r.path("/actions/runners/registration-token"), nil, &own))
	must(t, r.as.post(t.Context(), other.path("/actions/runners/registration-token"), nil, &others))
	if token := lines[len(lines)-1]; token != own.Token || token == others.Token {
		t.Errorf("the command line gave %q, the API %q, and for another repository %q", token, own.Token, others.Token)
	}
}

// A server whose DEFAULT_ACTIONS_URL is another finds the action by its whole URL.
func TestTheActionIsFoundByItsURL(t *testing.T) {
	t.Parallel()
	h := newHost(t, "by-url", true)
	steps := strings.Replace(uses("preflight-only: true"), "bot-bottle/action@v1", h.forge.url+"/bot-bottle/action@v1", 1)
	h.succeeds(steps, "ok host: ")
}
