package dlp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bot-bottle/action/internal/dlp/needles"
	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/scan"
)

// Question is whether something that was found may leave by a route. It holds nothing of
// what was found.
type Question struct {
	Route    string // host of the route
	Detector string // one of the policy.Detector constants
	Name     string // of the known secret, or of gitleaks' rule
	Where    string // "the body of the request"
}

// Asker asks a person. It gives nil only where a person has said yes; ctx ends when the
// answer comes too late.
type Asker func(ctx context.Context, q Question) error

// askTime is how long a request is held for the answer, as the original bot-bottle held it.
const askTime = 300 * time.Second

// match is something that was found, as far as it can be spoken of.
type match struct {
	Question
	id      string // the same for the same secret in the same text; not shown
	refusal *egress.Withheld
}

// answers remembers what a person said yes to, for the run: by route, so that a yes to one
// host is none to another.
type approvals struct {
	mu  sync.Mutex
	yes map[string]struct{}
}

func (a *approvals) has(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.yes[id]
	return ok
}

func (a *approvals) add(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.yes == nil {
		a.yes = map[string]struct{}{}
	}
	a.yes[id] = struct{}{}
}

// decide says what becomes of something found that is not made unreadable: nil, if a person
// lets it pass.
func (s *Scanner) decide(route *policy.Route, m match) error {
	if route.OnMatch() != policy.OnMatchSupervise {
		return m.refusal
	}
	if s.ask == nil {
		m.refusal.Message += "; nobody can be asked in this build, so it is refused"
		return m.refusal
	}
	if s.approved.has(m.id) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.askTime)
	defer cancel()
	err := s.ask(ctx, m.Question)
	switch {
	case err == nil && ctx.Err() == nil:
		s.approved.add(m.id)
		return nil
	case ctx.Err() != nil:
		m.refusal.Message += fmt.Sprintf("; nobody has answered within %v", s.askTime)
	default:
		m.refusal.Message += "; who was asked has refused it"
	}
	m.refusal.Detail = errors.Join(m.refusal.Detail, err)
	return m.refusal
}

// known is a secret of the run that was found.
func (s *Scanner) knownMatch(route *policy.Route, n needles.Match, where string) match {
	q := Question{route.Host, policy.DetectorKnown, n.Name, where}
	return match{q, fmt.Sprintf("%s\x00%s\x00%s", q.Route, q.Detector, q.Name), &egress.Withheld{
		Rule: RuleKnown, Message: "a secret of this run is in " + where, Hint: hint(route, policy.DetectorKnown),
		Detail: fmt.Errorf("%s in %s, %s", n.Name, where, n.Form),
	}}
}

// patternMatch is what a rule of gitleaks found.
func (s *Scanner) patternMatch(route *policy.Route, f scan.Finding, where string) match {
	q := Question{route.Host, policy.DetectorPatterns, f.Rule, where}
	return match{q, fmt.Sprintf("%s\x00%s\x00%s\x00%x", q.Route, q.Detector, q.Name, f.Sum()), &egress.Withheld{
		Rule: RulePattern, Message: fmt.Sprintf("gitleaks takes something in %s for a secret (rule %s: %s)", where, f.Rule, f.Description),
		Hint: hint(route, policy.DetectorPatterns), Detail: fmt.Errorf("gitleaks' rule %s in %s", f.Rule, where),
	}}
}

func (s *Scanner) decideKnown(route *policy.Route, found []needles.Match, where string) error {
	for _, n := range found {
		if err := s.decide(route, s.knownMatch(route, n, where)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scanner) decidePatterns(route *policy.Route, found []scan.Finding, where string) error {
	for _, f := range found {
		if err := s.decide(route, s.patternMatch(route, f, where)); err != nil {
			return err
		}
	}
	return nil
}
