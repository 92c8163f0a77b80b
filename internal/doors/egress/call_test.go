package egress

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/meter"
	"github.com/bot-bottle/action/internal/policy"
)

// askFor is a call that allows n tokens of output.
func askFor(n int) string {
	return fmt.Sprintf(`{"model":"m","max_tokens":%d,"messages":[]}`, n)
}

// answering serves a model that answers every call with a body.
func answering(t testing.TB, body string) *server {
	t.Helper()
	return serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, body)
	})
}

// took is an answer that took n tokens.
func took(n int) string {
	return fmt.Sprintf(`{"type":"message","model":"m-2","usage":{"input_tokens":%d,"output_tokens":%d,"cache_read_input_tokens":1}}`, n-11, 10)
}

// openModel is a door before up as a model's API, within limits.
func openModel(t testing.TB, up *server, l policy.Limits) *world {
	t.Helper()
	return openWith(t, Options{Policy: modelPolicy(up, l)})
}

func modelPolicy(up *server, l policy.Limits) policy.Policy {
	l.Requests, l.EgressBytes = 1<<40, 1<<50
	return limited(l, up.route("api.anthropic.com", model()))
}

func (w *world) ask(body string) (int, string) {
	w.t.Helper()
	return w.do("POST", messagesURL, strings.NewReader(body), asJSON)
}

func TestCallsBeyondTheTokensAreRefused(t *testing.T) {
	up := answering(t, took(400))
	w := openModel(t, up, policy.Limits{Tokens: 1000})
	for n := range 2 {
		if status, text := w.ask(askFor(50)); status != 200 {
			t.Fatalf("within the limit it got %d %s", status, text)
		}
		w.ended(t, n+1)
	}
	status, text := w.ask(askFor(500))
	for _, want := range []string{"limits.tokens", "1000 tokens", "800 were used", "too few"} {
		if status != http.StatusTooManyRequests || !strings.Contains(text, want) {
			t.Errorf("beyond the limit it got %d %s, without %q", status, text, want)
		}
	}
	w.wantRefused(t, RuleLimitTokens)
	if status, text := w.ask(askFor(50)); status != 200 {
		t.Errorf("a smaller call got %d %s", status, text)
	}
	w.ended(t, 4)
	if status, _ := w.do("POST", "https://api.anthropic.com/v1/messages/count_tokens", strings.NewReader(plainMessage), asJSON); status != 429 {
		t.Errorf("with nothing left, a free call got %d", status)
	}
	if n := len(up.requests()); n != 3 {
		t.Errorf("the upstream got %d requests", n)
	}
}

func TestTheEndLineSaysWhatACallTook(t *testing.T) {
	w := openModel(t, answering(t, took(400)), policy.Limits{})
	w.ask(askFor(50))
	if u := w.ended(t, 1).Usage; u == nil || *u != (decision.Usage{Model: "m-2", Input: 389, Output: 10, CacheRead: 1}) {
		t.Errorf("%+v", u)
	}
}

func TestACallThatTakesMoreThanWasSetAsideFinishesAndCounts(t *testing.T) {
	w := openModel(t, answering(t, took(5000)), policy.Limits{Tokens: 1000})
	if status, text := w.ask(askFor(50)); status != 200 || text != took(5000) {
		t.Errorf("it got %d %s", status, text)
	}
	w.ended(t, 1)
	if status, _ := w.ask(askFor(1)); status != 429 {
		t.Errorf("the next got %d", status)
	}
}

func TestTheGuestDoesNotNameTheModelInTheLog(t *testing.T) {
	up := serve(t, &tls.Config{}, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for want, prices := range map[string]meter.Prices{"": nil, "told-by-*": {{Model: "told-by-*"}}} {
		w := openWith(t, Options{Policy: modelPolicy(up, policy.Limits{}), Prices: prices})
		w.ask(`{"model":"told-by-the-guest","messages":[]}`)
		if u := w.ended(t, 1).Usage; u == nil || u.Model != want {
			t.Errorf("%+v, want the model %q", u, want)
		}
	}
}

func TestARefusalThatWillLastSaysSo(t *testing.T) {
	w := openModel(t, answering(t, took(400)), policy.Limits{Tokens: 1000})
	r, _ := http.NewRequest("POST", messagesURL, strings.NewReader(askFor(5000)))
	r.Header.Set("Content-Type", "application/json")
	response, err := w.client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 429 || response.Header.Get(retryField) != "false" {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
}

// held serves a model that answers when it is told to.
func held(t testing.TB, body string) (up *server, arrived <-chan struct{}, answer func()) {
	t.Helper()
	came, release := make(chan struct{}, 100), make(chan struct{})
	answer = sync.OnceFunc(func() { close(release) })
	t.Cleanup(answer)
	return serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		came <- struct{}{}
		<-release
		io.WriteString(w, body)
	}), came, answer
}

