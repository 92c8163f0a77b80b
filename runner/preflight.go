package runner

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/doors/gitgate"
	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/workflow"
	"github.com/bot-bottle/action/preflight"
)

// Survey is what preflight found.
type Survey struct {
	Host     []preflight.Finding // for whatever backend
	Backends []Prospect          // strongest first
}

// Prospect is a backend that a job could use.
type Prospect struct {
	Backend  string
	Findings []preflight.Finding
}

// Ready tells whether nothing of the backend's own stands in the way.
func (p Prospect) Ready() bool { return len(preflight.Failed(p.Findings)) == 0 }

// Backend gives the backend that a job would get, or "" where none can run here.
func (s Survey) Backend() string {
	if len(preflight.Failed(s.Host)) > 0 {
		return ""
	}
	for _, p := range s.Backends {
		if p.Ready() {
			return p.Backend
		}
	}
	return ""
}

// Findings gives all of them, the host's first.
func (s Survey) Findings() []preflight.Finding {
	all := s.Host
	for _, p := range s.Backends {
		all = append(all[:len(all):len(all)], p.Findings...)
	}
	return all
}

// Err is nil where a job can run, and else says why not, with the remedies.
func (s Survey) Err() error {
	if s.Backend() != "" {
		return nil
	}
	rejected := map[string][]preflight.Finding{}
	if failed := preflight.Failed(s.Host); len(failed) > 0 {
		rejected["host"] = failed
	}
	for _, p := range s.Backends {
		if !p.Ready() {
			rejected[p.Backend] = preflight.Failed(p.Findings)
		}
	}
	return noBackend(rejected)
}

// SurveyOptions say what is looked at besides the host and its backends.
type SurveyOptions struct {
	Backend   string   // a backend's name; Auto or "": each that this build has
	Policy    []string // folders that bottles come from
	Runner    bool     // a CI job asks: the folders of Policy must not be its own
	Workspace string   // a checkout whose workflows are read; empty: none
}

// Preflight asks whether this host can run a job, without a job and without any
// effect. An error is about the backend's name.
func Preflight(ctx context.Context, o SurveyOptions, deps Deps) (Survey, error) {
	o.Backend = cmp.Or(o.Backend, Auto)
	if err := CheckBackend(o.Backend, deps.Backends); err != nil {
		return Survey{}, err
	}
	asked := slices.DeleteFunc(slices.Clone(deps.Backends), func(b backends.Backend) bool {
		return o.Backend != Auto && o.Backend != b.Name()
	})
	s := Survey{Backends: make([]Prospect, len(asked))}
	var all sync.WaitGroup
	all.Go(func() { s.Host = preflight.Run(ctx, append(hostChecks(Plan{}, deps), o.checks()...)) })
	for i, b := range asked {
		all.Go(func() {
			s.Backends[i] = Prospect{b.Name(), preflight.Run(ctx, backends.Looked(ctx, b).Checks(Plan{}.spec(deps, "preflight", preflightAlias)))}
		})
	}
	all.Wait()
	if o.Backend == Auto {
		s.Backends = append(s.Backends, absent(ctx, deps)...)
	}
	return s, nil
}

// absent looks at what the backends that this build doesn't have will need.
func absent(ctx context.Context, deps Deps) (list []Prospect) {
	host := preflight.ThisHost()
	for name, checks := range map[string][]preflight.Check{
		"smolmachines": {preflight.KVM(host, "/dev/kvm"), preflight.Smolvm(host)},
	} {
		if CheckBackend(name, deps.Backends) == nil {
			continue
		}
		missing := preflight.Check{ID: "backend", Subject: name, Run: func(context.Context) preflight.Finding {
			return host.Found(backendAbsent, "not in this version")
		}}
		list = append(list, Prospect{name, preflight.Run(ctx, append(checks, missing))})
	}
	slices.SortFunc(list, func(a, b Prospect) int { return strings.Compare(b.Backend, a.Backend) })
	return list
}

var backendAbsent = preflight.Entry{ID: "backend-absent", Status: preflight.Fail, Meaning: "This version of bot-bottle doesn't have the backend yet; what the host has for it is looked at all the same.",
	Remedies: []preflight.Remedy{{Text: "use another backend, or a newer version of bot-bottle"}}}

// hostChecks are those that every backend needs.
func hostChecks(plan Plan, deps Deps) []preflight.Check {
	host, spec := preflight.ThisHost(), plan.spec(deps, "preflight", preflightAlias)
	checks := []preflight.Check{
		preflight.Platform(host),
		preflight.Binary(host, spec.Executable, spec.UserID),
		preflight.State(host, deps.Places.State),
		preflight.Clock(host, time.Now, filepath.Join(deps.Places.State, "ledger.db")),
		preflight.ControlGroup(host, spec.Limits.MemoryBytes),
		preflight.Memory(host, spec.Limits.MemoryBytes),
		preflight.Processors(host, spec.Limits.CPUs, runtime.NumCPU()),
		preflight.Disk(host, spec.Disk, spec.Limits.DiskBytes),
	}
	if len(plan.Policy.Git) > 0 {
		checks = append(checks, preflight.Check{ID: "git", Subject: "git", Run: func(context.Context) preflight.Finding { return checkGit(host) }})
	}
	return checks
}

