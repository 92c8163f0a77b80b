package egress

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/policy"
)

func TestListedHostPassesOverTLS(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("api.example.com"))
	status, body := w.get("https://api.example.com/v1?x=1")
	if status != 200 || body != "hello" {
		t.Fatalf("got %d %q", status, body)
	}
	end := w.ended(t, 1)
	verdicts := w.of(decision.KindVerdict)
	if len(verdicts) != 1 {
		t.Fatalf("there are %d verdict lines, want 1", len(verdicts))
	}
	v := verdicts[0]
	if v.Verdict != decision.Allow || v.Method != "GET" || v.Scheme != "https" || v.Host != "api.example.com" || v.Port != 443 ||
		v.Path != "/v1" || v.Route != "api.example.com:443" || v.Epoch != 1 || v.Door != decision.Egress {
		t.Errorf("verdict line %+v", v)
	}
	if end.ID != v.ID || end.Status != 200 || end.Received != 5 || end.Sent != 0 || end.Duration <= 0 || end.Rule != "" {
		t.Errorf("end line %+v", end)
	}
	if got := up.requests()[0]; got.Host != "api.example.com" || got.RequestURI != "/v1?x=1" {
		t.Errorf("the upstream saw %s %s", got.Host, got.RequestURI)
	}
}

func TestListedHostPassesOverPlainHTTP(t *testing.T) {
	up := serve(t, nil, hello)
	w := open(t, up.route("api.example.com", plain))
	if status, body := w.get("http://api.example.com/v1"); status != 200 || body != "hello" {
		t.Fatalf("got %d %q", status, body)
	}
}

func TestUpstreamIsSpokenWithInHTTP2WhereItOffersThat(t *testing.T) {
	up := serve(t, &tls.Config{NextProtos: []string{"h2", "http/1.1"}}, hello)
	w := open(t, up.route("api.example.com"))
	if status, _ := w.get("https://api.example.com/"); status != 200 {
		t.Fatalf("got %d", status)
	}
	if got := up.requests()[0].ProtoMajor; got != 2 {
		t.Errorf("the upstream was spoken with in HTTP/%d", got)
	}
}

func TestGuestIsSpokenWithInHTTP1Alone(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("api.example.com"))
	conn := tls.Client(w.tunnel("api.example.com:443"), &tls.Config{InsecureSkipVerify: true, ServerName: "api.example.com", NextProtos: []string{"h2", "http/1.1"}})
	if err := conn.Handshake(); err != nil || conn.ConnectionState().NegotiatedProtocol != "http/1.1" {
		t.Errorf("negotiated %q, %v", conn.ConnectionState().NegotiatedProtocol, err)
	}
}

func TestRefusalNamesTheMissingRouteAndItsLines(t *testing.T) {
	w := open(t)
	status, body := w.raw("GET http://missing.example.com:8080/x HTTP/1.1\r\nHost: missing.example.com:8080\r\n\r\n")
	if status != 403 {
		t.Fatalf("got %d %q", status, body)
	}
	for _, want := range []string{"no-route", "missing.example.com:8080", "egress:", "routes:", `- host: "missing.example.com"`, "port: 8080"} {
		if !strings.Contains(body, want) {
			t.Errorf("the answer does not have %q:\n%s", want, body)
		}
	}
	_, body = w.raw("GET http://missing.example.com/ HTTP/1.1\r\nHost: missing.example.com\r\nAccept: application/json\r\n\r\n")
	if !strings.Contains(body, `"rule":"no-route"`) || !strings.Contains(body, "application/json") {
		t.Errorf("not JSON:\n%s", body)
	}
}

func TestRefusedConnectNamesTheMissingRoute(t *testing.T) {
	w := open(t)
	status, body := w.raw("CONNECT missing.example.com:443 HTTP/1.1\r\nHost: missing.example.com:443\r\n\r\n")
	if status != 403 || !strings.Contains(body, `- host: "missing.example.com"`) {
		t.Errorf("got %d\n%s", status, body)
	}
	if l := w.last(t); l.Verdict != decision.Refuse || l.Method != "CONNECT" || l.Host != "missing.example.com" || l.Port != 443 {
		t.Errorf("verdict line %+v", l)
	}
}

func TestOpenedTunnelAloneHasNoLine(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("api.example.com"))
	w.mustSecured("api.example.com:443", "api.example.com").Close()
	w.stop()
	if got := w.of(decision.KindVerdict); len(got) != 0 {
		t.Errorf("lines %+v", got)
	}
}

