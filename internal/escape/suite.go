package escape

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/collector"
	"github.com/bot-bottle/action/internal/escape/attack"
	"github.com/bot-bottle/action/internal/guest/probe"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
)

// Suite is one go of the suite. It is a runner.Trial: it is made in a guest that
// was proven, before anything else runs there.
type Suite struct {
	tier     attack.Tier
	cases    []attack.Case // made in the bottle
	ends     []attack.Case // made by After
	standIns *standIns     // nil in the quick tier, which needs no route
	report   Report
	disk     int64 // bytes that the suite's own bottles may write
}

// Tier says what a go of the suite takes in.
type Tier = attack.Tier

// The tiers.
const (
	Quick = attack.Quick
	Full  = attack.Full
)

// New prepares a go of the suite: of the cases with the ids, or of all of the tier
// where there are none. The full tier starts stand-ins on this host's loopback,
// until Close.
func New(ctx context.Context, tier Tier, ids []string) (*Suite, error) {
	cases, err := selected(tier, ids)
	if err != nil {
		return nil, err
	}
	s := &Suite{tier: tier, report: Report{Schema: Schema, Tier: string(tier)}}
	for _, c := range cases {
		if c.After {
			s.ends = append(s.ends, c)
		} else {
			s.cases = append(s.cases, c)
		}
	}
	if tier == Full {
		ofGit := func(c attack.Case) bool { return c.Class == attack.Git }
		if s.standIns, err = startStandIns(ctx, slices.ContainsFunc(s.cases, ofGit)); err != nil {
			return nil, err
		}
		s.standIns.known = map[string]string{}
		for _, c := range s.cases {
			if c.Known {
				for _, root := range []bool{true, false} {
					s.standIns.known[knownName(c, root)] = newCanary()
				}
			}
		}
	}
	return s, nil
}

// knownName is that of the secret which is a case's canary.
func knownName(c attack.Case, root bool) string {
	return strings.ToLower("canary-" + c.ID + "-" + userName(root))
}

// selected gives the cases that are to run.
func selected(tier Tier, ids []string) ([]attack.Case, error) {
	var cases []attack.Case
	if len(ids) == 0 {
		for _, c := range attack.Catalogue() {
			if c.Tier == Quick || c.Tier == tier {
				cases = append(cases, c)
			}
		}
		return cases, nil
	}
	for _, id := range ids {
		c, ok := attack.Find(id)
		if !ok {
			return nil, unknownCase(id)
		}
		switch {
		case c.Tier == attack.Pending:
			return nil, term.Errorf(term.StageUsage, id, "choosing cases: %s is pending: it waits for %s", c.ID, c.Waits).
				WithHint("bot-bottle escape --list shows the cases that run")
		case c.Tier == attack.Tests:
			return nil, term.Errorf(term.StageUsage, id, "choosing cases: %s takes more than a bottle that lives", c.ID).
				WithHint("the project's own test makes it: %s", c.Test)
		case c.Tier == Full && tier == Quick:
			return nil, term.Errorf(term.StageUsage, id, "choosing cases: %s needs routes, which the quick tier has none of", c.ID).WithHint("use --tier full")
		}
		if !slices.ContainsFunc(cases, func(o attack.Case) bool { return o.ID == c.ID }) {
			cases = append(cases, c)
		}
	}
	return cases, nil
}

func unknownCase(id string) error {
	err := term.Errorf(term.StageUsage, id, "choosing cases: there is no case %q", id)
	var near []string
	for _, c := range attack.Catalogue() {
		if id != "" && strings.EqualFold(c.ID[:1], id[:1]) {
			near = append(near, c.ID)
		}
	}
	if len(near) > 0 {
		err.WithHint("did you mean one of %s?", strings.Join(near, ", "))
	}
	return err.WithHint("bot-bottle escape --list shows all")
}

// leastMachineDisk is what a machine's disks have at least (backend smolmachines).
// That much isn't written for a try.
const leastMachineDisk = 2 << 30

