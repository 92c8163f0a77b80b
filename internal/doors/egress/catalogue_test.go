package egress

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/policy"
)

// The tests of this file are named by the case of the escape catalogue that they
// pin. Each has its twin: the legitimate form passes in the same test.

func connectText(authority, host string) string {
	return "CONNECT " + authority + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
}

func TestH01ConnectToAnUnlistedHost(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("api.example.com"))
	if status, _ := w.raw(connectText("evil.example.org:443", "evil.example.org:443")); status != 403 {
		t.Errorf("got %d", status)
	}
	w.wantRefused(t, policy.RuleNoRoute)
	if status, _ := w.get("https://api.example.com/"); status != 200 {
		t.Errorf("the twin got %d", status)
	}
}

func TestH02ConnectToAListedHostOnAnotherPort(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("api.example.com"))
	for port, want := range map[string]int{"22": 403, "8443": 403, "80": 403, "0": 400, "65536": 400, "65979": 400, "-1": 400, "443x": 400, "0443": 400, "": 400} {
		authority := "api.example.com:" + port
		if status, body := w.raw(connectText(authority, authority)); status != want {
			t.Errorf("port %q got %d, want %d\n%s", port, status, want, body)
		}
		if l := w.last(t); l.Verdict != decision.Refuse {
			t.Errorf("port %q: %+v", port, l)
		}
	}
	if status, _ := w.raw(connectText("api.example.com", "api.example.com")); status != 400 {
		t.Errorf("without a port it got %d", status)
	}
	w.mustSecured("api.example.com:443", "api.example.com")
}

func TestH03ConnectToAnAddress(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("api.example.com"))
	for _, authority := range []string{"93.184.216.34:443", "[2606:2800::1]:443", up.address} {
		if status, _ := w.raw(connectText(authority, authority)); status != 403 {
			t.Errorf("%s got %d", authority, status)
		}
		w.wantRefused(t, policy.RuleNoRoute)
		if status, _ := w.raw(connectText(authority, "api.example.com:443")); status < 400 {
			t.Errorf("%s with a listed Host got %d", authority, status)
		}
		if l := w.last(t); l.Verdict != decision.Refuse {
			t.Errorf("%s: %+v", authority, l)
		}
	}
	if up.connections() != 0 {
		t.Error("the upstream was reached")
	}
}

func TestH03ListedAddressPassesWithoutServerName(t *testing.T) {
	ca := newTestCA(t, "upstream")
	certificate, err := ca.leafFor("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	up := serve(t, &tls.Config{Certificates: []tls.Certificate{*certificate}}, hello)
	route := policy.Route{Host: "127.0.0.1", Port: portOf(up.address), Addresses: loopback, CAs: string(ca.CertPEM())}
	w := open(t, route)
	if status, body := w.get("https://" + up.address + "/"); status != 200 {
		t.Errorf("got %d %s", status, body)
	}
}

func TestH05SpellingsOfAHostAreOne(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("api.example.com"))
	for _, spelling := range []string{"api.example.com", "Api.Example.COM.", "API.EXAMPLE.COM", "api.example.com."} {
		conn := w.mustSecured(spelling+":443", "api.example.com")
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", spelling)
		if status, _ := readAnswer(conn); status != 200 {
			t.Errorf("%s got %d", spelling, status)
		}
		seen := up.requests()
		if l := w.last(t); l.Host != "api.example.com" || l.Route != "api.example.com:443" || seen[len(seen)-1].Host != "api.example.com" {
			t.Errorf("%s was judged as %+v and sent to %q", spelling, l, seen[len(seen)-1].Host)
		}
	}
}