func TestConnectNeitherResolvesNorDials(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	names := &static{}
	route := up.route("api.example.com")
	route.ConnectTo = ""
	w := openWith(t, Options{Policy: bottle(1, route), Resolver: names})
	w.mustSecured("api.example.com:443", "api.example.com").Close()
	w.raw("CONNECT other.example.com:443 HTTP/1.1\r\nHost: other.example.com:443\r\n\r\n")
	w.stop()
	if len(names.questions()) != 0 || up.connections() != 0 {
		t.Errorf("asked %v, %d connections", names.questions(), up.connections())
	}
}

func TestNamesAreResolvedAsAbsolute(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	names := &static{names: map[string][]string{"api.example.com.": {"127.0.0.1"}}}
	route := up.route("api.example.com")
	route.ConnectTo, route.Port = "", portOf(up.address)
	w := openWith(t, Options{Policy: bottle(1, route), Resolver: names})
	for range 3 {
		if status, body := w.get(fmt.Sprintf("https://api.example.com:%d/", route.Port)); status != 200 {
			t.Fatalf("got %d %s", status, body)
		}
	}
	if got := names.questions(); len(got) != 1 || got[0] != "api.example.com." {
		t.Errorf("asked for %v", got)
	}
	if got := up.requests()[0].Host; got != fmt.Sprintf("api.example.com:%d", route.Port) {
		t.Errorf("Host %q", got)
	}
}

func peerName(net.Conn) string { return "1000/42" }

func portOf(address string) uint16 {
	a, err := parseAuthority(address, 0)
	if err != nil {
		panic(err)
	}
	return a.port
}

func TestPathIsSentAsItWasJudged(t *testing.T) {
	up := serve(t, nil, hello)
	w := open(t, up.route("api.example.com", plain))
	for wire, want := range map[string]string{
		"/a%2Fb":        "/a%2Fb",
		"/%61%7e":       "/a~",
		"/a//b/":        "/a//b/",
		"":              "/",
		"?q=%2e%2e/":    "/?q=%2e%2e/",
		"/x%20y?a=b?c":  "/x%20y?a=b?c",
		"//other.test/": "//other.test/",
	} {
		status, answer := w.raw("GET http://api.example.com" + wire + " HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n")
		got := up.requests()
		if status != 200 || got[len(got)-1].RequestURI != want {
			t.Errorf("%q was sent as %q, want %q\n%s", wire, got[len(got)-1].RequestURI, want, answer)
		}
	}
	for _, wire := range []string{"/../x", "/a/%2e%2e/x", "/%252e%252e/x", "/a\\..\\x", "/%zz", "/a#b"} {
		if status, _ := w.raw("GET http://api.example.com" + wire + " HTTP/1.1\r\nHost: api.example.com\r\n\r\n"); status != 400 {
			t.Errorf("%q got %d, want 400", wire, status)
		}
	}
}

func TestConnectionIsKeptAliveBetweenRequests(t *testing.T) {
	up := serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	w := open(t, up.route("api.example.com", anyMethod))
	conn := w.mustSecured("api.example.com:443", "api.example.com")
	r := bufio.NewReader(conn)
	for i, text := range []string{
		"GET /1 HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
		"POST /2 HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 3\r\n\r\nabc",
		"HEAD /3 HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
		"POST /4 HTTP/1.1\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"TRACE /5 HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
		"GET /6 HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
	} {
		io.WriteString(conn, text)
		method, _, _ := strings.Cut(text, " ")
		response, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		io.Copy(io.Discard, response.Body)
		want := 200
		if method == "TRACE" {
			want = 405
		}
		if response.StatusCode != want || response.Close {
			t.Errorf("request %d: %d, close %v", i, response.StatusCode, response.Close)
		}
	}
	if n := up.connections(); n != 1 {
		t.Errorf("the upstream saw %d connections", n)
	}
}

func TestHandshakeMayFollowConnectAtOnce(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("api.example.com"))
	roots := x509.NewCertPool()
	roots.AddCert(w.ca.certificate)
	conn := tls.Client(&hasty{Conn: w.dial(), first: connectText("api.example.com:443", "api.example.com:443")},
		&tls.Config{RootCAs: roots, ServerName: "api.example.com"})
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
	if status, _ := readAnswer(conn); status != 200 {
		t.Errorf("got %d", status)
	}
}

// hasty writes first together with what follows, and reads over the answer to it.
type hasty struct {
	net.Conn
	first string
	r     *bufio.Reader
}

