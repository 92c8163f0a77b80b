//go:build mutation

package dlp

import (
	"testing"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
)

func TestMutationKnownLetsASecretOfTheRunOut(t *testing.T) {
	holdsBack(t, mutation.DLPKnown, "it is "+known, RuleKnown)
}

func TestMutationPatternsLetsWhatLooksLikeASecretOut(t *testing.T) {
	holdsBack(t, mutation.DLPPatterns, "it is "+awsKey(), RulePattern)
}

func TestMutationAnswersLetsAnInjectionIn(t *testing.T) {
	letsIn(t, mutation.DLPAnswers, route(), takeover)
}

func TestMutationTokensLetsATokenIn(t *testing.T) {
	letsIn(t, mutation.DLPTokens, withToken(), "it is "+token)
}

// letsIn shows that an answer passes as it is if, and only if, the defence is off.
func letsIn(t *testing.T, p mutation.Point, r *policy.Route, body string) {
	t.Helper()
	s := scanner(t)
	if got, _, err := received(s, r, ofType("text/plain"), body, cuts["whole"]); err == nil && got == body {
		t.Error("with the defence, it passed")
	}
	t.Setenv(mutation.Variable, string(p))
	if got, _, err := received(s, r, ofType("text/plain"), body, cuts["whole"]); err != nil || got != body {
		t.Errorf("without it: %q, %v", got, err)
	}
}

// holdsBack shows that a body passes if, and only if, the defence is off.
func holdsBack(t *testing.T, p mutation.Point, body, rule string) {
	t.Helper()
	s := scanner(t)
	head := request(t, "https://listed.example/")
	if _, err := sent(s, route(), head, body, cuts["whole"]); ruleOf(t, err) != rule {
		t.Errorf("with the defence: %v", err)
	}
	t.Setenv(mutation.Variable, string(p))
	if got, err := sent(s, route(), head, body, cuts["whole"]); err != nil || got != body {
		t.Errorf("without it: %q, %v", got, err)
	}
}