func TestH07LookalikeHosts(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("github.com", plain), up.route("*.github.test"))
	for _, host := range []string{
		"notgithub.com", "github.com.evil.invalid", "github.com@evil.invalid", "evil.invalid#github.com", "evil.invalid/github.com",
		"evil.invalid\\github.com", "github.com%00.evil.invalid", "github.com%2eevil.invalid", "xgithub.test", "github.test", "gıthub.com",
		"github.com:80@evil.invalid", "evil.invalid?github.com", "github.com,evil.invalid",
	} {
		for _, text := range []string{
			connectText(host+":443", host+":443"),
			"GET http://" + host + "/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		} {
			if status, answer := w.raw(text); status != 400 && status != 403 && status != 421 {
				t.Errorf("%q got %d\n%s", text, status, answer)
			}
			if l := w.last(t); l.Verdict != decision.Refuse {
				t.Errorf("%q: %+v", text, l)
			}
		}
	}
	if up.connections() != 0 {
		t.Error("the upstream was reached")
	}
}

func TestH08EmptyPolicyAllowsNothing(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t)
	for _, authority := range []string{"api.example.com:443", "127.0.0.1:80", up.address, "localhost:443"} {
		if status, _ := w.raw(connectText(authority, authority)); status != 403 {
			t.Errorf("%s got %d", authority, status)
		}
		if status, _ := w.raw("GET http://" + authority + "/ HTTP/1.1\r\nHost: " + authority + "\r\n\r\n"); status != 403 {
			t.Errorf("GET to %s got %d", authority, status)
		}
	}
}

func TestH09ServerNameOtherThanTheTunnels(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("api.example.com"), up.route("also.example.com"))
	refused := 0
	for name, rule := range map[string]string{
		"also.example.com": RuleServerNameMismatch, "evil.invalid": RuleServerNameMismatch, "": RuleNoServerName,
	} {
		conn := tls.Client(w.tunnel("api.example.com:443"), &tls.Config{InsecureSkipVerify: true, ServerName: name})
		if err := conn.Handshake(); err == nil {
			t.Errorf("server name %q was taken", name)
		}
		refused++
		w.ended(t, refused)
		w.wantRefused(t, rule)
	}
	if up.connections() != 0 {
		t.Error("the upstream was reached")
	}
	w.mustSecured("api.example.com:443", "api.example.com")
}

func TestH11OtherProtocolsInATunnel(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("api.example.com"))
	for i, text := range []string{"SSH-2.0-OpenSSH_9.9\r\n", "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n", "\x00\x01\x02", "\x80\x2e\x01\x00\x02"} {
		conn := w.tunnel("api.example.com:443")
		io.WriteString(conn, text)
		if b, _ := io.ReadAll(conn); len(b) != 0 {
			t.Errorf("%q was answered with %q", text, b)
		}
		w.ended(t, i+1)
		w.wantRefused(t, RuleNotTLS)
	}
	// A record that begins like a handshake and is none.
	conn := w.tunnel("api.example.com:443")
	io.WriteString(conn, "\x16\x03\x01\x00\x05hello")
	io.Copy(io.Discard, conn)
	w.ended(t, 5)
	w.wantRefused(t, RuleHandshake)
	if up.connections() != 0 {
		t.Error("the upstream was reached")
	}
}

func TestH12AbsoluteTargetWithAnotherHost(t *testing.T) {
	up := serve(t, nil, hello)
	w := open(t, up.route("a.example.com", plain), up.route("b.example.com", plain))
	for text, want := range map[string]int{
		"GET http://a.example.com/ HTTP/1.1\r\nHost: b.example.com\r\n\r\n":                                421,
		"GET http://a.example.com/ HTTP/1.1\r\nHost: a.example.com:8080\r\n\r\n":                           421,
		"GET http://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\nHost: b.example.com\r\n\r\n":         400,
		"GET http://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\nHost: a.example.com\r\n\r\n":         400,
		"GET http://a.example.com/ HTTP/1.1\r\n\r\n":                                                       400,
		"GET http://a.example.com/ HTTP/1.1\r\nHost: a.example.com@b.example.com\r\n\r\n":                  400,
		"GET https://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n":                               400,
		"GET ftp://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n":                                 400,
		"GET a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n":                                       400,
		"OPTIONS * HTTP/1.1\r\nHost: a.example.com\r\n\r\n":                                                400,
		"GET http://user:password@a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n":                  400,
		connectText("a.example.com:80", "b.example.com:80"):                                                421,
		"GET HTTP://A.example.com:80/ HTTP/1.1\r\nHost: a.EXAMPLE.com.\r\n\r\n":                            200,
		"GET http://a.example.com HTTP/1.1\r\nHost: a.example.com:80\r\nConnection: close\r\nX: y\r\n\r\n": 200,
	} {
		if status, answer := w.raw(text); status != want {
			t.Errorf("%q got %d, want %d\n%s", text, status, want, answer)
		}
	}
	if n := len(up.requests()); n != 2 {
		t.Errorf("%d requests passed, want the 2 twins", n)
	}
}