// Plan is of the suite's own bottle under a backend, or runner.Auto: what it allows,
// and what is injected there.
func (s *Suite) Plan(backend string) runner.Plan {
	s.disk = attack.DiskBytes
	if backend == "smolmachines" {
		s.disk = leastMachineDisk
	}
	plan := runner.Plan{Backend: backend, Bottle: "escape", Provider: "command", Trials: []runner.Trial{s},
		Policy: policy.Policy{Epoch: 1, Bottle: "escape", Isolation: policy.IsolationContainer}}
	if s.standIns != nil {
		plan.Policy, plan.Secrets, plan.Resolver = s.standIns.policy, s.standIns.secrets(), s.standIns.names.address()
		plan.Policy.Limits = s.limits()
	}
	return plan
}

// Close ends the stand-ins.
func (s *Suite) Close() {
	if s.standIns != nil {
		s.standIns.close()
	}
}

// Report is what came of it. It is whole only after Try.
func (s *Suite) Report() Report { return s.report }

// Name is the stage's.
func (*Suite) Name() string { return "escape" }

// hostOnly is a variable that this process has and no guest may see.
const hostOnly = "BOT_BOTTLE_ESCAPE_HOST_ONLY"

// seenTimeout is how long our own collectors may take to show what has come.
const seenTimeout = 10 * time.Second

// guestTimeout bounds what one user of the guest may take for all cases.
const guestTimeout = 3 * time.Minute

// Try makes the attacks as root and as the agent, and judges them. The error is of
// stage escape where a case did not hold, or could not be judged.
func (s *Suite) Try(ctx context.Context, p *runner.Proven) error {
	os.Setenv(hostOnly, newCanary())
	defer os.Unsetenv(hostOnly)
	s.report.begin(s.cases, p)
	for _, root := range []bool{true, false} {
		if err := s.tryAs(ctx, p, root); err != nil {
			s.report.broke(userName(root), err)
			s.report.finish()
			return err
		}
	}
	s.report.finish()
	return s.report.err()
}

func userName(root bool) string {
	if root {
		return "root"
	}
	return backends.AgentUser
}

// tryAs makes them as one user.
func (s *Suite) tryAs(ctx context.Context, p *runner.Proven, root bool) error {
	nonce := newCanary()
	set, err := collector.Start(ctx, collector.Options{Nonce: nonce, Alias: p.Alias(), Folders: p.Folders()})
	if err != nil {
		return inEscape(err)
	}
	defer set.Close()
	shown, cancel := context.WithTimeout(ctx, seenTimeout)
	defer cancel()
	if err := errors.Join(set.Alive(shown), s.standIns.alive(shown)); err != nil {
		return inEscape(err)
	}
	plan := s.plan(p, set, nonce, root)
	before, err := size(p.Decisions())
	if err != nil {
		return inEscape(err)
	}
	visitor := visit(ctx, p.Alias().String(), plan.Listen, plan.Canary["N19"])
	results, err := s.play(ctx, p, root, plan)
	came := visitor()
	if err != nil {
		return err
	}
	got, cancelGot := context.WithTimeout(ctx, seenTimeout)
	defer cancelGot()
	hits, gotErr := set.Got(got)
	lines, err := endedDecisions(p.Decisions(), before)
	if err != nil {
		return inEscape(err)
	}
	j := judge{
		user: userName(root), plan: plan, errnos: p.Errnos(), results: results, lines: split(lines, s.cases),
		collectors: set.Collectors(), hits: hits, gotErr: gotErr, standIns: s.standIns, reachedListener: came, recheck: p.Recheck(ctx),
	}
	for i, c := range s.cases {
		s.report.add(c, j.judge(i, c))
	}
	return nil
}

func inEscape(err error) error {
	if err == nil {
		return nil
	}
	return &term.Error{Stage: term.StageEscape, Err: err}
}

