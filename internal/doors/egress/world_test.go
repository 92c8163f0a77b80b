package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/testenv"
)

// patience is how long a test waits for what has to happen.
const patience = 20 * time.Second

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// journal is a decision.Log that tests read.
type journal struct {
	mu     sync.Mutex
	more   *sync.Cond
	lines  []decision.Line
	broken error // what Verdict gives
}

func newJournal() *journal {
	j := &journal{}
	j.more = sync.NewCond(&j.mu)
	return j
}

func (j *journal) Verdict(l decision.Line) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return 0, j.broken
	}
	l.ID, l.Kind = uint64(len(j.lines)+1), decision.KindVerdict
	j.lines = append(j.lines, l)
	j.more.Broadcast()
	return l.ID, nil
}

func (j *journal) End(id uint64, l decision.Line) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l.ID, l.Kind = id, decision.KindEnd
	j.lines = append(j.lines, l)
	j.more.Broadcast()
}

// of gives the lines of one kind so far.
func (j *journal) of(k decision.Kind) []decision.Line {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []decision.Line
	for _, l := range j.lines {
		if l.Kind == k {
			list = append(list, l)
		}
	}
	return list
}

// ended waits until there are n end lines and gives the last.
func (j *journal) ended(t testing.TB, n int) decision.Line {
	t.Helper()
	deadline := time.AfterFunc(patience, j.more.Broadcast)
	defer deadline.Stop()
	start := time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		var ends []decision.Line
		for _, l := range j.lines {
			if l.Kind == decision.KindEnd {
				ends = append(ends, l)
			}
		}
		if len(ends) >= n {
			return ends[n-1]
		}
		if time.Since(start) > patience {
			t.Fatalf("waiting for %d end lines: %+v", n, j.lines)
		}
		j.more.Wait()
	}
}

// last gives the newest verdict line.
func (j *journal) last(t testing.TB) decision.Line {
	t.Helper()
	all := j.of(decision.KindVerdict)
	if len(all) == 0 {
		t.Fatal("there is no verdict line")
	}
	return all[len(all)-1]
}

// wantRefused checks that the newest verdict is a refusal by rule.
func (j *journal) wantRefused(t testing.TB, rule string) {
	t.Helper()
	if l := j.last(t); l.Verdict != decision.Refuse || l.Rule != rule {
		t.Errorf("the verdict line is %+v, want a refusal by %s", l, rule)
	}
}

// server is an upstream on loopback that records what it was asked.
type server struct {
	ca      *CA
	address string

	mu   sync.Mutex
	seen []*http.Request
	open int // connections accepted
}

func (s *server) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

func newTestCA(t testing.TB, name string) *CA {
	t.Helper()
	ca, err := NewCA(name)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// serve starts an upstream; a nil config means plain HTTP. The empty config gets
// a certificate for whatever name is asked for. HTTP/2 is spoken where the config
// names it.
func serve(t testing.TB, config *tls.Config, handler http.HandlerFunc) *server {
	t.Helper()
	s := &server{ca: newTestCA(t, "upstream")}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	quiet := log.New(io.Discard, "", 0)
	hs := &http.Server{Handler: s.recording(handler), ConnState: s.count, ErrorLog: quiet}
	t.Cleanup(func() { hs.Close() })
	if config == nil {
		go hs.Serve(l)
		return s
	}
	if config.GetCertificate == nil && config.Certificates == nil {
		config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.ca.leafFor(hello.ServerName, 8)
		}
	}
	hs.TLSConfig, hs.Protocols = config, new(http.Protocols)
	hs.Protocols.SetHTTP1(true)
	hs.Protocols.SetHTTP2(slices.Contains(config.NextProtos, "h2"))
	go hs.ServeTLS(l, "", "")
	return s
}

func (s *server) count(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		s.mu.Lock()
		s.open++
		s.mu.Unlock()
	}
}

func (s *server) recording(handler http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r.Clone(context.Background()))
		s.mu.Unlock()
		handler(w, r)
	})
}

// route lists host for an upstream.
func (s *server) route(host string, change ...func(*policy.Route)) policy.Route {
	r := policy.Route{Host: host, Port: 443, Addresses: loopback, ConnectTo: s.address, CAs: string(s.ca.CertPEM())}
	for _, f := range change {
		f(&r)
	}
	return r
}

func anyMethod(r *policy.Route) { r.Matches = []policy.Match{{}} }
func plain(r *policy.Route)     { r.Port = 80 }

