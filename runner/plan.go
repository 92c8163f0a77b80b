package runner

import (
	"context"
	"io"
	"net/netip"
	"time"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/forge/deploykey"
	"github.com/bot-bottle/action/internal/image"
	"github.com/bot-bottle/action/internal/meter"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/workspace"
	"github.com/bot-bottle/action/preflight"
	"github.com/bot-bottle/action/runner/ledger"
	"github.com/rs/zerolog"
)

// Plan is everything that a job is going to do, resolved. Making one has no
// effect on the host.
type Plan struct {
	Name      string // of the run; unique among living ones; empty: made from the id
	Bottle    string // name of the bottle; empty: the one without any route
	Agent     string // name of the agent; empty: a command from the command line
	Policy    policy.Policy
	Secrets   map[string]secret.Value // by policy.Auth.TokenName
	Task      Task                    // none, if Argv is empty
	Trials    []Trial                 // made after the proof and before the task
	Workspace *Workspace              // what the guest's /workspace is a copy of; nil: see Clone
	Clone     *Clone                  // what it is a clone of; nil as well: it is empty
	Backend   string                  // a backend's name, or Auto
	ReportDir string                  // empty: in the state folder
	Lineage   []string                // names of the bottle's files, the root first; empty: none
	Provider  string                  // who works: claude, codex, gemini or command
	// Resolver is asked by the egress door for names; the zero value: the host's
	// own are.
	Resolver netip.AddrPort
	// UnderRunner says that a CI job asked for it, whose environment is not the host's.
	UnderRunner bool
	Warnings    []string // what somebody should know before the job starts
}

// Auto lets the strongest backend be taken that this host can run.
const Auto = "auto"

// Trial is work of ours in a proven guest before the agent's: the escape suite is
// one. Its error ends the job before any agent code runs; one of stage escape
// says that an attack succeeded or could not be judged.
type Trial interface {
	Name() string
	Try(context.Context, *Proven) error
}

// Task is work to be done in a proven guest.
type Task struct {
	Name string   // as reports call it
	Argv []string // resolved in the guest, by its PATH
	Env  []string // NAME=value, in addition to the guest's own
	Root bool     // run as root in the guest instead of as the agent
	// Stdout and Stderr take what the task writes, unaltered.
	Stdout, Stderr io.Writer
	Stdin          io.Reader // nil: empty
}

// Workspace says which checkout the guest is given a copy of.
type Workspace struct {
	Dir         string   // the host's checkout; never mounted
	Uncommitted bool     // its uncommitted changes are part of the copy
	Allow       []string // patterns of paths that a patch may change although the host would run them
}

// Check finds out, before anything is started, whether the checkout can be
// copied and the patterns can be read.
func (w *Workspace) Check(ctx context.Context) error {
	if err := workspace.ValidateAllow(w.Allow); err != nil {
		return err
	}
	_, err := workspace.Open(ctx, w.Dir)
	return err
}

// Deps are what a job needs of the process that it runs in.
type Deps struct {
	Places     Places
	Ledger     *ledger.Ledger
	Backends   []backends.Backend // strongest first
	Executable string             // our static binary, by a path that can be bound
	Version    string
	Log        zerolog.Logger
	Stdout     Output   // the agent's output, made harmless; nil: not shown
	Stderr     Output   // likewise
	Progress   Progress // nil: nobody is told
	// Registries says how images are pulled; the zero value is with no login.
	Registries image.Registries
	// Prices say what a model's tokens cost.
	Prices meter.Prices
	// KeyHelper makes deploy keys, in a process of its own. KeyForge is asked to remove
	// them, when nothing of a guest's runs any more. Both use the host's credentials.
	KeyHelper deploykey.Helper
	KeyForge  deploykey.Connect
}

// Progress is told of the stages of a job as they begin and end.
type Progress interface {
	Begin(stage string)
	End(stage string, took time.Duration, ok bool)
}

// Teller is a Progress that also takes a line about the stage under way, where it
// takes long.
type Teller interface {
	Progress
	Tell(line string)
}

// chosen is the backend that a job will use, and what preflight found.
type chosen struct {
	backend  backends.Backend
	findings []preflight.Finding            // of the host and of the backend
	rejected map[string][]preflight.Finding // by backend: why not
}

// spec is the guest of plan as far as it is known before launch: preflight needs
// no more.
func (p Plan) spec(deps Deps, run string, alias netip.Addr) backends.Spec {
	return backends.Spec{
		Run:        run,
		Alias:      alias,
		Doors:      deps.Places.doors(run),
		Disk:       deps.Places.disk(run),
		Executable: deps.Executable,
		UserID:     guestUser(alias),
		Image:      p.Policy.Image,
		Isolation:  p.Policy.Isolation,
		Limits:     p.Policy.Limits.WithDefaults(),
		Root:       p.Task.Root,
	}
}

// preflightAlias stands in for the alias that a run has not been given yet.
var preflightAlias = netip.AddrFrom4([4]byte{127, 0, 0, 15})

// choose runs the checks of the backends that plan allows, in order, and takes
// the first without a failure. A named backend never falls back.
func choose(ctx context.Context, plan Plan, deps Deps) (chosen, error) {
	c := chosen{rejected: map[string][]preflight.Finding{}}
	if err := CheckBackend(plan.Backend, deps.Backends); err != nil {
		return c, err
	}
	hosts := make(chan []preflight.Finding, 1)
	go func() { hosts <- preflight.Run(ctx, hostChecks(plan, deps)) }()
	for _, b := range deps.Backends {
		if plan.Backend != Auto && plan.Backend != b.Name() {
			continue
		}
		b = backends.Looked(ctx, b)
		findings := preflight.Run(ctx, b.Checks(plan.spec(deps, "preflight", preflightAlias)))
		failed := preflight.Failed(findings)
		if len(failed) == 0 {
			c.backend, c.findings = b, findings
			break
		}
		c.rejected[b.Name()] = failed
	}
	host := <-hosts
	if failed := preflight.Failed(host); len(failed) > 0 {
		c.backend, c.rejected["host"] = nil, failed
	}
	if c.backend == nil {
		return c, noBackend(c.rejected)
	}
	c.findings = append(host, c.findings...)
	return c, nil
}