func TestH12HostInATunnelOtherThanTheTunnels(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("a.example.com"), up.route("b.example.com"))
	for text, want := range map[string]int{
		"GET / HTTP/1.1\r\nHost: b.example.com\r\n\r\n":                      421,
		"GET / HTTP/1.1\r\nHost: a.example.com:444\r\n\r\n":                  421,
		"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n":                          421,
		"GET / HTTP/1.1\r\n\r\n":                                             400,
		"GET http://b.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n":  400,
		"GET https://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n": 400,
		connectText("b.example.com:443", "b.example.com:443"):                405,
		connectText("b.example.com:443", "a.example.com"):                    405,
		"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n":                      200,
	} {
		conn := w.mustSecured("a.example.com:443", "a.example.com")
		io.WriteString(conn, text)
		if status, answer := readAnswer(conn); status != want {
			t.Errorf("%q got %d, want %d\n%s", text, status, want, answer)
		}
	}
	if n := len(up.requests()); n != 1 {
		t.Errorf("%d requests passed, want the twin alone", n)
	}
}

func TestH14EachRequestOnAConnectionIsJudged(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	plainUp := serve(t, nil, hello)
	w := open(t, up.route("a.example.com"), plainUp.route("p.example.com", plain))
	ask := func(conn net.Conn, r *bufio.Reader, text string) int {
		t.Helper()
		io.WriteString(conn, text)
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		io.Copy(io.Discard, response.Body)
		return response.StatusCode
	}
	inside := w.mustSecured("a.example.com:443", "a.example.com")
	ir := bufio.NewReader(inside)
	outside := w.dial()
	or := bufio.NewReader(outside)
	got := []int{
		ask(inside, ir, "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"),
		ask(inside, ir, "GET / HTTP/1.1\r\nHost: evil.invalid\r\n\r\n"),
		ask(inside, ir, "DELETE / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"),
		ask(inside, ir, "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"),
		ask(outside, or, "GET http://p.example.com/ HTTP/1.1\r\nHost: p.example.com\r\n\r\n"),
		ask(outside, or, "GET http://evil.invalid/ HTTP/1.1\r\nHost: evil.invalid\r\n\r\n"),
		ask(outside, or, "GET http://p.example.com/ HTTP/1.1\r\nHost: p.example.com\r\n\r\n"),
	}
	if want := []int{200, 421, 403, 200, 200, 403, 200}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	w.ended(t, 7)
	if n := len(w.of(decision.KindVerdict)); n != 7 {
		t.Errorf("%d verdict lines for 7 requests", n)
	}
}

