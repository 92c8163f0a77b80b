package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/policy"
)

func TestH23TenThousandIdleConnectionsLeaveRoomForOthers(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := openWith(t, Options{Policy: bottle(1, up.route("api.example.com")), Limits: Limits{Connections: 64}})
	before := runtime.NumGoroutine()
	kept := make([]net.Conn, 256) // the guest's ends, in a ring, to spare descriptors
	defer func() {
		for _, c := range kept {
			c.Close()
		}
	}()
	for i := range 10_000 {
		conn, err := net.Dial("unix", w.socket)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		io.WriteString(conn, "GET http://api.example.com/ HTTP/1.1\r\nX-Slow: ") // and no more
		if old := kept[i%len(kept)]; old != nil {
			old.Close()
		}
		kept[i%len(kept)] = conn
		if i%1000 == 999 {
			if status, _ := w.get("https://api.example.com/"); status != 200 {
				t.Fatalf("beside %d connections another got %d", i+1, status)
			}
		}
	}
	if held := len(w.door.connections.held()); held > 64 {
		t.Errorf("%d connections are held", held)
	}
	if now := runtime.NumGoroutine(); now > before+2*64+200 {
		t.Errorf("%d goroutines, %d before", now, before)
	}
}

func TestH23RequestsUnderWayAreNotGivenUpForNewConnections(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 4)
	up := serve(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		io.WriteString(w, "hello")
	})
	w := openWith(t, Options{Policy: bottle(1, up.route("api.example.com", plain)), Limits: Limits{Connections: 4}})
	var busy []net.Conn
	for range 4 {
		conn := w.dial()
		io.WriteString(conn, "GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
		<-arrived
		busy = append(busy, conn)
	}
	if status, body := readAnswer(w.dial()); status != 503 || !strings.Contains(body, RuleTooMany) {
		t.Errorf("one more got %d %s", status, body)
	}
	close(release)
	for _, conn := range busy {
		if status, _ := readAnswer(conn); status != 200 {
			t.Errorf("a request under way got %d", status)
		}
	}
	if status, _ := w.raw("GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n"); status != 200 {
		t.Errorf("afterwards one got %d", status)
	}
}

func TestH23SlowHeadIsCutOff(t *testing.T) {
	w := openWith(t, Options{Policy: bottle(1), Limits: Limits{HeadTime: 50 * time.Millisecond}})
	if status, _ := w.raw("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "); status != 408 {
		t.Errorf("got %d", status)
	}
	w.wantRefused(t, RuleHeadTimeout)
}

func TestH23SlowHandshakeIsCutOff(t *testing.T) {
	w := openWith(t, Options{Policy: bottle(1, policy.Route{Host: "api.example.com", Port: 443}), Limits: Limits{HeadTime: 50 * time.Millisecond}})
	conn := w.tunnel("api.example.com:443")
	io.WriteString(conn, "\x16\x03\x01\x02\x00")
	io.Copy(io.Discard, conn)
	w.ended(t, 1)
	w.wantRefused(t, RuleHandshake)
}

func TestH23SilentConnectionIsClosed(t *testing.T) {
	w := openWith(t, Options{Policy: bottle(1), Limits: Limits{KeepAliveTime: 20 * time.Millisecond}})
	if b, err := io.ReadAll(w.dial()); err != nil || len(b) != 0 {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestH23EndlessHeadIsRefused(t *testing.T) {
	w := openWith(t, Options{Policy: bottle(1), Limits: Limits{HeadBytes: 8 << 10}})
	conn := w.dial()
	go func() {
		io.WriteString(conn, "GET http://a.example.com/ HTTP/1.1\r\n")
		for {
			if _, err := io.WriteString(conn, "X-More: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
				return
			}
		}
	}()
	if status, _ := readAnswer(conn); status != 431 {
		t.Errorf("got %d", status)
	}
	w.wantRefused(t, RuleHeadTooLarge)
	w.ended(t, 1)

	fits := "GET http://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\nX: " + strings.Repeat("x", 7<<10) + "\r\n\r\n"
	if status, _ := w.raw(fits); status != 403 {
		t.Errorf("a long head got %d", status)
	}
}

func TestH23EndlessBodiesAreStreamedInBoundedMemory(t *testing.T) {
	const size = 256 << 20
	up := serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
			return
		}
		io.CopyN(w, zeros{}, size)
	})
	w := open(t, up.route("api.example.com", plain, anyMethod))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	if _, body := w.do("POST", "http://api.example.com/", io.LimitReader(zeros{}, size)); body != fmt.Sprint(size) {
		t.Errorf("%s bytes arrived", body)
	}
	response, err := w.client().Get("http://api.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, response.Body); n != size || err != nil {
		t.Errorf("%d bytes came back, %v", n, err)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.Sys) - int64(before.Sys); grown > 64<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestSilentUpstreamIsGivenUp(t *testing.T) {
	released := make(chan struct{})
	up := serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
		released <- struct{}{}
	})
	w := openWith(t, Options{Policy: bottle(1, up.route("api.example.com")), Limits: Limits{IdleTime: 50 * time.Millisecond}})
	if status, body := w.get("https://api.example.com/"); status != 504 || !strings.Contains(body, RuleIdle) {
		t.Errorf("got %d %s", status, body)
	}
	<-released
	response, err := w.client().Get("https://api.example.com/half")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("%q was taken for whole", b)
	}
	<-released
	if end := w.ended(t, 2); end.Rule != RuleIdle || end.Status != 200 || end.Received != 4 {
		t.Errorf("end line %+v", end)
	}
}

