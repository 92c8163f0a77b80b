package egress

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/policy"
)

// eachProtocol runs a test with an upstream of either protocol.
func eachProtocol(t *testing.T, handler http.HandlerFunc, test func(*testing.T, *server)) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(strings.ReplaceAll(protocol, "/", ""), func(t *testing.T) {
			test(t, serve(t, &tls.Config{NextProtos: []string{protocol}}, handler))
		})
	}
}

func TestServerSentEventsArriveAsTheyAreSent(t *testing.T) {
	next := make(chan struct{})
	eachProtocol(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		for i := range 3 {
			<-next // not before the guest has the one before
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
		}
	}, func(t *testing.T, up *server) {
		w := open(t, up.route("api.example.com"))
		response, err := w.client().Get("https://api.example.com/") // the head comes alone
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		r := bufio.NewReader(response.Body)
		for i := range 3 {
			next <- struct{}{}
			if line, err := r.ReadString('\n'); line != fmt.Sprintf("data: %d\n", i) {
				t.Fatalf("got %q, %v", line, err)
			}
			r.ReadString('\n')
		}
	})
}

func TestRequestBodyArrivesAsItIsSent(t *testing.T) {
	arrived := make(chan string)
	eachProtocol(t, func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 5)
		for range 2 {
			io.ReadFull(r.Body, b)
			arrived <- string(b)
		}
	}, func(t *testing.T, up *server) {
		w := open(t, up.route("api.example.com", anyMethod))
		conn := w.mustSecured("api.example.com:443", "api.example.com")
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\n\r\n")
		for _, part := range []string{"first", "other"} {
			fmt.Fprintf(conn, "5\r\n%s\r\n", part)
			if got := <-arrived; got != part {
				t.Fatalf("got %q", got)
			}
		}
		io.WriteString(conn, "0\r\n\r\n")
		if status, _ := readAnswer(conn); status != 200 {
			t.Errorf("got %d", status)
		}
	})
}

func TestLargeBodiesArriveWholeInBothDirections(t *testing.T) {
	eachProtocol(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
	}, func(t *testing.T, up *server) {
		w := open(t, up.route("api.example.com", anyMethod))
		sent, got := sha256.New(), sha256.New()
		body := io.TeeReader(io.LimitReader(rand.Reader, 24<<20), sent)
		response, err := w.client().Post("https://api.example.com/", "application/octet-stream", body)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(got, response.Body)
		if err != nil || n != 24<<20 || string(sent.Sum(nil)) != string(got.Sum(nil)) {
			t.Errorf("got %d bytes back, %v", n, err)
		}
		if end := w.ended(t, 1); end.Sent != n || end.Received != n {
			t.Errorf("end line %+v", end)
		}
	})
}

func TestTrailersPassWithoutCredentials(t *testing.T) {
	eachProtocol(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "request trailer: %v", r.Trailer)
		w.Header().Set("X-Sum", "42")
	}, func(t *testing.T, up *server) {
		w := open(t, up.route("api.example.com", anyMethod))
		conn := w.mustSecured("api.example.com:443", "api.example.com")
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\nTrailer: X-Check, Authorization, X-Http-Method-Override\r\n\r\n"+
			"1\r\na\r\n0\r\nX-Check: 7\r\nAuthorization: canary\r\nX-Http-Method-Override: DELETE\r\n\r\n")
		_, answer := readAnswer(conn)
		if !strings.Contains(answer, "request trailer: map[X-Check:[7]]") || !strings.Contains(answer, "Trailer: X-Sum") || !strings.Contains(answer, "0\r\nX-Sum: 42\r\n") {
			t.Errorf("got %s", answer)
		}
	})
}

func TestContinueIsSentWhenTheUpstreamWantsTheBody(t *testing.T) {
	up := serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		io.Copy(w, r.Body)
	})
	w := open(t, up.route("api.example.com", anyMethod))
	head := "POST %s HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
	conn := w.mustSecured("api.example.com:443", "api.example.com")
	fmt.Fprintf(conn, head, "/yes")
	r := bufio.NewReader(conn)
	if line, _ := r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q", line)
	}
	r.ReadString('\n')
	io.WriteString(conn, "body")
	response, err := http.ReadResponse(r, nil)
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("got %v %v", response, err)
	}
	if b, _ := io.ReadAll(response.Body); string(b) != "body" {
		t.Errorf("got %q", b)
	}
	fmt.Fprintf(conn, head, "/no")
	response, err = http.ReadResponse(r, nil)
	if err != nil || response.StatusCode != 413 || !response.Close {
		t.Errorf("got %v %v", response, err)
	}
	other := w.mustSecured("api.example.com:443", "api.example.com")
	io.WriteString(other, "POST / HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 4\r\nExpect: a-pony\r\n\r\n")
	if status, _ := readAnswer(other); status != 417 {
		t.Errorf("another expectation got %d", status)
	}
}