// checkGit looks for the git that the git-gate runs.
func checkGit(host preflight.Host) preflight.Finding {
	program, err := gitgate.FindGit()
	if err != nil {
		return host.Found(gitMissing, err.Error())
	}
	return preflight.Passed(program)
}

// PreflightEntries are what this package's own checks can find.
func PreflightEntries() []preflight.Entry {
	return []preflight.Entry{policyMissing, policyWritable, workflowExposed, backendAbsent, gitMissing}
}

var (
	policyMissing = preflight.Entry{ID: "policy-missing", Status: preflight.Warn, Meaning: "The runner has no bottle yet but the built-in ones, which name no repository that they serve.",
		Remedies: []preflight.Remedy{{Distro: "nixos", Text: "write one with `bot-bottle init`, and take it in by environment.etc.\"bot-bottle/bottles/NAME.md\".source"}, {Text: "write one with `bot-bottle init`, and put it into /etc/bot-bottle/bottles as root"}}}
	gitMissing = preflight.Entry{ID: "git-missing", Status: preflight.Fail, Meaning: "The bottle declares git remotes, and the git-gate finds no git on this host's PATH.",
		Remedies: []preflight.Remedy{{Distro: "nixos", Text: "add pkgs.git to the path of the runner's service"}, {Text: "install git, on the PATH of the runner's service"}}}
	policyWritable = preflight.Entry{ID: "policy-writable", Status: preflight.Warn, Meaning: "The runner's user can change the policy that its jobs run under.",
		Remedies: []preflight.Remedy{{Distro: "nixos", Text: "write the bottles by environment.etc.\"bot-bottle/bottles/NAME.md\".text, so that they are root's"}, {Text: "chown -R root: {path} && chmod -R go-w {path}"}}}
	workflowExposed = preflight.Entry{ID: "workflow-exposed", Status: preflight.Warn, Meaning: "A workflow of the repository would run, on this host and outside of any bottle, what an agent has pushed to a branch.",
		Remedies: []preflight.Remedy{{Text: "let it start on pushes to protected branches only (`on: { push: { branches: [main] } }`), or run it in a container, on a runner whose label is not of the kind `:host`; a bottle that pushes to the repository starts no job until then, unless it accepts the file by name with `git-gate.repos.NAME.host_workflows`"}}}
)

// checks are those of the operator's files and the repository's.
func (o SurveyOptions) checks() []preflight.Check {
	host := preflight.ThisHost()
	checks := []preflight.Check{{ID: "policy", Subject: strings.Join(o.Policy, ", "), Run: func(context.Context) preflight.Finding { return o.checkPolicy(host) }}}
	if o.Workspace != "" {
		checks = append(checks, preflight.Check{ID: "workflows", Subject: o.Workspace, Run: func(context.Context) preflight.Finding { return o.checkWorkflows(host) }})
	}
	return checks
}

// checkPolicy looks at the bottles and, under a runner, at who can change them.
func (o SurveyOptions) checkPolicy(host preflight.Host) preflight.Finding {
	var bottles []string
	for _, dir := range o.Policy {
		found, _ := filepath.Glob(filepath.Join(dir, "*.md"))
		bottles = append(bottles, found...)
	}
	switch {
	case !o.Runner:
		return preflight.Passed(fmt.Sprintf("bottles: %d, and the built-in ones", len(bottles)))
	case len(bottles) == 0:
		return host.Found(policyMissing, "no bottle there")
	}
	for _, path := range bottles {
		if changeable := manifest.Writable(path); changeable != "" {
			return host.Found(policyWritable, fmt.Sprintf("%q can be changed by this user", changeable), "{path}", changeable)
		}
	}
	return preflight.Passed(fmt.Sprintf("bottles: %d, not this user's to change", len(bottles)))
}

// agentBranch is a branch as agents' pushes make them, where a bottle names no others.
var agentBranch = branchOf("preflight")

// toldJobs bounds the jobs that a finding lists.
const toldJobs = 5

func (o SurveyOptions) checkWorkflows(host preflight.Host) preflight.Finding {
	exposed, err := workflow.Find(o.Workspace, agentBranch)
	if err != nil {
		return host.Found(workflowExposed, err.Error())
	}
	if len(exposed) == 0 {
		return preflight.Passed("none runs a pushed branch on this host")
	}
	var jobs []string
	for _, e := range exposed[:min(len(exposed), toldJobs)] {
		jobs = append(jobs, e.String())
	}
	if more := len(exposed) - len(jobs); more > 0 {
		jobs = append(jobs, fmt.Sprintf("and %d more", more))
	}
	return host.Found(workflowExposed, strings.Join(jobs, "; "))
}
