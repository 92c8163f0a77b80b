package egress

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"crypto/tls"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/policy"
)

// model makes a route a model provider's.
func model(allow ...string) func(*policy.Route) {
	return func(r *policy.Route) {
		r.Matches = []policy.Match{{}}
		r.Model = &policy.ModelAPI{Wire: policy.WireAnthropic, Allow: allow}
	}
}

const (
	messagesURL   = "https://api.anthropic.com/v1/messages?beta=true"
	plainMessage  = "{ \"model\":\"m\",\n \"messages\":[{\"role\":\"user\",\"content\":\"hi\"}] }"
	remoteMessage = `{"model":"m","mcp_servers":[{"type":"url","url":"https://evil.example"}]}`
	asJSON        = "Content-Type: application/json"
)

// bodies serves an upstream that keeps the last body it got.
func bodies(t testing.TB) (*server, *atomic.Value) {
	t.Helper()
	var last atomic.Value
	last.Store("")
	return serve(t, &tls.Config{}, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		last.Store(string(b))
	}), &last
}

func TestAModelRequestPassesAsTheBytesThatWereJudged(t *testing.T) {
	up, last := bodies(t)
	w := open(t, up.route("api.anthropic.com", model(), withToken))
	for name, body := range map[string]io.Reader{"with a length": strings.NewReader(plainMessage), "chunked": io.MultiReader(strings.NewReader(plainMessage))} {
		last.Store("")
		if status, text := w.do("POST", messagesURL, body, asJSON); status != 200 || last.Load() != plainMessage {
			t.Errorf("%s: %d %q, the upstream got %q", name, status, text, last.Load())
		}
		seen := lastOf(up.requests())
		if seen.ContentLength != int64(len(plainMessage)) || seen.Header.Get("Authorization") != "Bearer the-real-token" {
			t.Errorf("%s: the upstream got length %d and %v", name, seen.ContentLength, seen.Header)
		}
	}
	if l := w.ended(t, 2); l.Sent != int64(len(plainMessage)) {
		t.Errorf("the end line is %+v", l)
	}
	w.stop() // what a request held is given back after its end line
	if held := w.door.modelBytes.Load(); held != 0 {
		t.Errorf("%d bytes are still reserved", held)
	}
}

func TestAModelRequestThatAsksForMoreIsRefusedAndSaysSo(t *testing.T) {
	up, last := bodies(t)
	w := open(t, up.route("api.anthropic.com", model()))
	status, text := w.do("POST", messagesURL, strings.NewReader(remoteMessage), asJSON)
	if status != 403 || !strings.Contains(text, "mcp_servers") || !strings.Contains(text, "allow: [") {
		t.Errorf("%d %q", status, text)
	}
	w.wantRefused(t, RuleModelFeature)
	if l := w.last(t); l.Route != "api.anthropic.com:443" || !strings.Contains(l.Error, "mcp_servers") {
		t.Errorf("the verdict line is %+v", l)
	}
	if len(up.requests()) != 0 || last.Load() != "" {
		t.Error("the upstream got something")
	}
	allowed := open(t, up.route("api.anthropic.com", model("mcp_servers")))
	if status, text := allowed.do("POST", messagesURL, strings.NewReader(remoteMessage), asJSON); status != 200 || last.Load() != remoteMessage {
		t.Errorf("listed: %d %q", status, text)
	}
}