// atOnce makes n calls, answers those that came through when the others are refused,
// and gives how many those are.
func atOnce(t *testing.T, w *world, n int, arrived <-chan struct{}, answer func()) (passed int) {
	t.Helper()
	statuses := make(chan int, n)
	for range n {
		go func() {
			r, _ := http.NewRequest("POST", messagesURL, strings.NewReader(askFor(400)))
			r.Header.Set("Content-Type", "application/json")
			response, err := w.client().Do(r)
			if err != nil {
				statuses <- 0
				return
			}
			response.Body.Close()
			statuses <- response.StatusCode
		}()
	}
	for range n {
		select {
		case <-arrived:
			passed++
		case status := <-statuses:
			if status != 429 {
				t.Errorf("one got %d", status)
			}
		}
	}
	answer()
	for range passed {
		if status := <-statuses; status != 200 {
			t.Errorf("one under way got %d", status)
		}
	}
	return passed
}

func TestCallsAtOnceDoNotEachPassTheLimit(t *testing.T) {
	up, arrived, answer := held(t, took(400))
	w := openModel(t, up, policy.Limits{Tokens: 1000})
	if n := atOnce(t, w, 10, arrived, answer); n != 2 {
		t.Errorf("%d calls passed at once, want 2", n)
	}
}

func TestWhatWasSetAsideIsGivenBack(t *testing.T) {
	up := answering(t, took(12))
	route := up.route("api.anthropic.com", model())
	route.ConnectTo = "127.0.0.1:1" // nothing listens
	dead := openWith(t, Options{Policy: limited(policy.Limits{Tokens: 1000}, route)})
	refusing := openWith(t, Options{Policy: limited(policy.Limits{Tokens: 1000, EgressBytes: 100}, up.route("api.anthropic.com", model()))})
	failing := openModel(t, serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, `{"error":{}}`, 529)
	}), policy.Limits{Tokens: 1000})
	fine := openModel(t, up, policy.Limits{Tokens: 1000})
	for name, c := range map[string]struct {
		w      *world
		status int
		used   int64
	}{"no connection": {dead, 502, 0}, "another limit": {refusing, 429, 0}, "an error of the upstream": {failing, 529, 0}, "an answer": {fine, 200, 12}} {
		if status, text := c.w.ask(askFor(500)); status != c.status {
			t.Errorf("%s: %d %s", name, status, text)
		}
		end := c.w.ended(t, 1)
		c.w.stop()
		if b := &c.w.door.budget; b.aside != (spent{}) || b.used.tokens != c.used || (end.Usage != nil) != (c.used > 0) {
			t.Errorf("%s: %+v were set aside, %+v used, %+v", name, b.aside, b.used, end.Usage)
		}
	}
}