func TestInformationalAnswersPass(t *testing.T) {
	eachProtocol(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.Header().Set("Set-Cookie", "session=of our token")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "hello")
	}, func(t *testing.T, up *server) {
		w := open(t, up.route("api.example.com", withToken))
		conn := w.mustSecured("api.example.com:443", "api.example.com")
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
		r := bufio.NewReader(conn)
		if line, _ := r.ReadString('\n'); line != "HTTP/1.1 103 Early Hints\r\n" {
			t.Errorf("got %q", line)
		}
		hints, err := textproto.NewReader(r).ReadMIMEHeader()
		if err != nil || hints.Get("Link") == "" || hints.Get("Set-Cookie") != "" {
			t.Errorf("the hints are %v, %v", hints, err)
		}
	})
}

func TestEarlyAnswerEndsTheConnectionOnceItHasArrived(t *testing.T) {
	eachProtocol(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, func(t *testing.T, up *server) {
		w := open(t, up.route("api.example.com", anyMethod))
		conn := w.mustSecured("api.example.com:443", "api.example.com")
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 100000000\r\n\r\n")
		go io.CopyN(conn, rand.Reader, 100_000_000) // ends when the door has had enough
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || response.StatusCode != 403 {
			t.Errorf("got %v, %v", response, err)
		}
	})
}

func TestCutAnswerIsNotTakenForAWholeOne(t *testing.T) {
	for name, head := range map[string]string{"length": "Content-Length: 100\r\n", "chunked": "Transfer-Encoding: chunked\r\n"} {
		t.Run(name, func(t *testing.T) {
			up := serve(t, &tls.Config{}, func(w http.ResponseWriter, _ *http.Request) {
				conn, rw, _ := w.(http.Hijacker).Hijack()
				fmt.Fprintf(rw, "HTTP/1.1 200 OK\r\n%s\r\n5\r\nhello\r\n", head)
				rw.Flush()
				conn.Close()
			})
			w := open(t, up.route("api.example.com"))
			response, err := w.client().Get("https://api.example.com/")
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(response.Body); err == nil {
				t.Errorf("%q was taken for whole", b)
			}
			if end := w.ended(t, 1); end.Rule != RuleUpstream || end.Error == "" {
				t.Errorf("end line %+v", end)
			}
		})
	}
}

func TestUpstreamIsLetGoWhenTheGuestLeaves(t *testing.T) {
	arrived, left := make(chan struct{}, 1), make(chan struct{}, 1)
	eachProtocol(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	}, func(t *testing.T, up *server) {
		w := open(t, up.route("api.example.com"))
		conn := w.mustSecured("api.example.com:443", "api.example.com")
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
		<-arrived
		conn.Close()
		<-left
		if end := w.ended(t, 1); end.Rule != RuleGuestGone {
			t.Errorf("end line %+v", end)
		}
	})
}