func TestH17RedirectIsPassedOnAndTheFollowUpJudged(t *testing.T) {
	elsewhere := serve(t, &tls.Config{}, hello)
	up := serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	w := open(t, up.route("a.example.com", withToken), elsewhere.route("b.example.com"))
	client := w.client()
	client.CheckRedirect = nil
	for _, to := range []string{"https://evil.invalid/", "http://169.254.169.254/latest/meta-data/"} {
		response, err := client.Get("https://a.example.com/?to=" + url.QueryEscape(to))
		if err == nil {
			response.Body.Close()
			if response.StatusCode != 403 {
				t.Errorf("following to %s got %d", to, response.StatusCode)
			}
		}
		w.wantRefused(t, policy.RuleNoRoute)
	}
	response, err := client.Get("https://a.example.com/?to=" + url.QueryEscape("https://b.example.com/"))
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("the twin: %v %v", response, err)
	}
	response.Body.Close()
	if got := elsewhere.requests()[0].Header.Get("Authorization"); got != "" {
		t.Errorf("the token went along: %q", got)
	}
	if got := up.requests()[0].Header.Get("Authorization"); got != "Bearer the-real-token" {
		t.Errorf("the listed host got %q", got)
	}
}

func TestH18MethodsAndPathsOutsideTheMatches(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("default.example.com"), up.route("api.example.com", func(r *policy.Route) {
		r.Matches = []policy.Match{{Path: &policy.PathMatch{Type: policy.MatchPrefix, Value: "/repos/ours"}, Methods: []string{"GET", "POST"}}}
	}))
	for _, c := range []struct {
		method, url string
		want        int
		header      string
	}{
		{"GET", "https://default.example.com/any", 200, ""},
		{"HEAD", "https://default.example.com/any", 200, ""},
		{"POST", "https://default.example.com/any", 403, ""},
		{"PUT", "https://default.example.com/any", 403, ""},
		{"DELETE", "https://default.example.com/any", 403, ""},
		{"get", "https://default.example.com/any", 403, ""},
		{"GET", "https://default.example.com/any", 403, "X-Http-Method-Override: DELETE"},
		{"GET", "https://default.example.com/any", 403, "X_HTTP_Method_Override: DELETE"},
		{"TRACE", "https://api.example.com/repos/ours", 405, ""},
		{"POST", "https://api.example.com/repos/ours/issues", 200, ""},
		{"POST", "https://api.example.com/repos/ours/issues", 200, "X-Original-Url: /repos/theirs"},
		{"POST", "https://api.example.com/repos/oursnot", 403, ""},
		{"POST", "https://api.example.com/repos/theirs", 403, ""},
		{"POST", "https://api.example.com/Repos/Ours", 403, ""},
		{"POST", "https://api.example.com/repos/ours/..%2f..%2ftheirs", 400, ""},
		{"POST", "https://api.example.com/repos/ours/%2e%2e/theirs", 400, ""},
		{"POST", "https://api.example.com//repos/ours", 403, ""},
		{"DELETE", "https://api.example.com/repos/ours", 403, ""},
	} {
		before := len(up.requests())
		var header []string
		if c.header != "" {
			header = append(header, c.header)
		}
		if status, body := w.do(c.method, c.url, nil, header...); status != c.want {
			t.Errorf("%s %s %s got %d, want %d\n%s", c.method, c.url, c.header, status, c.want, body)
		}
		if passed := len(up.requests()) > before; passed != (c.want == 200) {
			t.Errorf("%s %s: passed %v", c.method, c.url, passed)
		}
	}
	for _, r := range up.requests() {
		if r.Header.Get("X-Original-Url") != "" {
			t.Error("a path override reached the upstream")
		}
	}
}

func TestH22ConnectToAndResolveOfTheClientDoNotCount(t *testing.T) {
	// curl --connect-to and --resolve change where a client goes, here the
	// proxy all the same; what it asks the proxy for is what is judged.
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("api.example.com"))
	if status, _ := w.raw(connectText("evil.invalid:443", "api.example.com:443")); status != 421 {
		t.Errorf("got %d", status)
	}
	if _, err := w.secured("api.example.com:443", "evil.invalid"); err == nil {
		t.Error("another server name was taken")
	}
}

