package doors_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/doors"
	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
)

const token = "s3cr3t-t0ken"

// upstream is a TLS server on loopback that tells which credential it got, and the
// route to it.
func upstream(t *testing.T) policy.Route {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		field := r.Header.Get("Authorization")
		fmt.Fprintf(w, "%x %s", sha256.Sum256([]byte(field)), field)
	}))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Route{
		Host: "example.com", Port: uint16(number), // a name in the test server's certificate
		ConnectTo: net.JoinHostPort("127.0.0.1", port),
		Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		CAs:       string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
		Auth:      &policy.Auth{Scheme: "Bearer", TokenName: "T"},
	}
}

func withToken(c doors.Config) doors.Config {
	c.Tokens = map[string]secret.Value{"T": secret.New("T", token)}
	return c
}

// proxied speaks through the egress door and trusts the bottle's CA.
func (w *world) proxied(ready doors.Ready) *http.Client {
	w.t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(ready.CAPEM)) {
		w.t.Fatalf("no certificate in %q", ready.CAPEM)
	}
	client := w.client(decision.Egress)
	transport := client.Transport.(*http.Transport)
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.16:9099"})
	return client
}

func at(route policy.Route, path string) string {
	return "https://" + net.JoinHostPort(route.Host, strconv.Itoa(int(route.Port))) + path
}

func TestAConfinedSidecarReachesAListedHostWithItsToken(t *testing.T) {
	route := upstream(t)
	w := start(t)
	client := w.proxied(w.configure(withToken(config(route))))
	answer, err := client.Get(at(route, "/path"))
	w.must(err)
	body, err := io.ReadAll(answer.Body)
	w.must(err)
	arrived := fmt.Sprintf("%x Bearer ", sha256.Sum256([]byte("Bearer "+token)))
	if answer.StatusCode != 200 || !strings.HasPrefix(string(body), arrived) {
		t.Errorf("%s %q", answer.Status, body)
	}
	if strings.Contains(string(body), token) {
		t.Errorf("the token came back: %q", body)
	}
	if _, err := client.Get("https://unlisted.example/"); err == nil || !strings.Contains(err.Error(), "Forbidden") {
		t.Errorf("an unlisted host: %v", err)
	}

	var allowed, refused *decision.Line
	for _, l := range w.decisions() {
		if l.Kind != decision.KindVerdict {
			continue
		}
		if !strings.HasPrefix(l.Peer, fmt.Sprintf("%d/%d", os.Getuid(), os.Getpid())) {
			t.Errorf("the peer is %q", l.Peer)
		}
		switch {
		case l.Path == "/path":
			allowed = &l
		case l.Host == "unlisted.example":
			refused = &l
		}
	}
	if allowed == nil || allowed.Verdict != decision.Allow || allowed.Epoch != 1 {
		t.Errorf("the allowed request has the line %+v", allowed)
	}
	if refused == nil || refused.Verdict != decision.Refuse {
		t.Errorf("the refused request has the line %+v", refused)
	}
	log, err := os.ReadFile(w.path("decisions.jsonl"))
	if err != nil || strings.Contains(string(log), token) {
		t.Errorf("the log holds the token (%v)", err)
	}
}

func TestEachDoorSeesTheNonceUntilTheProofEnds(t *testing.T) {
	w := configured(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	w.get(decision.GitGate, doors.ProofPath+nonce)
	if _, err := w.sidecar.WaitProof(ctx); err == nil || !strings.Contains(err.Error(), "egress, supervise") {
		t.Errorf("with one door proven: %v", err)
	}
	for _, path := range []string{doors.ProofPath + strings.Repeat("0", 32), doors.ProofPath, "/" + nonce, doors.ProofPath + nonce + "/"} {
		if code := w.get(decision.Supervise, path); code != 403 {
			t.Errorf("%s is answered with %d", path, code)
		}
	}
	before := time.Now()
	for _, door := range allDoors {
		if code := w.get(door, doors.ProofPath+nonce); code != 204 {
			t.Errorf("%s answers %d", door, code)
		}
	}
	seen, err := w.sidecar.WaitProof(w.context())
	w.must(err)
	for _, door := range allDoors {
		if at := seen[door]; at.Before(before.Add(-time.Minute)) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("%s saw the nonce at %v", door, at)
		}
	}
	w.must(w.sidecar.EndProof(w.context()))
	for door, want := range map[decision.Door]int{decision.Egress: 400, decision.GitGate: 403, decision.Supervise: 403} {
		if code := w.get(door, doors.ProofPath+nonce); code != want {
			t.Errorf("after the proof %s answers %d, want %d", door, code, want)
		}
	}
	for _, l := range w.decisions() {
		if l.Kind == decision.KindVerdict && l.Verdict != decision.Refuse {
			t.Errorf("a line of the proof: %+v", l)
		}
	}
}

