package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/collector"
	"github.com/bot-bottle/action/internal/doors"
	"github.com/bot-bottle/action/internal/guest/probe"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
)

// proofTimeout bounds the whole proof. It takes a fraction of a second, but for a
// host that is very busy.
const proofTimeout = time.Minute

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
	set, err := collector.Start(ctx, collector.Options{Nonce: r.nonce, Alias: r.alias, Folders: (&Proven{r}).Folders()})
	if err != nil {
		return err
	}
	defer set.Close()
	alive, cancel := context.WithTimeoutCause(ctx, seenTimeout, errLate)
	defer cancel()
	if err := set.Alive(alive); err != nil {
		return err
	}
	plan := r.proofPlan(set)
	results, err := r.probe(ctx, plan)
	if err != nil {
		return err
	}
	return errors.Join(r.doorsSaw(ctx, plan, results, proof), r.judge(ctx, plan, results, set, proof))
}

// seenTimeout is how long something of our own on this host may take to show what
// has come to it: a collector its touch, a door the nonce.
const seenTimeout = 10 * time.Second

var errLate = fmt.Errorf("it did not within %v", seenTimeout)

// doorsSaw is the positive part: each door, by its own word, saw the nonce.
func (r *run) doorsSaw(ctx context.Context, plan probe.Plan, results []probe.Results, proof *report.Proof) error {
	wait, cancel := context.WithTimeoutCause(ctx, seenTimeout, errLate)
	defer cancel()
	seen, err := r.sidecar.WaitProof(wait)
	for _, door := range slices.Sorted(maps.Keys(seen)) {
		proof.Doors = append(proof.Doors, string(door))
	}
	if err != nil {
		for _, u := range results {
			err = fmt.Errorf("%w; no answer in the guest from %v", err, u.Unanswered(plan))
		}
		if mutation.On(mutation.ProofPositive) {
			err = nil
		}
		return errors.Join(err, r.sidecar.EndProof(ctx))
	}
	return r.sidecar.EndProof(ctx)
}

// judge is the negative part: what the guest's tries gave, and what the collectors
// got, held against the backend's table.
func (r *run) judge(ctx context.Context, plan probe.Plan, results []probe.Results, set *collector.Set, proof *report.Proof) error {
	ctx, cancel := context.WithTimeoutCause(ctx, seenTimeout, errLate)
	defer cancel()
	hits, gotErr := set.Got(ctx)
	evidence, err := probe.Judge(probe.Case{
		Plan: plan, Users: []int{0, backends.AgentID}, Results: results,
		Collectors: set.Collectors(), Hits: hits, Errnos: r.guest.Errnos(),
	})
	proof.Tries, proof.Refused, proof.Silent = evidence.Tries, evidence.Refused, evidence.Silent
	proof.Collectors, proof.Hits, proof.Absent = evidence.Alive(), len(hits), evidence.Absent()
	for _, uid := range evidence.Users {
		proof.Users = append(proof.Users, userName(uid == 0))
	}
	if all, jerr := json.Marshal(evidence); jerr == nil {
		proof.Evidence = all
	}
	if mutation.On(mutation.ProofNegative) {
		return nil
	}
	return errors.Join(gotErr, err)
}

// proofPlan has a try for each collector, and for what only can be tried.
func (r *run) proofPlan(set *collector.Set) probe.Plan {
	tries := append(set.Tries(), probe.Outside()...)
	var list []probe.Door
	for _, name := range slices.Sorted(maps.Keys(doorPorts)) {
		address := netip.AddrPortFrom(r.alias, doorPorts[name]).String()
		list = append(list, probe.Door{Name: name, Address: address, Path: doors.ProofPath + r.nonce})
	}
	sockets := probe.List{Path: backends.GuestDoors, Want: r.guest.Wanted().Sockets}
	return probe.NewPlan(r.nonce, tries, list, sockets, r.guest.Errnos())
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

// maxProbeOutput bounds what a guest may answer; Decode refuses more.
const maxProbeOutput = 2 << 20

func (r *run) probeAs(ctx context.Context, root bool, plan []byte) (probe.Results, error) {
	var out, said bytes.Buffer
	outcome, err := r.exec(ctx, Task{
		Name: "probe", Argv: []string{backends.GuestBinary, "guest", "probe"}, Root: root, Env: []string{"GOGC=off", "GOMAXPROCS=1"},
		Stdin: bytes.NewReader(plan), Stdout: &bounded{w: &out, left: maxProbeOutput}, Stderr: &bounded{w: &said, left: maxSaid},
	})
	if err == nil && outcome.Code != 0 {
		err = outcome.failed(said.String())
	}
	var results probe.Results
	if err == nil {
		results, err = probe.Decode(&out)
	}
	return results, wrap("probing as "+userName(root), err)
}