// echoSocket accepts a WebSocket and sends back what it gets, unframed.
func echoSocket(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Sec-Websocket-Key") == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	conn, rw, _ := w.(http.Hijacker).Hijack()
	defer conn.Close()
	io.WriteString(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nSet-Cookie: session=x\r\n\r\n")
	rw.Flush()
	io.Copy(conn, rw)
}

const upgradeText = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"

func TestH16WebSocketToAListedHostPassesAndIsScanned(t *testing.T) {
	secure, plainUp := serve(t, &tls.Config{NextProtos: []string{"h2", "http/1.1"}}, echoSocket), serve(t, nil, echoSocket)
	w := openWith(t, Options{Policy: bottle(1, secure.route("api.example.com", withToken), plainUp.route("p.example.com", plain)), Scanner: withholding{}})
	secured := w.mustSecured("api.example.com:443", "api.example.com")
	io.WriteString(secured, "GET /socket HTTP/1.1\r\nHost: api.example.com\r\n"+upgradeText)
	open := w.dial()
	io.WriteString(open, "GET http://p.example.com/ HTTP/1.1\r\nHost: p.example.com\r\n"+upgradeText+"early canary;") // frames may follow at once
	for i, c := range []struct {
		conn   net.Conn
		want   string
		cookie string // one that our token opened is not the guest's
	}{{secured, "a UPWARD;", ""}, {open, "early UPWARD;a UPWARD;", "session=x"}} {
		r := bufio.NewReader(c.conn)
		response, err := http.ReadResponse(r, nil)
		if err != nil || response.StatusCode != 101 || response.Header.Get("Upgrade") != "websocket" || response.Header.Get("Sec-Websocket-Accept") != "x" {
			t.Fatalf("got %v %v", response, err)
		}
		if got := response.Header.Get("Set-Cookie"); got != c.cookie {
			t.Errorf("got the cookie %q, want %q", got, c.cookie)
		}
		io.WriteString(c.conn, "a canary;")
		b := make([]byte, len(c.want))
		if _, err := io.ReadFull(r, b); err != nil || string(b) != c.want {
			t.Errorf("got %q, want %q, %v", b, c.want, err)
		}
		c.conn.Close()
		if end := w.ended(t, i+1); end.Status != 101 || end.Sent == 0 || end.Received != end.Sent {
			t.Errorf("end line %+v", end)
		}
	}
	if got := lastOf(secure.requests()); got.ProtoMajor != 1 || got.Header.Get("Authorization") != "Bearer the-real-token" {
		t.Errorf("the upstream saw %+v", got)
	}
	if status, _ := w.raw("GET http://evil.invalid/ HTTP/1.1\r\nHost: evil.invalid\r\n" + upgradeText); status != 403 {
		t.Errorf("a WebSocket to an unlisted host got %d", status)
	}
}

func TestUpgradeThatNobodyAskedForIsRefused(t *testing.T) {
	up := serve(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, _ := w.(http.Hijacker).Hijack()
		defer conn.Close()
		io.WriteString(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nsmuggled")
		rw.Flush()
	})
	w := open(t, up.route("api.example.com", plain))
	status, answer := w.raw("GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
	if status != 502 || strings.Contains(answer, "smuggled") {
		t.Errorf("got %d %s", status, answer)
	}
}

func TestRefusedConnectionToTheUpstream(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there any more
	w := open(t, policy.Route{Host: "api.example.com", Port: 80, Addresses: loopback, ConnectTo: l.Addr().String()})
	status, body := w.raw("GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
	if status != 502 || !strings.Contains(body, RuleUnreachable) || strings.Contains(body, "127.0.0.1") {
		t.Errorf("got %d %s", status, body)
	}
	if end := w.ended(t, 1); end.Rule != RuleUnreachable || !strings.Contains(end.Error, l.Addr().String()) {
		t.Errorf("end line %+v", end)
	}
}

func TestUpstreamThatSpeaksNoTLS(t *testing.T) {
	up := serve(t, nil, hello)
	w := open(t, up.route("api.example.com", withToken))
	if status, body := w.get("https://api.example.com/"); status != 502 || !strings.Contains(body, RuleUpstreamTLS) {
		t.Errorf("got %d %s", status, body)
	}
	if len(up.requests()) != 0 {
		t.Error("something was sent in the clear")
	}
}

func TestUnresolvedName(t *testing.T) {
	w := openWith(t, Options{Policy: bottle(1, policy.Route{Host: "api.example.com", Port: 80}), Resolver: &static{}})
	if status, _ := w.raw("GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n"); status != 502 {
		t.Errorf("got %d", status)
	}
	w.wantRefused(t, RuleUnresolved)
}

func TestNothingPassesWithoutARecord(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	broken := newJournal()
	broken.broken = io.ErrShortWrite
	w := openWith(t, Options{Policy: bottle(1, up.route("api.example.com")), Log: broken})
	if status, body := w.get("https://api.example.com/"); status != 503 || !strings.Contains(body, RuleLog) {
		t.Errorf("got %d %s", status, body)
	}
	if up.connections() != 0 {
		t.Error("the upstream was reached")
	}
}

func TestVerdictIsRecordedBeforeTheFirstByteLeaves(t *testing.T) {
	var w *world
	up := serve(t, nil, func(http.ResponseWriter, *http.Request) {})
	w = openWith(t, Options{
		Policy: bottle(1, up.route("api.example.com", plain)),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if len(w.of("verdict")) != 1 {
				t.Error("dialled before the verdict")
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	})
	w.raw("GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
	if end := w.ended(t, 1); end.Status != 200 {
		t.Errorf("end line %+v", end)
	}
}