func TestTheDoorsThatNothingIsBehindAreClosed(t *testing.T) {
	w := configured(t)
	for door, rule := range map[decision.Door]string{decision.GitGate: "no-git-remote", decision.Supervise: "no-approver"} {
		answer, err := w.client(door).Post("http://127.0.0.16/", "text/plain", strings.NewReader("x"))
		w.must(err)
		if answer.StatusCode != 403 || answer.Header.Get("X-Bot-Bottle-Rule") != rule {
			t.Errorf("%s: %s %v", door, answer.Status, answer.Header)
		}
	}
	lines := w.decisions()
	if len(lines) != 4 {
		t.Fatalf("lines %+v", lines)
	}
	for _, l := range lines {
		if l.Kind == decision.KindVerdict && (l.Peer == "" || l.Epoch != 1) {
			t.Errorf("line %+v", l)
		}
	}
}

func TestVerdictsNameTheStageThatTheSupervisorSays(t *testing.T) {
	w := start(t)
	w.configure(config())
	ask := func() {
		conn, err := w.dial(w.context(), decision.Egress)
		w.must(err)
		defer conn.Close()
		fmt.Fprint(conn, "GET http://unlisted.example/ HTTP/1.1\r\nHost: unlisted.example\r\nConnection: close\r\n\r\n")
		io.Copy(io.Discard, conn)
	}
	ask()
	w.must(w.sidecar.Phase(w.context(), "work"))
	ask()
	var phases []string
	for _, l := range w.decisions() {
		if l.Kind == decision.KindVerdict && l.Host == "unlisted.example" {
			phases = append(phases, l.Phase)
		}
	}
	if !slices.Equal(phases, []string{"prove", "work"}) {
		t.Errorf("got %q", phases)
	}
}

func TestOnlyListedUsersMayConnect(t *testing.T) {
	w := start(t)
	c := config()
	c.Peers = []int{os.Getuid() + 1}
	w.configure(c)
	for _, door := range allDoors {
		conn, err := w.dial(w.context(), door)
		w.must(err)
		fmt.Fprintf(conn, "GET %s%s HTTP/1.1\r\nHost: x\r\n\r\n", doors.ProofPath, nonce) // may find it closed
		if b, err := bufio.NewReader(conn).ReadByte(); err == nil {
			t.Errorf("%s answers with %q…", door, b)
		}
		conn.Close()
	}
	refused := map[decision.Door]bool{}
	for _, l := range w.decisions() {
		if l.Kind == decision.KindVerdict && l.Verdict == decision.Refuse && l.Rule == doors.RulePeer && strings.HasPrefix(l.Peer, fmt.Sprint(os.Getuid())+"/") {
			refused[l.Door] = true
		}
	}
	if len(refused) != len(allDoors) {
		t.Errorf("recorded at %v", refused)
	}
}

func TestASwappedPolicyIsInForceWhenSwapReturns(t *testing.T) {
	route := upstream(t)
	w := start(t)
	client := w.proxied(w.configure(withToken(config())))
	if _, err := client.Get(at(route, "/")); err == nil {
		t.Fatal("the host is reached before it is listed")
	}
	p := config(route).Policy
	p.Epoch = 2
	w.must(w.sidecar.Swap(w.context(), p))
	answer, err := client.Get(at(route, "/"))
	w.must(err)
	answer.Body.Close()
	if answer.StatusCode != 200 {
		t.Errorf("after the swap: %s", answer.Status)
	}
	w.get(decision.GitGate, "/after")

	p = config().Policy // epoch 1 again
	if err := w.sidecar.Swap(w.context(), p); err == nil || term.StageOf(err, "") != term.StageWork || !strings.Contains(err.Error(), "epoch") {
		t.Errorf("swapping an old policy in: %v", err)
	}
	if answer, err := client.Get(at(route, "/")); err != nil || answer.StatusCode != 200 {
		t.Errorf("after a swap that failed: %v, %v", answer, err)
	}
	for _, l := range w.decisions() {
		if l.Path == "/after" && l.Epoch != 2 {
			t.Errorf("a closed door's line after the swap: %+v", l)
		}
	}
}

func TestAConfigurationThatCanNotBeServedIsExplained(t *testing.T) {
	route := upstream(t)
	for name, test := range map[string]struct {
		change func(*doors.Config)
		want   string
	}{
		"no peer":       {func(c *doors.Config) { c.Peers = nil }, "no user that may connect"},
		"short nonce":   {func(c *doors.Config) { c.Nonce = "guess" }, "nonce"},
		"missing token": {func(c *doors.Config) { c.Tokens = nil }, "T"},
		"bad CA":        {func(c *doors.Config) { c.Policy.Egress.Routes[0].CAs = "none" }, "example.com"},
		"bad proxy": {func(c *doors.Config) {
			c.UpstreamProxy = secret.New("proxy", "http://user:"+token+"@\x00")
		}, "upstream proxy"},
		"too large": {func(c *doors.Config) { c.Tokens["T"] = secret.New("T", strings.Repeat("x", 17<<20)) }, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			c := withToken(config(route))
			test.change(&c)
			_, err := w.sidecar.Configure(w.context(), c)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v", err)
			}
			if err != nil && strings.Contains(err.Error(), token) || strings.Contains(w.stderr.String(), token) {
				t.Errorf("the token is shown: %v", err)
			}
			if name != "too large" && term.StageOf(err, "") != term.StageLaunch {
				t.Errorf("the stage is %q", term.StageOf(err, ""))
			}
		})
	}
}