// plan is what the guest is told.
func (s *Suite) plan(p *runner.Proven, set *collector.Set, nonce string, root bool) attack.Plan {
	plan := attack.Plan{
		Alias: p.Alias().String(), CAFile: p.GuestCA(), Canary: map[string]string{}, Twin: map[string]string{}, Paths: map[string][]probe.Try{},
		Listen: freePort(), HostOnly: hostOnly, Homes: hostHomes(),
	}
	if s.standIns != nil {
		plan.Hosts = s.standIns.hosts
	}
	if s.disk == attack.DiskBytes {
		plan.DiskBytes = s.disk
	}
	for _, c := range s.cases {
		plan.Cases = append(plan.Cases, c.ID)
		plan.Canary[c.ID], plan.Twin[c.ID] = newCanary(), newCanary()
		if c.Known {
			plan.Canary[c.ID] = s.standIns.known[knownName(c, root)]
		}
		if c.Paths() {
			plan.Canary[c.ID] = nonce // what the collectors know
			plan.Paths[c.ID] = probe.NewPlan(nonce, paths(c.ID, set.Tries()), nil, probe.List{}, p.Errnos()).Tries
		}
	}
	return plan
}

// play runs the guest's half as one user.
func (s *Suite) play(ctx context.Context, p *runner.Proven, root bool, plan attack.Plan) (attack.Results, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, guestTimeout, inEscape(fmt.Errorf("the attacks took longer than %v", guestTimeout)))
	defer cancel()
	body, err := json.Marshal(plan)
	if err != nil {
		return attack.Results{}, inEscape(err)
	}
	out, said := &bounded{left: attack.MaxResults + 1}, &bounded{left: maxSaid}
	outcome, err := p.Work(ctx, runner.Task{
		Name: "attack", Argv: []string{backends.GuestBinary, "guest", "attack"}, Root: root,
		Stdin: bytes.NewReader(body), Stdout: out, Stderr: said,
	})
	if err != nil {
		return attack.Results{}, err
	}
	results, err := attack.ReadResults(out.Bytes())
	if err == nil && outcome.Code != 0 {
		err = errors.New("it ended without results")
	}
	if err != nil {
		return results, inEscape(fmt.Errorf("making the attacks as %s: %w (exit code %d, %q)", userName(root), err, outcome.Code, said.String()))
	}
	return results, nil
}

const maxSaid = 2048

// bounded keeps the first bytes that are written to it.
type bounded struct {
	bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	b.Buffer.Write(p[:n])
	return len(p), nil
}

// freePort gives a port at which nobody listens on this host.
func freePort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// visitEvery is how often the host looks for the guest's listener.
const visitEvery = 50 * time.Millisecond

// visit knocks, from the host, where the guest listens in a case of its own, until
// the function that it gives is called; that tells where the guest opened: whoever
// says the case's canary. The port may be somebody else's by now.
func visit(ctx context.Context, alias string, port int, canary string) func() []string {
	ctx, stop := context.WithCancel(ctx)
	var mu sync.Mutex
	var opened []string
	var all sync.WaitGroup
	for _, host := range append([]string{"127.0.0.1", alias}, ownAddresses()...) {
		at := net.JoinHostPort(host, fmt.Sprint(port))
		all.Go(func() {
			for ctx.Err() == nil {
				if says(ctx, at, canary) {
					mu.Lock()
					opened = append(opened, at)
					mu.Unlock()
					return
				}
				select {
				case <-time.After(visitEvery):
				case <-ctx.Done():
				}
			}
		})
	}
	return func() []string {
		stop()
		all.Wait()
		return opened
	}
}

// says tells whether what listens at the address says the word at once.
func says(ctx context.Context, address, word string) bool {
	c, err := (&net.Dialer{Timeout: visitEvery}).DialContext(ctx, "tcp", address)
	if err != nil || word == "" {
		return false
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(time.Second))
	b, _ := io.ReadAll(io.LimitReader(c, int64(len(word))))
	return string(b) == word
}

func ownAddresses() []string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []string
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			list = append(list, n.IP.String())
		}
	}
	return list
}

// hostHomes are the home folders whose credentials no guest may see.
func hostHomes() []string {
	var homes []string
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) {
		homes = append(homes, home)
	}
	others, _ := filepath.Glob("/home/*")
	return append(homes, others[:min(len(others), 8)]...)
}

func allCases() []attack.Case { return attack.Catalogue() }
