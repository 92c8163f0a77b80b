package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/objectid"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/workspace"
)

// Clone says what of the job's own repository, policy.SelfRemote, the guest's workspace
// is a clone of.
type Clone struct {
	Commit string // what is checked out; empty: what the upstream's HEAD leads to
	Ref    string // where the upstream has the commit, too: "refs/pull/7/head"; empty: in a branch or tag
}

// clone has the guest get the clone c in the place of a workspace, where the bottle
// declares the job's repository.
func (p *Plan) clone(c *Clone) {
	self := p.self()
	if c == nil || self == nil {
		return
	}
	if c.Ref != "" {
		self.Also = append(self.Also, c.Ref)
	}
	p.Clone, p.Workspace = c, nil
}

// self is the job's own repository; nil: the bottle doesn't declare it.
func (p *Plan) self() *policy.GitRemote {
	i := slices.IndexFunc(p.Policy.Git, func(g policy.GitRemote) bool { return g.Name == policy.SelfRemote })
	if i < 0 {
		return nil
	}
	return &p.Policy.Git[i]
}

// hasWorkspace tells whether the guest is given something to work on.
func (p *Plan) hasWorkspace() bool { return p.Workspace != nil || p.Clone != nil }

// advice tells an agent CLI how its work leaves.
func (p *Plan) advice() string {
	if p.Clone == nil || len(p.self().Push) == 0 {
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
		Name: "clone", Argv: []string{"/bin/sh", "-c", cloneScript, "bot-bottle-clone", p.plan.self().URL, c.Commit, c.Ref, branchOf(p.id)},
		Stdout: &bounded{w: &out, left: maxCloneOutput}, Stderr: &bounded{w: &said, left: maxSaid},
	})
	if err != nil {
		return err
	}
	if outcome.Code != 0 {
		return term.Errorf(term.StageWork, "workspace", "cloning the job's repository into the guest: %w", outcome.failed(said.String())).
			WithHint("the image needs git and /bin/sh; what the git-gate refused it says above")
	}
	p.base, err = baseOf(out.String(), c.Commit)
	return inStage(term.StageWork, wrap("cloning the workspace", err))
}

// baseOf reads what the script printed.
func baseOf(printed, commit string) (workspace.Base, error) {
	ids := strings.Fields(printed)
	if len(ids) != 2 || !objectid.Is(ids[0]) || !objectid.Is(ids[1]) || commit != "" && ids[0] != commit {
		return workspace.Base{}, errors.New("the guest doesn't say what it has checked out")
	}
	return workspace.Base{Commit: ids[0], Tree: ids[1]}, nil
}
