package egress

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/policy"
)

func limited(l policy.Limits, routes ...policy.Route) policy.Policy {
	p := bottle(1, routes...)
	p.Limits = l
	return p
}

func TestRequestsBeyondTheLimitAreRefused(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := openWith(t, Options{Policy: limited(policy.Limits{Requests: 2}, up.route("api.example.com"))})
	for range 2 {
		if status, body := w.get("https://api.example.com/"); status != 200 {
			t.Fatalf("within the limit it got %d %s", status, body)
		}
	}
	status, body := w.get("https://api.example.com/")
	if status != http.StatusTooManyRequests || !strings.Contains(body, "limits.requests") || !strings.Contains(body, "2 requests") {
		t.Errorf("beyond the limit it got %d %s", status, body)
	}
	w.wantRefused(t, RuleLimitRequests)
	if n := len(up.requests()); n != 2 {
		t.Errorf("the upstream got %d requests", n)
	}
}

func TestRefusedRequestsAreNotCounted(t *testing.T) {
	up := serve(t, nil, hello)
	w := openWith(t, Options{Policy: limited(policy.Limits{Requests: 1}, up.route("api.example.com", plain))})
	for range 3 {
		w.get("http://evil.example.org/")
	}
	if status, _ := w.get("http://api.example.com/"); status != 200 {
		t.Errorf("the first allowed request got %d", status)
	}
}

func TestRequestsAtOnceShareOneLimit(t *testing.T) {
	up := serve(t, nil, hello)
	w := openWith(t, Options{Policy: limited(policy.Limits{Requests: 5}, up.route("api.example.com", plain))})
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if status, _ := w.get("http://api.example.com/"); status == 200 {
				passed.Add(1)
			}
		})
	}
	all.Wait()
	if passed.Load() != 5 || len(up.requests()) != 5 {
		t.Errorf("%d passed, the upstream got %d", passed.Load(), len(up.requests()))
	}
}

func TestASwapBringsANewLimitAndNoNewBeginning(t *testing.T) {
	up := serve(t, nil, hello)
	route := up.route("api.example.com", plain)
	w := openWith(t, Options{Policy: limited(policy.Limits{Requests: 1}, route)})
	w.get("http://api.example.com/")
	next := limited(policy.Limits{Requests: 2}, route)
	next.Epoch = 2
	if err := w.door.Swap(next); err != nil {
		t.Fatal(err)
	}
	if status, _ := w.get("http://api.example.com/"); status != 200 {
		t.Errorf("the second got %d", status)
	}
	if status, _ := w.get("http://api.example.com/"); status != 429 {
		t.Errorf("the third got %d", status)
	}
}

// headBytes is more than the head of a small request of the tests'.
const headBytes = 512

func TestABodyOfKnownLengthThatIsTooLongNeverLeaves(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := openWith(t, Options{Policy: limited(policy.Limits{EgressBytes: headBytes + 1000}, up.route("api.example.com", anyMethod))})
	status, body := w.do("POST", "https://api.example.com/", strings.NewReader(strings.Repeat("x", 2000)))
	if status != 429 || !strings.Contains(body, "limits.egress_bytes") {
		t.Errorf("it got %d %s", status, body)
	}
	w.wantRefused(t, RuleLimitBytes)
	if n := len(up.requests()); n != 0 {
		t.Errorf("the upstream got %d requests", n)
	}
	if status, _ := w.do("POST", "https://api.example.com/", strings.NewReader("small")); status != 200 {
		t.Errorf("a small one got %d", status)
	}
}

// unsized hides the length of a body, so that it is sent in chunks.
type unsized struct{ io.Reader }

func TestABodyOfUnknownLengthIsCutWhereTheLimitIs(t *testing.T) {
	const limit = headBytes + 100<<10
	got := make(chan int64, 1)
	up := serve(t, &tls.Config{}, func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		got <- n
	})
	w := openWith(t, Options{Policy: limited(policy.Limits{EgressBytes: limit}, up.route("api.example.com", anyMethod))})
	r, err := http.NewRequest("POST", "https://api.example.com/", unsized{strings.NewReader(strings.Repeat("x", 10<<20))})
	if err != nil {
		t.Fatal(err)
	}
	if response, err := w.client().Do(r); err == nil { // or the door has closed while the client was writing
		if response.StatusCode != 429 {
			t.Errorf("it got %d", response.StatusCode)
		}
		response.Body.Close()
	}
	if n := <-got; n > limit {
		t.Errorf("the upstream got %d bytes of at most %d", n, limit)
	}
	if end := w.ended(t, 1); end.Rule != RuleLimitBytes || end.Status != 429 || end.Sent > limit {
		t.Errorf("the end line is %+v", end)
	}
	if l := w.last(t); l.Verdict != decision.Allow {
		t.Errorf("the verdict line is %+v", l)
	}
}

func TestHeadsCountAsBytes(t *testing.T) {
	up := serve(t, nil, hello)
	w := openWith(t, Options{Policy: limited(policy.Limits{EgressBytes: 3000}, up.route("api.example.com", plain))})
	query := "http://api.example.com/?q=" + strings.Repeat("x", 1000)
	statuses := ""
	for range 3 {
		status, _ := w.get(query)
		statuses += strconv.Itoa(status) + " "
	}
	if statuses != "200 200 429 " {
		t.Errorf("it got %s", statuses)
	}
}

func TestTrailersCountAsBytes(t *testing.T) {
	seen := make(chan http.Header, 1)
	up := serve(t, nil, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		seen <- r.Trailer
	})
	w := openWith(t, Options{Policy: limited(policy.Limits{EgressBytes: headBytes}, up.route("api.example.com", plain, anyMethod))})
	w.raw("POST http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\nTrailer: X-Way-Out\r\n\r\n" +
		"1\r\nx\r\n0\r\nX-Way-Out: " + strings.Repeat("y", 2*headBytes) + "\r\n\r\n")
	if got := (<-seen).Get("X-Way-Out"); got != "" {
		t.Errorf("the trailer passed with %d bytes", len(got))
	}
	if end := w.ended(t, 1); end.Rule != RuleLimitBytes {
		t.Errorf("the end line is %+v", end)
	}
}

func TestAWebSocketIsCutWhereTheLimitIs(t *testing.T) {
	up := serve(t, nil, echoSocket)
	w := openWith(t, Options{Policy: limited(policy.Limits{EgressBytes: headBytes}, up.route("p.example.com", plain))})
	conn := w.dial()
	io.WriteString(conn, "GET http://p.example.com/ HTTP/1.1\r\nHost: p.example.com\r\n"+upgradeText+strings.Repeat("x", 8*headBytes)+";")
	if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, io.EOF) {
		t.Logf("the guest's end: %v", err)
	}
	if end := w.ended(t, 1); end.Rule != RuleLimitBytes || end.Sent > headBytes {
		t.Errorf("the end line is %+v", end)
	}
}