func TestH25CertificatesThatDoNotVerify(t *testing.T) {
	expiredCA := newTestCA(t, "expired")
	expiredCA.now = func() time.Time { return time.Now().Add(-2 * certificateLife) }
	expired, err := expiredCA.mint("api.example.com")
	if err != nil {
		t.Fatal(err)
	}
	selfSigned, err := newTestCA(t, "nobody's").leafFor("api.example.com", 1)
	if err != nil {
		t.Fatal(err)
	}
	good := serve(t, &tls.Config{}, hello)
	wrongName, err := good.ca.leafFor("other.example.com", 8)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		certificate *tls.Certificate
		trusted     *CA
	}{
		"expired":     {expired, expiredCA},
		"self-signed": {selfSigned, good.ca},
		"wrong name":  {wrongName, good.ca},
	} {
		bad := serve(t, &tls.Config{Certificates: []tls.Certificate{*c.certificate}}, hello)
		w := open(t, bad.route("api.example.com", withToken, func(r *policy.Route) { r.CAs = string(c.trusted.CertPEM()) }))
		if status, body := w.get("https://api.example.com/"); status != 502 || !strings.Contains(body, RuleCertificate) {
			t.Errorf("%s got %d %s", name, status, body)
		}
		if end := w.ended(t, 1); end.Rule != RuleCertificate || end.Status != 502 || end.Error == "" {
			t.Errorf("%s: end line %+v", name, end)
		}
		if len(bad.requests()) != 0 {
			t.Errorf("%s: the request got through", name)
		}
	}
	w := open(t, good.route("api.example.com"))
	if status, _ := w.get("https://api.example.com/"); status != 200 {
		t.Errorf("the twin got %d", status)
	}
}

// metadata is the address from which clouds serve credentials, in the spellings
// that some resolver or other takes.
var metadata = []string{
	"169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "169.16689662", "0xa9.0xfe.0xa9.0xfe",
	"[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[fe80::a9fe:a9fe]", "[fd00:ec2::254]", "[fe80::1%25eth0]",
	"metadata.google.internal", "metadata", "instance-data", "169.254.169.254.", "100.100.100.200", "169.254.169.254.nip.io",
}

func TestH26MetadataInAllSpellingsIsNotListed(t *testing.T) {
	var dialled []string
	w := openWith(t, Options{Policy: bottle(1, policy.Route{Host: "api.example.com", Port: 80}), Dial: recordingDial(&dialled), Resolver: &static{}})
	for _, host := range metadata {
		for _, text := range []string{
			"GET http://" + host + "/latest/meta-data/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
			connectText(host+":80", host+":80"),
			"GET http://api.example.com/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		} {
			if status, answer := w.raw(text); status != 403 && status != 400 && status != 421 {
				t.Errorf("%q got %d\n%s", text, status, answer)
			}
			if l := w.last(t); l.Verdict != decision.Refuse {
				t.Errorf("%q: %+v", text, l)
			}
		}
	}
	if len(dialled) != 0 {
		t.Errorf("dialled %v", dialled)
	}
}

// D10 of the catalogue is the door's too, and so is the resolving half of H26.
func TestD10ListedNameThatResolvesElsewhere(t *testing.T) {
	up := serve(t, nil, hello)
	for address, allowed := range map[string]bool{
		"127.0.0.1": true, "127.0.0.2": true, // the route opens loopback
		"169.254.169.254": false, "10.0.0.1": false, "192.168.1.1": false, "100.64.0.1": false, "172.16.0.1": false, "0.0.0.0": false,
		"255.255.255.255": false, "224.0.0.1": false, "::1": false, "fe80::1": false, "fd00::1": false, "::ffff:169.254.169.254": false,
		"64:ff9b::a9fe:a9fe": false, "::": false, "2002:a9fe:a9fe::1": false, "198.18.0.1": false,
	} {
		var dialled []string
		names := &static{names: map[string][]string{"name.example.com.": {address}}}
		route := up.route("name.example.com", plain)
		route.ConnectTo, route.Port = "", portOf(up.address)
		w := openWith(t, Options{Policy: bottle(1, route), Resolver: names, Dial: recordingDial(&dialled)})
		authority := fmt.Sprintf("name.example.com:%d", route.Port)
		status, _ := w.raw("GET http://" + authority + "/ HTTP/1.1\r\nHost: " + authority + "\r\n\r\n")
		if allowed {
			if want := netip.AddrPortFrom(netip.MustParseAddr(address), route.Port).String(); len(dialled) != 1 || dialled[0] != want {
				t.Errorf("%s: dialled %v, want %s", address, dialled, want)
			}
			continue
		}
		if status != 403 || len(dialled) != 0 {
			t.Errorf("%s got %d and dialled %v", address, status, dialled)
		}
		w.wantRefused(t, RuleAddress)
	}
}

