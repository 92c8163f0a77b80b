package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/doors/gitgate"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/workspace"
)

// Clone says which of the bottle's git remotes the guest's workspace is a clone of.
type Clone struct {
	// Remote is its name. In a Request it is empty: the job's own repository, where
	// the bottle declares it.
	Remote string
	Commit string // what is checked out; empty: what the upstream's HEAD leads to
	Ref    string // where the upstream has the commit, too: "refs/pull/7/head"; empty: in a branch or tag
}

// selfRemote names the remote that is the job's own repository; empty: the bottle
// declares none.
func selfRemote(p policy.Policy, req Request) string {
	for _, g := range p.Git {
		if isSelf(g, req) {
			return g.Name
		}
	}
	return ""
}

// clone is c, of the job's own repository.
func (p *Plan) clone(c Clone) *Clone {
	c.Remote = p.Self
	if c.Ref != "" {
		remote := p.remote(c.Remote)
		remote.Also = append(remote.Also, c.Ref)
	}
	return &c
}

// isSelf tells whether a remote is the job's own repository, by name or by address.
func isSelf(g policy.GitRemote, req Request) bool {
	if g.Name == policy.SelfRemote || req.Self == nil {
		return g.Name == policy.SelfRemote
	}
	a, errA := gitgate.ParseAddress(g.URL)
	b, errB := gitgate.ParseAddress(req.Self.URL)
	return errA == nil && errB == nil && strings.EqualFold(a.Host, b.Host) && strings.EqualFold(a.Repository(), b.Repository())
}

// remote gives the one with this name, which is there.
func (p *Plan) remote(name string) *policy.GitRemote {
	return &p.Policy.Git[slices.IndexFunc(p.Policy.Git, func(g policy.GitRemote) bool { return g.Name == name })]
}

// hasWorkspace tells whether the guest is given something to work on.
func (p *Plan) hasWorkspace() bool { return p.Workspace != nil || p.Clone != nil }

// advice tells an agent CLI how its work leaves.
func (p *Plan) advice() string {
	if p.Clone == nil || len(p.remote(p.Clone.Remote).Push) == 0 {
		return ""
	}
	return "The current folder is a git clone on a branch of your own. When the work is done, commit it and run `git push`, without further arguments: " +
		"only what was pushed counts. The push is scanned; where it is refused, it says why."
}

// cloneTimeout bounds the first fetch of a repository and its way into the guest.
const cloneTimeout = 20 * time.Minute

// cloneScript runs in the guest, as the agent and before it. By the remote's own URL
// git asks the git-gate (gitEnvironment). It prints the commit and its tree.
const cloneScript = `set -eu
git clone --quiet --no-checkout -- "$1" .
if [ -n "$2" ] && ! git cat-file -e "$2^{commit}" 2>/dev/null; then git fetch --quiet origin "${3:-$2}"; fi
git checkout --quiet --no-track -B "$4" "${2:-HEAD}"
git config push.default current
git config user.name >/dev/null || git config user.name bot-bottle
git config user.email >/dev/null || git config user.email bot-bottle@localhost
git rev-parse HEAD 'HEAD^{tree}'
`

// maxCloneOutput is room for two object ids.
const maxCloneOutput = 256

// cloneWorkspace has the guest clone its workspace through the git-gate.
func (p *Proven) cloneWorkspace(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, cloneTimeout, fmt.Errorf("cloning took longer than %s", term.Duration(cloneTimeout)))
	defer cancel()
	if err := p.sidecar.Phase(ctx, "workspace"); err != nil {
		return p.explainBreak(err)
	}
	c := p.plan.Clone
	var out, said bytes.Buffer
	outcome, err := p.exec(ctx, Task{
		Name: "clone", Argv: []string{"/bin/sh", "-c", cloneScript, "bot-bottle-clone", p.plan.remote(c.Remote).URL, c.Commit, c.Ref, branchOf(p.id)},
		Stdout: &bounded{w: &out, left: maxCloneOutput}, Stderr: &bounded{w: &said, left: maxSaid},
	})
	if err != nil {
		return err
	}
	if outcome.Code != 0 {
		return term.Errorf(term.StageWork, "workspace", "cloning %q into the guest: %w", c.Remote, outcome.failed(said.String())).
			WithHint("the image needs git and /bin/sh; what the git-gate refused it says above")
	}
	p.base, err = baseOf(out.String(), c.Commit)
	return inStage(term.StageWork, wrap("cloning the workspace", err))
}

// idForm is that of an object id.
var idForm = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// baseOf reads what the script printed.
func baseOf(printed, commit string) (workspace.Base, error) {
	ids := strings.Fields(printed)
	if len(ids) != 2 || !idForm.MatchString(ids[0]) || !idForm.MatchString(ids[1]) || commit != "" && ids[0] != commit {
		return workspace.Base{}, errors.New("the guest doesn't say what it has checked out")
	}
	return workspace.Base{Commit: ids[0], Tree: ids[1]}, nil
}