func TestGuestThatDoesNotReadIsGivenUp(t *testing.T) {
	up := serve(t, nil, func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, zeros{}) })
	w := openWith(t, Options{Policy: bottle(1, up.route("api.example.com", plain)), Limits: Limits{IdleTime: 50 * time.Millisecond}})
	conn := w.dial()
	io.WriteString(conn, "GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
	if end := w.ended(t, 1); end.Rule != RuleIdle {
		t.Errorf("end line %+v", end)
	}
}

func TestGuestThatStopsSendingItsBodyIsGivenUp(t *testing.T) {
	up := serve(t, nil, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	w := openWith(t, Options{Policy: bottle(1, up.route("api.example.com", plain, anyMethod)), Limits: Limits{IdleTime: 50 * time.Millisecond}})
	if status, _ := w.raw("POST http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 10\r\n\r\nhalf"); status != 504 {
		t.Errorf("got %d", status)
	}
}

func TestGuestThatNeverReadsItsRefusalsIsGivenUp(t *testing.T) {
	w := openWith(t, Options{Policy: bottle(1), Limits: Limits{HeadTime: 50 * time.Millisecond}})
	conn := w.dial()
	for { // until the door neither reads nor answers any more
		if _, err := io.WriteString(conn, "GET http://evil.invalid/ HTTP/1.1\r\nHost: evil.invalid\r\n\r\n"); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the door kept the connection")
			}
			return
		}
	}
}

func TestGuestThatLeavesInItsBodyIsRecorded(t *testing.T) {
	up := serve(t, nil, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	w := open(t, up.route("api.example.com", plain, anyMethod))
	for i, framing := range []string{"Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n5\r\nhal"} {
		conn := w.dial()
		io.WriteString(conn, "POST http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n"+framing)
		conn.Close()
		if end := w.ended(t, i+1); end.Rule != RuleGuestGone {
			t.Errorf("end line %+v", end)
		}
	}
}

func TestSwapNarrowsRequestsUnderWayAndOpenTunnels(t *testing.T) {
	arrived := make(chan struct{}, 2)
	up := serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/wait" {
			return
		}
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	w := open(t, up.route("a.example.com"), up.route("b.example.com"))
	wait := func(host string) net.Conn {
		conn := w.mustSecured(host+":443", host)
		fmt.Fprintf(conn, "GET /wait HTTP/1.1\r\nHost: %s\r\n\r\n", host)
		<-arrived
		return conn
	}
	dropped, kept := wait("a.example.com"), wait("b.example.com")
	idleDropped, idleKept := w.mustSecured("a.example.com:443", "a.example.com"), w.mustSecured("b.example.com:443", "b.example.com")

	if err := w.door.Swap(bottle(2, up.route("b.example.com"))); err != nil {
		t.Fatal(err)
	}
	if status, body := readAnswer(dropped); status != 403 || !strings.Contains(body, RuleSwapped) {
		t.Errorf("the request that is no longer allowed got %d %s", status, body)
	}
	if end := w.ended(t, 1); end.Rule != RuleSwapped || end.Epoch != 1 {
		t.Errorf("end line %+v", end)
	}
	if _, err := io.ReadAll(idleDropped); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the tunnel that is no longer allowed: %v", err)
	}
	io.WriteString(idleKept, "GET / HTTP/1.1\r\nHost: b.example.com\r\n\r\n")
	if status, _ := readAnswer(idleKept); status != 200 {
		t.Errorf("the tunnel that is still allowed got %d", status)
	}
	if l := w.last(t); l.Epoch != 2 {
		t.Errorf("judged by epoch %d", l.Epoch)
	}
	kept.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := kept.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the request that is still allowed was ended: %v", err)
	}
}

