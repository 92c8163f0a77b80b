//go:build mutation

package egress

import (
	"testing"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
)

// secondCall gives the status of a call after one that took all the tokens.
func secondCall(t *testing.T, body string) int {
	w := openModel(t, answering(t, body), policy.Limits{Tokens: 100})
	w.ask(askFor(50))
	w.ended(t, 1)
	status, _ := w.ask(askFor(50))
	return status
}

func TestMutationNoMeterLetsABottleAskAModelForEver(t *testing.T) {
	attack := func() int { return secondCall(t, took(5000)) }
	holdsBack(t, mutation.EgressNoMeter, attack, 429, 200)
}

func TestMutationBelieveMakesACallWithoutUsageFree(t *testing.T) {
	attack := func() int {
		return secondCall(t, `{"type":"message","text":"and no word of usage, in some hundred bytes of an answer, or two hundred, so that it is worth its tokens as well as another answer is, for once"}`)
	}
	holdsBack(t, mutation.EgressBelieve, attack, 429, 200)
}

func TestMutationUnpricedLetsAnUnknownModelCostNothing(t *testing.T) {
	attack := func() int {
		w := openModel(t, answering(t, took(5000)), policy.Limits{Cost: 1})
		status, _ := w.ask(askFor(50))
		return status
	}
	holdsBack(t, mutation.EgressUnpriced, attack, 403, 200)
}

func TestMutationNoAsideLetsCallsAtOnceEachPassTheLimit(t *testing.T) {
	attack := func() int {
		up, arrived, answer := held(t, took(400))
		return atOnce(t, openModel(t, up, policy.Limits{Tokens: 1000}), 10, arrived, answer)
	}
	holdsBack(t, mutation.EgressNoAside, attack, 2, 10)
}