func TestACallWithoutUsageIsNotFree(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		least   int64
	}{
		"none": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"type":"message"}`) }, 10},
		"a stream that breaks": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":70,\"output_tokens\":1}}}\n\n")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, 70},
		"no answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 500},
		"a coding that was not asked for": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, took(20))
		}, 500},
	} {
		w := openModel(t, serve(t, &tls.Config{}, func(rw http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			c.handler(rw, r)
		}), policy.Limits{})
		r, _ := http.NewRequest("POST", messagesURL, strings.NewReader(askFor(500)))
		r.Header.Set("Content-Type", "application/json")
		if response, err := w.client().Do(r); err == nil {
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		u := w.ended(t, 1).Usage
		if u == nil || !u.Estimated || u.Input+u.Output < c.least {
			t.Errorf("%s: %+v", name, u)
		}
	}
}

func TestAModelIsAskedForAnAnswerThatCanBeRead(t *testing.T) {
	up := answering(t, took(400))
	w := openModel(t, up, policy.Limits{})
	w.do("POST", messagesURL, strings.NewReader(askFor(1)), asJSON, "Accept-Encoding: gzip, br")
	if got := lastOf(up.requests()).Header["Accept-Encoding"]; len(got) != 1 || got[0] != "identity" {
		t.Errorf("the upstream was asked for %q", got)
	}
}

func TestAStreamIsNotHeldBackByTheMeter(t *testing.T) {
	step := make(chan struct{})
	up := serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		for _, piece := range []string{"data: {\"type\":", "\"message_start\",", "\"message\":{}}\n\n"} {
			io.WriteString(w, piece)
			w.(http.Flusher).Flush()
			<-step
		}
	})
	w := openModel(t, up, policy.Limits{})
	r, _ := http.NewRequest("POST", messagesURL, strings.NewReader(askFor(1)))
	r.Header.Set("Content-Type", "application/json")
	response, err := w.client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for _, want := range []string{"data: {\"type\":", "\"message_start\",", "\"message\":{}}\n\n"} {
		got := make([]byte, len(want))
		if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != want {
			t.Fatalf("it got %q, %v", got, err)
		}
		step <- struct{}{}
	}
}

func TestASwapKeepsTheTokensThatWereUsed(t *testing.T) {
	up := answering(t, took(400))
	w := openModel(t, up, policy.Limits{Tokens: 1000})
	w.ask(askFor(50))
	w.ended(t, 1)
	next := modelPolicy(up, policy.Limits{Tokens: 401})
	next.Epoch = 2
	if err := w.door.Swap(next); err != nil {
		t.Fatal(err)
	}
	if status, text := w.ask(askFor(50)); status != 429 || !strings.Contains(text, "400 were used") {
		t.Errorf("it got %d %s", status, text)
	}
}

// dear is a table in which m-2 costs a dollar for each token that it is asked, and m
// a cent.
var dear = meter.Prices{{Model: "m-2", Input: 1e12, Output: 1e12}, {Model: "m", Input: 1e10, Output: 1e10}}

func TestCallsBeyondTheCostAreRefused(t *testing.T) {
	up := answering(t, took(400))
	w := openWith(t, Options{Policy: modelPolicy(up, policy.Limits{Cost: 400 * policy.Dollar}), Prices: dear})
	if status, text := w.ask(askFor(50)); status != 200 {
		t.Fatalf("within the limit it got %d %s", status, text)
	}
	// 389 tokens were read and 10 written, at the price of the model that answered.
	if u := w.ended(t, 1).Usage; u == nil || u.Cost == nil || *u.Cost != 399*policy.Dollar {
		t.Errorf("%+v", u)
	}
	status, text := w.ask(askFor(200))
	for _, want := range []string{"limits.cost", "$400.000000", "$399.000000 were used"} {
		if status != http.StatusTooManyRequests || !strings.Contains(text, want) {
			t.Errorf("beyond the limit it got %d %s, without %q", status, text, want)
		}
	}
	w.wantRefused(t, RuleLimitCost)
}

func TestAModelWithoutAPriceIsRefusedUnderALimitOfCost(t *testing.T) {
	up := answering(t, took(400))
	w := openWith(t, Options{Policy: modelPolicy(up, policy.Limits{Cost: 1}), Prices: dear[:1]})
	status, text := w.ask(askFor(50))
	for _, want := range []string{`"m" has no price`, "limits.cost", "/etc/bot-bottle/prices.yaml", "prices:"} {
		if status != http.StatusForbidden || !strings.Contains(text, want) {
			t.Errorf("it got %d %s, without %q", status, text, want)
		}
	}
	w.wantRefused(t, RuleModelPrice)
	if n := len(up.requests()); n != 0 {
		t.Errorf("the upstream got %d requests", n)
	}
	without := openWith(t, Options{Policy: modelPolicy(up, policy.Limits{})})
	if status, text := without.ask(askFor(50)); status != 200 {
		t.Errorf("without the limit it got %d %s", status, text)
	}
	if u := without.ended(t, 1).Usage; u == nil || u.Cost != nil {
		t.Errorf("%+v", u)
	}
}
