package dlp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

const another = "quiet-Harbour-5512-lantern-Meadows-tea"

// asking gives a scanner that asks person, and the questions as they were put.
func asking(t *testing.T, person Asker) (*Scanner, *[]Question) {
	t.Helper()
	var put []Question
	s, err := New(Options{
		Known: []secret.Value{secret.New("canary", known), secret.New("other", another)},
		Ask:   func(ctx context.Context, q Question) error { put = append(put, q); return person(ctx, q) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, &put
}

func yes(context.Context, Question) error { return nil }

var errNo = errors.New("no")

func TestAPersonMayLetASecretPass(t *testing.T) {
	key := awsKey()
	for name, text := range map[string]string{"a known secret": "it is " + known, "what gitleaks knows": "it is " + key} {
		s, put := asking(t, yes)
		for range 2 {
			if got, err := sent(s, route(), request(t, "https://listed.example/"), text, cuts["whole"]); err != nil || got != text {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		if err := s.Request(route(), request(t, "https://listed.example/?q="+strings.TrimPrefix(text, "it is "))); err != nil {
			t.Errorf("%s, in a head: %v", name, err)
		}
		if len(*put) != 1 || (*put)[0].Route != "listed.example" || (*put)[0].Where != inBody || strings.Contains(fmt.Sprint(*put), known) || strings.Contains(fmt.Sprint(*put), key) {
			t.Errorf("%s: asked %+v", name, *put)
		}
		elsewhere := route(func(r *policy.Route) { r.Host = "other.example" })
		if _, err := sent(s, elsewhere, request(t, "https://other.example/"), text, cuts["whole"]); err != nil || len(*put) != 2 {
			t.Errorf("%s: a yes to one host was one to another: asked %+v", name, *put)
		}
	}
}

func TestASecondSecretIsAskedForByItself(t *testing.T) {
	s, put := asking(t, func(_ context.Context, q Question) error {
		if q.Name == "other" {
			return errNo
		}
		return nil
	})
	_, err := sent(s, route(), request(t, "https://listed.example/"), known+" and "+another, cuts["whole"])
	if ruleOf(t, err) != RuleKnown || len(*put) != 2 || !errors.Is(err, errNo) {
		t.Errorf("%v, asked %+v", err, *put)
	}
	if w, _ := errors.AsType[*egress.Withheld](err); w == nil || !strings.Contains(w.Message, "who was asked has refused it") {
		t.Errorf("it is told as %+v", w)
	}
}

func TestNoAnswerIsARefusal(t *testing.T) {
	s, _ := asking(t, func(ctx context.Context, _ Question) error { <-ctx.Done(); return nil })
	s.askTime = 10 * time.Millisecond
	_, err := sent(s, route(), request(t, "https://listed.example/"), known, cuts["whole"])
	if w, _ := errors.AsType[*egress.Withheld](err); w == nil || w.Rule != RuleKnown || !strings.Contains(w.Message, "nobody has answered within 10ms") {
		t.Errorf("%+v", err)
	}
}

func TestNobodyIsAskedWhereTheRouteSaysOtherwise(t *testing.T) {
	for _, c := range []struct{ what, body, want string }{
		{policy.OnMatchBlock, known, RuleKnown}, {policy.OnMatchBlock, awsKey(), RulePattern}, {policy.OnMatchRedact, known, ""},
		{policy.OnMatchSupervise, "PK\x03\x04", RuleEncoding}, {policy.OnMatchSupervise, "nothing", ""},
	} {
		s, put := asking(t, yes)
		_, err := sent(s, route(onMatch(c.what)), request(t, "https://listed.example/"), c.body, cuts["whole"])
		if ruleOf(t, err) != c.want || len(*put) != 0 {
			t.Errorf("%s: %v, asked %+v", c.what, err, *put)
		}
	}
}

func TestAConversationMayBeAskedFor(t *testing.T) {
	s, put := asking(t, yes)
	body := `{"text": "` + known + " " + awsKey() + `"}`
	got, err := s.Whole(route(model, onMatch(policy.OnMatchSupervise)), []byte(body))
	if err != nil || string(got) != body || len(*put) != 2 {
		t.Errorf("%q, %v, asked %+v", got, err, *put)
	}
	if got, err := s.Whole(route(model), []byte(body)); err != nil || strings.Contains(string(got), known) || len(*put) != 2 {
		t.Errorf("by its default: %q, %v, asked %+v", got, err, *put)
	}
}