func withToken(r *policy.Route) {
	r.Auth = &policy.Auth{Scheme: "Bearer", TokenName: "T"}
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

// world is a door that is being served, and its guest.
type world struct {
	*journal
	t      testing.TB
	door   *Door
	ca     *CA
	socket string
	stop   func() // ends Serve and waits for it
}

func bottle(epoch uint64, routes ...policy.Route) policy.Policy {
	return policy.Policy{
		Epoch: epoch, Bottle: "test", Isolation: policy.IsolationGVisor, Egress: policy.Egress{Routes: routes},
		Limits: policy.Limits{Requests: 1 << 40, EgressBytes: 1 << 50}, // out of the way of what is tested
	}
}

// open serves a door with the given routes.
func open(t testing.TB, routes ...policy.Route) *world {
	t.Helper()
	return openWith(t, Options{Policy: bottle(1, routes...)})
}

func openWith(t testing.TB, o Options) *world {
	t.Helper()
	w := &world{journal: newJournal(), t: t, ca: newTestCA(t, "bottle"), socket: filepath.Join(testenv.ShortDir(t), "egress.sock")}
	o.CA = w.ca
	if o.Log == nil {
		o.Log = w.journal
	}
	if o.Tokens == nil {
		o.Tokens = map[string]secret.Value{"T": secret.New("T", "the-real-token"), "B": secret.New("B", "me:the:password")}
	}
	var err error
	if w.door, err = New(o); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.door.Serve(ctx, l) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("serving: %v", err)
			}
		case <-time.After(patience):
			t.Error("the door does not stop")
		}
	})
	t.Cleanup(w.stop)
	return w
}

// dial connects to the door as the guest's forwarder does.
func (w *world) dial() net.Conn {
	w.t.Helper()
	conn, err := net.Dial("unix", w.socket)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// client is an HTTP client of the guest's that uses the door as its proxy.
func (w *world) client() *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(w.ca.certificate)
	tr := &http.Transport{
		Proxy:              http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.16:9099"}),
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return net.Dial("unix", w.socket) },
		TLSClientConfig:    &tls.Config{RootCAs: roots},
		DisableCompression: true,
	}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get asks by the client and gives status and body.
func (w *world) get(url string, header ...string) (int, string) {
	w.t.Helper()
	return w.do(http.MethodGet, url, nil, header...)
}

// do asks with a body and header fields given as "Name: value".
func (w *world) do(method, url string, body io.Reader, header ...string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	response, err := w.client().Do(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, url, err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatalf("reading the answer of %s %s: %v", method, url, err)
	}
	return response.StatusCode, string(b)
}

// raw sends bytes as they are and gives the status and the text of the first
// answer; status 0 where the connection ended without one.
func (w *world) raw(text string) (status int, answer string) {
	w.t.Helper()
	conn := w.dial()
	if _, err := io.WriteString(conn, text); err != nil {
		w.t.Fatal(err)
	}
	return readAnswer(conn)
}

func readAnswer(conn net.Conn) (int, string) {
	var text strings.Builder
	response, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &text)), nil)
	if err != nil {
		return 0, text.String()
	}
	io.Copy(io.Discard, response.Body)
	return response.StatusCode, text.String()
}

// tunnel opens a tunnel to authority without TLS in it yet.
func (w *world) tunnel(authority string) net.Conn {
	w.t.Helper()
	conn := w.dial()
	io.WriteString(conn, "CONNECT "+authority+" HTTP/1.1\r\nHost: "+authority+"\r\n\r\n")
	r := bufio.NewReader(conn)
	response, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil || response.StatusCode != 200 || r.Buffered() > 0 {
		w.t.Fatalf("opening a tunnel to %s: %v, %v", authority, response, err)
	}
	return conn
}

// secured opens a tunnel to authority and speaks TLS in it for name.
func (w *world) secured(authority, name string) (*tls.Conn, error) {
	w.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(w.ca.certificate)
	conn := tls.Client(w.tunnel(authority), &tls.Config{RootCAs: roots, ServerName: name})
	return conn, conn.Handshake()
}

// mustSecured is secured for a handshake that has to succeed.
func (w *world) mustSecured(authority, name string) *tls.Conn {
	w.t.Helper()
	conn, err := w.secured(authority, name)
	if err != nil {
		w.t.Fatalf("TLS with %s for %q: %v", authority, name, err)
	}
	return conn
}

// static is a Resolver that knows what tests tell it and counts the questions.
type static struct {
	mu    sync.Mutex
	names map[string][]string
	asked []string
}

func (s *static) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, host)
	var list []netip.Addr
	for _, a := range s.names[host] {
		list = append(list, netip.MustParseAddr(a))
	}
	if list == nil {
		return nil, errors.New("no such host")
	}
	return list, nil
}

func (s *static) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// recordingDial notes what is dialled before it does so; only loopback is reached.
func recordingDial(dialled *[]string) DialFunc {
	var mu sync.Mutex
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		mu.Lock()
		*dialled = append(*dialled, address)
		mu.Unlock()
		if !strings.HasPrefix(address, "127.") {
			return nil, errors.New("not in a test")
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}

// held gives the connections that are counted.
func (s *connections) held() []*guestConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*guestConn
	for c := range s.all {
		list = append(list, c)
	}
	return list
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}