func TestSwapWidens(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t)
	if status, _ := w.raw(connectText("a.example.com:443", "a.example.com:443")); status != 403 {
		t.Errorf("got %d", status)
	}
	if err := w.door.Swap(bottle(2, up.route("a.example.com"))); err != nil {
		t.Fatal(err)
	}
	if status, _ := w.get("https://a.example.com/"); status != 200 {
		t.Errorf("got %d", status)
	}
}

func TestSwapKeepsTheOldPolicyOnError(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := openWith(t, Options{Policy: bottle(5, up.route("a.example.com"))})
	for name, p := range map[string]policy.Policy{
		"same epoch":  bottle(5),
		"older epoch": bottle(4),
		"bad host":    bottle(6, policy.Route{Host: "a b", Port: 443}),
		"no token":    bottle(6, up.route("a.example.com", func(r *policy.Route) { r.Auth = &policy.Auth{TokenName: "absent"} })),
	} {
		if err := w.door.Swap(p); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if status, _ := w.get("https://a.example.com/"); status != 200 {
		t.Errorf("got %d", status)
	}
}

func TestDoorStopsWithRequestsUnderWay(t *testing.T) {
	arrived := make(chan struct{}, 2)
	up := serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	w := open(t, up.route("a.example.com"))
	conn := w.mustSecured("a.example.com:443", "a.example.com")
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
	<-arrived
	idle := w.dial()
	w.stop()
	if end := w.ended(t, 1); end.Rule != RuleClosing {
		t.Errorf("end line %+v", end)
	}
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("an idle connection is still open")
	}
	if _, err := net.Dial("unix", w.socket); err == nil {
		t.Error("the door still listens")
	}
}

func TestUpstreamProxyIsGivenTheCheckedAddress(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	asked := make(chan string, 4)
	proxy := serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.RequestURI + " " + r.Header.Get("Proxy-Authorization")
		there, err := net.Dial("tcp", r.RequestURI)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		here, _, _ := w.(http.Hijacker).Hijack()
		defer here.Close()
		defer there.Close()
		io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go io.Copy(there, here)
		io.Copy(here, there)
	})
	o := Options{Policy: bottle(1, up.route("a.example.com"), policy.Route{Host: "m.example.com", Port: 443}), UpstreamProxy: mustURL("http://me:pw@" + proxy.address)}
	o.Resolver = &static{names: map[string][]string{"m.example.com.": {"169.254.169.254"}}}
	w := openWith(t, o)
	if status, _ := w.get("https://a.example.com/"); status != 200 {
		t.Errorf("got %d", status)
	}
	if got := <-asked; got != "CONNECT "+up.address+" Basic bWU6cHc=" {
		t.Errorf("the proxy was asked %q", got)
	}
	if status, _ := w.get("https://m.example.com/"); status != 403 || len(asked) != 0 {
		t.Errorf("metadata through the proxy got %d", status)
	}
}

func TestDiallingTriesTheNextAddress(t *testing.T) {
	up := serve(t, nil, hello)
	for name, dead := range map[string]func(context.Context) error{
		"refused": func(context.Context) error { return io.ErrClosedPipe },
		"silent":  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		names := &static{names: map[string][]string{"a.example.com.": {"127.9.9.9", "127.0.0.1"}}}
		route := up.route("a.example.com", plain)
		route.ConnectTo, route.Port = "", portOf(up.address)
		w := openWith(t, Options{Policy: bottle(1, route), Resolver: names, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "127.9.9.9") {
				return nil, dead(ctx)
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}})
		authority := fmt.Sprintf("a.example.com:%d", route.Port)
		if status, _ := w.raw("GET http://" + authority + "/ HTTP/1.1\r\nHost: " + authority + "\r\n\r\n"); status != 200 {
			t.Errorf("%s: got %d", name, status)
		}
	}
}

func TestHeadOfMoreThanOneBufferIsRead(t *testing.T) {
	up := serve(t, nil, hello)
	w := open(t, up.route("a.example.com", plain))
	conn := w.dial()
	r := bufio.NewReader(conn)
	for i := range 3 {
		fmt.Fprintf(conn, "GET http://a.example.com/%d HTTP/1.1\r\nHost: a.example.com\r\nX-Long: %s\r\n\r\n", i, strings.Repeat("x", 20<<10))
		response, err := http.ReadResponse(r, nil)
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("request %d: %v %v", i, response, err)
		}
		io.Copy(io.Discard, response.Body)
	}
	if got := lastOf(up.requests()).Header.Get("X-Long"); len(got) != 20<<10 {
		t.Errorf("%d bytes arrived", len(got))
	}
}
