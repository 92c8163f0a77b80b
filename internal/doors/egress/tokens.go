package egress

import (
	"fmt"
	"math"
	"net/http"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
)

// spent is a number of tokens, and what they cost in millionths of a US dollar.
type spent struct{ tokens, cost int64 }

func (s spent) plus(o spent) spent {
	return spent{saturated(s.tokens, o.tokens), saturated(s.cost, o.cost)}
}

func (s spent) minus(o spent) spent { return spent{s.tokens - o.tokens, s.cost - o.cost} }

// saturated adds two numbers that are not negative.
func saturated(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// setAside keeps what a call may take until it is settled, or says which limit leaves
// no room for it: so many calls at once pass a limit no further than one does. A call
// that takes none is refused when nothing is left.
func (b *budget) setAside(l policy.Limits, most spent) *refusal {
	b.mu.Lock()
	defer b.mu.Unlock()
	if mutation.On(mutation.EgressNoAside) {
		b.aside = spent{}
	}
	if ref := b.noRoom(l, most); ref != nil && !mutation.On(mutation.EgressNoMeter) {
		return ref
	}
	b.aside = b.aside.plus(most)
	return nil
}

func (b *budget) noRoom(l policy.Limits, most spent) *refusal {
	if s := noRoom(l.Tokens, b.used.tokens, b.aside.tokens, most.tokens); s != nil {
		return s.refuse(RuleLimitTokens, fmt.Sprintf("%d tokens", l.Tokens), "limits.tokens", tokens)
	}
	if l.Cost == 0 {
		return nil
	}
	if s := noRoom(l.Cost, b.used.cost, b.aside.cost, most.cost); s != nil {
		return s.refuse(RuleLimitCost, dollars(l.Cost), "limits.cost", dollars)
	}
	return nil
}

// settle takes back what was set aside for a call and counts what it took.
func (b *budget) settle(aside, took spent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !mutation.On(mutation.EgressNoAside) {
		b.aside = b.aside.minus(aside)
	}
	b.used = b.used.plus(took)
}

// shortage says why there is no room for a call.
type shortage struct{ used, aside, most int64 }

// noRoom gives nil where most fits into what is left of a limit.
func noRoom(limit, used, aside, most int64) *shortage {
	if left := limit - used - aside; left > 0 && most <= left {
		return nil
	}
	return &shortage{used, aside, most}
}

// refuse makes the answer. An agent need not try again where no end of another call
// makes room.
func (s *shortage) refuse(rule, limit, key string, show func(int64) string) *refusal {
	ref := refuse(http.StatusTooManyRequests, rule, fmt.Sprintf(
		"this bottle's %s for the model are used up, or too few for this call: %s were used, %s are set aside for calls under way, and this one may take %s (%s)",
		limit, show(s.used), show(s.aside), show(s.most), key))
	ref.lasting = s.aside == 0
	return ref
}

func tokens(n int64) string { return fmt.Sprint(n) }

// dollars shows millionths of a US dollar, all six decimals of them.
func dollars(micros int64) string {
	return fmt.Sprintf("$%d.%06d", micros/policy.Dollar, micros%policy.Dollar)
}
