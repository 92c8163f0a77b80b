package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/collector"
	"github.com/bot-bottle/action/internal/doors"
	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/guest/probe"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
)

// Bounds of the proof.
const (
	proofTimeout = 20 * time.Second
	tryLimit     = 500 * time.Millisecond // without an answer for so long a try is silent
)

// Proven is a guest of which it was shown that only the doors answer. Its zero
// value can't do anything: Work panics.
type Proven struct {
	*run
}

// Prove takes the evidence from inside the fresh guest. Where it doesn't hold,
// the error says what spoke against it, and no agent code has run.
func (s *Started) Prove(ctx context.Context) (*Proven, error) {
	if s == nil || s.run == nil {
		panic("runner: proving a guest that was not started")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, proofTimeout, fmt.Errorf("the proof took longer than %v", proofTimeout))
	defer cancel()
	start := time.Now()
	proof := &report.Proof{}
	s.report.Proof = proof
	err := s.prove(ctx, proof)
	proof.Duration, proof.Held = time.Since(start), err == nil
	if given, jerr := json.Marshal(s.given); jerr == nil {
		proof.Given = given
	}
	if err == nil {
		return &Proven{s.run}, nil
	}
	var stopped SignalError
	if cause := context.Cause(ctx); errors.As(cause, &stopped) || errors.Is(cause, ErrStarterGone) {
		return nil, cause
	}
	proof.Reason = err.Error()
	return nil, term.Errorf(term.StageProve, "", "proving the confinement: %w", err).
		WithHint("no agent code ran; the report has every try (bot-bottle inspect %s --json)", s.id)
}

func (r *run) prove(ctx context.Context, proof *report.Proof) error {
	set, err := collector.Start(collector.Options{Alias: neighbour(r.alias), Folder: r.deps.Places.runFolder(r.id), Nonce: r.nonce})
	if err != nil {
		return err
	}
	defer set.Close()
	if err := set.Alive(ctx); err != nil {
		return err
	}
	plan := r.proofPlan(set)
	results, err := r.probe(ctx, plan)
	if err != nil {
		return err
	}
	seen, err := r.sidecar.WaitProof(ctx)
	for _, door := range []decision.Door{decision.Egress, decision.GitGate, decision.Supervise} {
		if _, ok := seen[door]; ok {
			proof.Doors = append(proof.Doors, string(door))
		}
	}
	if err != nil && !mutation.On(mutation.ProofPositive) {
		return fmt.Errorf("waiting for the doors to see the nonce: %w", err)
	}
	return errors.Join(r.judge(plan, results, set, proof), r.sidecar.EndProof(ctx))
}

// judge holds what the guest's tries gave, and what the collectors got, against
// what has to be.
func (r *run) judge(plan probe.Plan, results []probe.Results, set *collector.Set, proof *report.Proof) error {
	wanted := r.guest.Wanted()
	evidence, err := probe.Judge(plan, results, probe.Expected{
		Errnos: r.guest.Errnos(), Fast: tryLimit / 2, Users: []int{0, backends.AgentID},
		Sockets: slices.DeleteFunc(slices.Clone(wanted.Sockets), func(s string) bool { return s == backends.ControlSocket }),
	})
	hits := set.Hits()
	for _, h := range hits {
		err = errors.Join(err, fmt.Errorf("collector %s got %q", h.Collector, h.Bytes))
	}
	proof.Tries, proof.Refused, proof.Silent = evidence.Tries, evidence.Refused, evidence.Silent
	proof.Collectors, proof.Hits, proof.Absent = set.Len(), len(hits), set.Absent()
	for _, u := range results {
		proof.Users = append(proof.Users, userName(u.User == 0))
	}
	if all, jerr := json.Marshal(evidence); jerr == nil {
		proof.Evidence = all
	}
	if mutation.On(mutation.ProofNegative) {
		return nil
	}
	return err
}

// neighbour is an alias that is not ours: where another bottle's doors could be.
func neighbour(alias netip.Addr) netip.Addr {
	a := alias.As4()
	a[3] ^= 1
	return netip.AddrFrom4(a)
}

// proofPlan has a try for each collector, and for what only can be tried.
func (r *run) proofPlan(set *collector.Set) probe.Plan {
	p := probe.Plan{Nonce: r.nonce, Limit: tryLimit, Tries: append(set.Tries(), alwaysTried...), Folder: backends.GuestDoors}
	for door, port := range doorPorts {
		url := fmt.Sprintf("http://%s:%d%s%s", r.alias, port, doors.ProofPath, r.nonce)
		p.Doors = append(p.Doors, probe.Door{Name: string(door), URL: url})
	}
	return p
}

// alwaysTried are ways out that no collector on this host can stand behind.
// Nothing is sent to anybody: where one of them worked, the packets would go to
// addresses that are reserved for documentation (RFC 5737, RFC 3849).
var alwaysTried = []probe.Try{
	{ID: "tcp/public", Kind: probe.TCP, Address: "192.0.2.1:443"},
	{ID: "tcp/public-6", Kind: probe.TCP, Address: "[2001:db8::1]:443"},
	{ID: "udp/resolver", Kind: probe.UDP, Address: "192.0.2.53:53"},
	{ID: "tcp/metadata", Kind: probe.TCP, Address: "169.254.169.254:80"},
	{ID: "name/public", Kind: probe.Name, Address: "bottle.invalid."},
	{ID: "vsock/host", Kind: probe.VSock, Address: "2:1024"},
	{ID: "raw/packet", Kind: probe.RawSocket, Address: "packet"},
	{ID: "unix/docker", Kind: probe.Unix, Address: "/var/run/docker.sock"},
}

// probe runs the plan in the guest, as root and as the agent at once.
func (r *run) probe(ctx context.Context, plan probe.Plan) ([]probe.Results, error) {
	body, err := json.Marshal(plan)
	if err != nil {
		return nil, err
	}
	results, errs := make([]probe.Results, 2), make([]error, 2)
	var wg sync.WaitGroup
	for i, root := range []bool{true, false} {
		wg.Go(func() { results[i], errs[i] = r.probeAs(ctx, root, body) })
	}
	wg.Wait()
	return results, errors.Join(errs...)
}

// maxProbeOutput bounds what a guest may answer.
const maxProbeOutput = 1 << 20

func (r *run) probeAs(ctx context.Context, root bool, plan []byte) (probe.Results, error) {
	var out, said bytes.Buffer
	outcome, err := r.exec(ctx, Task{
		Name: "probe", Argv: []string{backends.GuestBinary, "guest", "probe"}, Root: root,
		Stdin: bytes.NewReader(plan), Stdout: &bounded{w: &out, left: maxProbeOutput}, Stderr: &bounded{w: &said, left: maxSaid},
	})
	var results probe.Results
	if err == nil && outcome.Code != 0 {
		err = fmt.Errorf("it ended with code %d: %s", outcome.Code, neutralize.Text(said.String()))
	}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &results)
	}
	return results, wrap("probing as "+userName(root), err)
}