func TestD10OneBadAddressAmongGoodOnesRefusesAll(t *testing.T) {
	var dialled []string
	names := &static{names: map[string][]string{"name.example.com.": {"93.184.216.34", "10.0.0.1"}}}
	w := openWith(t, Options{Policy: bottle(1, policy.Route{Host: "name.example.com", Port: 80}), Resolver: names, Dial: recordingDial(&dialled)})
	if status, _ := w.raw("GET http://name.example.com/ HTTP/1.1\r\nHost: name.example.com\r\n\r\n"); status != 403 || len(dialled) != 0 {
		t.Errorf("got %d, dialled %v", status, dialled)
	}
	w.wantRefused(t, RuleAddress)
}

func TestH21ProxyOfTheProcessIsIgnored(t *testing.T) {
	trap := serve(t, nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, "http://"+trap.address)
	}
	t.Setenv("NO_PROXY", "")
	os.Unsetenv("REQUEST_METHOD") // which would switch HTTP_PROXY off
	plainUp, secure := serve(t, nil, hello), serve(t, &tls.Config{}, hello)
	w := open(t, plainUp.route("p.example.com", plain), secure.route("s.example.com"))
	if status, _ := w.raw("GET http://p.example.com/ HTTP/1.1\r\nHost: p.example.com\r\n\r\n"); status != 200 {
		t.Errorf("http got %d", status)
	}
	if status, _ := w.get("https://s.example.com/"); status != 200 {
		t.Errorf("https got %d", status)
	}
	if trap.connections() != 0 {
		t.Error("the environment's proxy was used")
	}
}

func TestG01APushByHTTPS(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("forge.example.com"))
	for _, path := range []string{
		"/ada/widgets.git/info/refs?service=git-receive-pack", "/ada/widgets.git/info/refs?service=git%2Dreceive-pack", "/ada/widgets/info/refs?a=b&SERVICE=Git-Receive-Pack",
		"/ada/widgets.git/info%2Frefs?service=git-receive-pack", "/ada/widgets.git/info/refs?service=git-upload-pack&service=git-receive-pack",
	} {
		if status, _ := w.get("https://forge.example.com" + path); status != 403 && status != 400 {
			t.Errorf("%s got %d", path, status)
		}
	}
	w.get("https://forge.example.com/ada/widgets.git/info/refs?service=git-receive-pack")
	w.wantRefused(t, RuleGitPush)
	for _, path := range []string{"/ada/widgets.git/git-receive-pack", "/ada/widgets.git/git%2dreceive-pack", "/ada/widgets.git/git%252dreceive-pack"} {
		if status, _ := w.do(http.MethodPost, "https://forge.example.com"+path, strings.NewReader("0000")); status != 403 && status != 400 {
			t.Errorf("POST %s got %d", path, status)
		}
	}
	for _, path := range []string{"/ada/widgets.git/info/refs?service=git-upload-pack", "/docs/git-receive-pack"} {
		if status, _ := w.get("https://forge.example.com" + path); status != 200 {
			t.Errorf("the twin %s got %d", path, status)
		}
	}
}
