package runner

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/doors"
	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/doors/gitgate"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/runner/journal"
)

// isGitKey tells whether a secret is the key of a remote, which no other door is
// told.
func (p Plan) isGitKey(name string) bool {
	for _, g := range p.Policy.Git {
		if g.KeyName == name {
			return true
		}
	}
	return false
}

// tokens are the secrets that the egress door adds to requests.
func (p Plan) tokens() map[string]secret.Value {
	tokens := map[string]secret.Value{}
	for name, value := range p.Secrets {
		if !p.isGitKey(name) {
			tokens[name] = value
		}
	}
	return tokens
}

// known are the secrets that nothing that leaves may hold: those that doors add, the
// keys, and those that the guest was given.
func (p Plan) known() []secret.Value {
	var known []secret.Value
	for _, value := range p.Secrets {
		known = append(known, value)
	}
	known = append(known, p.inGuest()...)
	slices.SortFunc(known, func(a, b secret.Value) int { return strings.Compare(a.Name(), b.Name()) })
	return known
}

// inGuest are the secrets that the guest was given.
func (p Plan) inGuest() (known []secret.Value) {
	for _, v := range p.Policy.Env {
		if v.Secret {
			known = append(known, secret.New("env "+v.Name, v.Value))
		}
	}
	return known
}

// gitConfig is what the git-gate is told; nil: the bottle declares no remote.
func (r *run) gitConfig() *doors.GitConfig {
	if len(r.plan.Policy.Git) == 0 {
		return nil
	}
	c := &doors.GitConfig{Known: append(r.plan.known(), r.canary.known())}
	for _, g := range r.plan.Policy.Git {
		c.Remotes = append(c.Remotes, doors.GitRemote{GitRemote: g.ForRun(r.id), Key: r.plan.Secrets[g.KeyName]})
	}
	return c
}

// gitGate makes the folder of the git-gate's mirrors, and gives how its sidecar is
// started. It takes the listener from the others.
func (r *run) gitGate(ctx context.Context, listeners map[decision.Door]*net.UnixListener, decisions *os.File) (doors.StartOptions, error) {
	program, err := gitgate.FindGit()
	if err != nil {
		return doors.StartOptions{}, err
	}
	ports, err := r.gitPorts()
	if err != nil {
		return doors.StartOptions{}, err
	}
	dir := filepath.Join(r.deps.Places.mirrors(), r.id)
	user := gitUser(r.alias)
	err = r.journal.Effect(ctx, kindMirrors, runArgs{r.id}, journal.Local, func(context.Context) error {
		if err := r.deps.Places.ensureMirrors(); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		return os.Lchown(dir, user, user)
	})
	if err != nil {
		return doors.StartOptions{}, fmt.Errorf("making the folder of the git-gate's mirrors: %w", err)
	}
	listener := listeners[decision.GitGate]
	delete(listeners, decision.GitGate)
	return doors.StartOptions{
		Executable: r.deps.Executable, Listeners: map[decision.Door]*net.UnixListener{decision.GitGate: listener}, Decisions: decisions,
		UID: user, GID: user, Stderr: r.deps.Log, Git: &doors.GitPlace{Dir: dir, Program: program, Ports: ports},
	}, nil
}

// gitPorts are those of the upstreams, each once.
func (r *run) gitPorts() ([]uint16, error) {
	var ports []uint16
	for _, g := range r.plan.Policy.Git {
		u, err := gitgate.ParseAddress(g.URL)
		if err != nil {
			return nil, err
		}
		ports = append(ports, u.Port)
	}
	slices.Sort(ports)
	return slices.Compact(ports), nil
}

// gitEnvironment tells git in the guest to ask the git-gate whatever it is told by a
// declared remote's URL, in each of its forms (git-config(1), url.<base>.insteadOf),
// and whoever works there which branch is the run's.
func (r *run) gitEnvironment() []string {
	var pairs [][2]string
	for _, g := range r.plan.Policy.Git {
		gate := fmt.Sprintf("http://%s:%d/%s.git", r.alias, decision.GitGatePort, g.Name)
		for _, form := range urlForms(g) {
			pairs = append(pairs, [2]string{"url." + gate + ".insteadOf", form})
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	env := []string{fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(pairs)), "BOT_BOTTLE_BRANCH=" + branchOf(r.id)}
	for i, p := range pairs {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, p[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, p[1]))
	}
	return env
}

// branchOf is a run's own branch, as a bottle that says nothing else lets it be pushed.
func branchOf(run string) string {
	return strings.TrimPrefix(strings.ReplaceAll(policy.DefaultPush, policy.RunPlaceholder, run), "refs/heads/")
}

// urlForms are the ways in which people write one repository: by ssh, in git's short
// form, by https, and as its forge's server is called.
func urlForms(g policy.GitRemote) []string {
	u, err := gitgate.ParseAddress(g.URL)
	if err != nil {
		return nil
	}
	path := u.Repository()
	host := u.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	forms := []string{g.URL}
	bases := []string{
		fmt.Sprintf("ssh://%s@%s:%d/", u.User, host, u.Port), fmt.Sprintf("ssh://%s@%s/", u.User, host), fmt.Sprintf("%s@%s:", u.User, host), "https://" + host + "/",
	}
	if g.Server != "" {
		bases = append(bases, strings.TrimRight(g.Server, "/")+"/")
	}
	for _, base := range bases {
		forms = append(forms, base+path+".git", base+path)
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}