func TestAConnectionGoesOnAfterARefusedModelRequest(t *testing.T) {
	up, _ := bodies(t)
	w := open(t, up.route("api.anthropic.com", model()))
	c := w.client()
	for _, want := range []int{403, 200, 403} {
		body := plainMessage
		if want == 403 {
			body = remoteMessage
		}
		r, _ := http.NewRequest("POST", messagesURL, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		response, err := c.Do(r)
		if err != nil || response.StatusCode != want {
			t.Fatalf("%v %v, want %d", response, err, want)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	if n := len(w.door.connections.held()); n != 1 {
		t.Errorf("there are %d connections, want one", n)
	}
}

func TestModelRequestsOfOtherKindsAreRefused(t *testing.T) {
	up, _ := bodies(t)
	w := open(t, up.route("api.anthropic.com", model()))
	for rule, ask := range map[string]func() (int, string){
		RuleModelEndpoint: func() (int, string) {
			return w.do("POST", "https://api.anthropic.com/v1/files", strings.NewReader("x"))
		},
		RuleModelBody: func() (int, string) {
			return w.do("POST", messagesURL, strings.NewReader(plainMessage), asJSON, "Content-Encoding: gzip")
		},
	} {
		if status, text := ask(); status/100 != 4 {
			t.Errorf("%s: %d %q", rule, status, text)
		}
		w.wantRefused(t, rule)
	}
	conn := w.mustSecured("api.anthropic.com:443", "api.anthropic.com")
	io.WriteString(conn, "GET /v1/models HTTP/1.1\r\nHost: api.anthropic.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if status, text := readAnswer(conn); status != 403 {
		t.Errorf("a WebSocket: %d %q", status, text)
	}
	w.wantRefused(t, RuleModelEndpoint)
	if n := len(up.requests()); n != 0 {
		t.Errorf("the upstream got %d requests", n)
	}
}

func TestAGuestThatWaitsToBeAskedForAModelRequestIsAsked(t *testing.T) {
	up, last := bodies(t)
	w := open(t, up.route("api.anthropic.com", model()))
	conn := w.mustSecured("api.anthropic.com:443", "api.anthropic.com")
	io.WriteString(conn, "POST /v1/messages HTTP/1.1\r\nHost: api.anthropic.com\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 13\r\n\r\n")
	if status, text := readAnswer(conn); status != 100 {
		t.Fatalf("%d %q", status, text)
	}
	io.WriteString(conn, `{"model":"m"}`)
	if status, text := readAnswer(conn); status != 200 || last.Load() != `{"model":"m"}` {
		t.Errorf("%d %q, the upstream got %q", status, text, last.Load())
	}
}

func TestModelRequestsAreBoundedOneByOneAndTogether(t *testing.T) {
	up, _ := bodies(t)
	route := up.route("api.anthropic.com", model())
	w := openWith(t, Options{Policy: bottle(1, route), Limits: Limits{ModelBody: 100}})
	long := bytes.Repeat([]byte(" "), 101)
	for name, body := range map[string]io.Reader{"with a length": bytes.NewReader(long), "chunked": io.MultiReader(bytes.NewReader(long))} {
		if status, _ := w.do("POST", messagesURL, body, asJSON); status != 413 {
			t.Errorf("%s: %d", name, status)
		}
		w.wantRefused(t, RuleModelBody)
	}
	busy := openWith(t, Options{Policy: bottle(1, route), Limits: Limits{ModelMemory: modelChunk - 1}})
	if status, _ := busy.do("POST", messagesURL, strings.NewReader(plainMessage), asJSON); status != 503 {
		t.Errorf("beyond the memory: %d", status)
	}
	busy.wantRefused(t, RuleModelBusy)
	if n := len(up.requests()); n != 0 {
		t.Errorf("the upstream got %d requests", n)
	}
}

func TestAGuestThatLeavesInAModelRequestHoldsNothing(t *testing.T) {
	up, _ := bodies(t)
	w := open(t, up.route("api.anthropic.com", model()))
	conn := w.mustSecured("api.anthropic.com:443", "api.anthropic.com")
	io.WriteString(conn, "POST /v1/messages HTTP/1.1\r\nHost: api.anthropic.com\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	conn.Close()
	w.ended(t, 1)
	w.stop()
	if l := w.last(t); l.Verdict != decision.Refuse || len(up.requests()) != 0 {
		t.Errorf("the verdict line is %+v", l)
	}
	if held := w.door.modelBytes.Load(); held != 0 {
		t.Errorf("%d bytes are still reserved", held)
	}
}