func (h *hasty) Write(b []byte) (int, error) {
	_, err := h.Conn.Write(append([]byte(h.first), b...))
	h.first = ""
	return len(b), err
}

func (h *hasty) Read(b []byte) (int, error) {
	if h.r == nil {
		h.r = bufio.NewReader(h.Conn)
		if response, err := http.ReadResponse(h.r, &http.Request{Method: http.MethodConnect}); err != nil || response.StatusCode != 200 {
			return 0, fmt.Errorf("opening the tunnel: %v %w", response, err)
		}
	}
	return h.r.Read(b)
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	up := serve(t, nil, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
	w := open(t, up.route("api.example.com", plain))
	var text string
	for i := range 200 { // longer than the door's buffer
		text += fmt.Sprintf("GET http://api.example.com/n%d HTTP/1.1\r\nHost: api.example.com\r\n\r\n", i)
	}
	conn := w.dial()
	go io.WriteString(conn, text)
	r := bufio.NewReader(conn)
	for i := range 200 {
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if b, _ := io.ReadAll(response.Body); string(b) != fmt.Sprintf("/n%d", i) {
			t.Fatalf("answer %d is %q", i, b)
		}
	}
}

func TestHTTP10GuestGetsABodyUntilClose(t *testing.T) {
	up := serve(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush() // no length
		io.WriteString(w, "streamed")
	})
	w := open(t, up.route("api.example.com", plain))
	conn := w.dial()
	io.WriteString(conn, "GET http://api.example.com/ HTTP/1.0\r\n\r\n")
	_, answer := readAnswer(conn)
	if !strings.HasSuffix(answer, "\r\n\r\nstreamed") || strings.Contains(answer, "chunked") {
		t.Errorf("got %q", answer)
	}
}

func TestRequestForTheDoorItselfIsRefused(t *testing.T) {
	w := open(t)
	if status, body := w.raw("GET /admin HTTP/1.1\r\nHost: 127.0.0.16:9099\r\n\r\n"); status != 400 || !strings.Contains(body, RuleNotProxied) {
		t.Errorf("got %d %s", status, body)
	}
	w.wantRefused(t, RuleNotProxied)
}

func TestInterceptSeesRequestsForTheDoorAlone(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	var seen []string
	w := openWith(t, Options{
		Policy: bottle(1, up.route("api.example.com")),
		Intercept: func(w http.ResponseWriter, r *http.Request) bool {
			seen = append(seen, r.URL.Path)
			if r.URL.Path != "/proof" {
				return false
			}
			w.WriteHeader(http.StatusAccepted)
			io.WriteString(w, "seen")
			return true
		},
	})
	if status, body := w.raw("GET /proof HTTP/1.1\r\nHost: 127.0.0.16:9099\r\n\r\n"); status != 202 || !strings.HasSuffix(body, "seen") {
		t.Errorf("got %d %s", status, body)
	}
	if status, _ := w.raw("GET /else HTTP/1.1\r\nHost: 127.0.0.16:9099\r\n\r\n"); status != 400 {
		t.Errorf("got %d", status)
	}
	w.get("https://api.example.com/proof")
	if fmt.Sprint(seen) != "[/proof /else]" {
		t.Errorf("it saw %v", seen)
	}
}

func TestPeerStandsInTheLines(t *testing.T) {
	w := openWith(t, Options{Policy: bottle(1), Peer: peerName})
	w.raw("GET http://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
	if got := w.last(t).Peer; got != "1000/42" {
		t.Errorf("peer %q", got)
	}
}

func TestUnusablePolicyDoesNotMakeADoor(t *testing.T) {
	up := serve(t, nil, hello)
	for name, route := range map[string]policy.Route{
		"host with a path": {Host: "a.example.com/x", Port: 443},
		"no port":          {Host: "a.example.com"},
		"bad pattern":      {Host: "a.example.com", Port: 443, Matches: []policy.Match{{Path: &policy.PathMatch{Type: policy.MatchRegex, Value: "("}}}},
		"missing token":    up.route("a.example.com", func(r *policy.Route) { r.Auth = &policy.Auth{TokenName: "absent"} }),
		"no certificate":   {Host: "a.example.com", Port: 443, CAs: "nothing"},
	} {
		if _, err := New(Options{Policy: bottle(1, route), CA: newTestCA(t, "x"), Log: newJournal()}); err == nil {
			t.Errorf("%s: a door was made", name)
		}
	}
}
