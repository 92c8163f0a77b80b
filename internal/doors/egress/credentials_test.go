package egress

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

func TestH19AgentsOwnCredentialsAreDroppedFromEveryField(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("api.example.com"), up.route("token.example.com", withToken))
	fields := []string{
		"Authorization", "authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "x-api-key", "X-Goog-Api-Key", "Api-Key", "Private-Token",
		"X_Api_Key", "Job-Token", "X-Auth-Token", "X-Amz-Security-Token", "X-Vault-Token", "Ocp-Apim-Subscription-Key",
	}
	for _, host := range []string{"api.example.com", "token.example.com"} {
		for _, field := range fields {
			w.get("https://"+host+"/", field+": canary", "X-Kept: yes")
			seen := lastOf(up.requests())
			var wire bytes.Buffer
			seen.Header.Write(&wire)
			if strings.Contains(wire.String(), "canary") || seen.Header.Get("X-Kept") != "yes" {
				t.Errorf("%s to %s arrived as\n%s", field, host, &wire)
			}
			if l := w.last(t); !slices.Contains(l.Dropped, fieldName(field)) {
				t.Errorf("%s: the line says that %v were dropped", field, l.Dropped)
			}
		}
	}
}

func TestH19CredentialParametersAreDropped(t *testing.T) {
	up := serve(t, nil, hello)
	w := open(t, up.route("api.example.com", plain))
	for query, want := range map[string]string{
		"key=canary":                   "",
		"a=1&key=canary&b=2":           "a=1&b=2",
		"access_token=canary&a=1":      "a=1",
		"KEY=canary":                   "",
		"%6bey=canary&k%65y=canary":    "",
		"Access-Token=canary":          "",
		"a=1;key=canary":               "",
		"key[]=canary":                 "",
		"+key=canary":                  "",
		"api_key=canary&apikey=canary": "",
		"keys=1&monkey=2&a=key":        "keys=1&monkey=2&a=key",
		"a=%2F&&b":                     "a=%2F&&b",
	} {
		if status, answer := w.raw("GET http://api.example.com/?" + query + " HTTP/1.1\r\nHost: api.example.com\r\n\r\n"); status != 200 {
			t.Fatalf("%q got %d %s", query, status, answer)
		}
		if got := lastOf(up.requests()).URL.RawQuery; got != want {
			t.Errorf("%q was sent as %q, want %q", query, got, want)
		}
	}
}

func TestH19ListedCredentialPasses(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("api.example.com", func(r *policy.Route) { r.Credentials = []string{"x-api-key", "?key"} }))
	w.get("https://api.example.com/?key=1&token=2", "X-Api-Key: mine", "Authorization: mine")
	seen := lastOf(up.requests())
	if seen.Header.Get("X-Api-Key") != "mine" || seen.URL.RawQuery != "key=1" || seen.Header.Get("Authorization") != "" {
		t.Errorf("arrived as %v ?%s", seen.Header, seen.URL.RawQuery)
	}
	if got := fmt.Sprint(w.last(t).Dropped); got != "[authorization ?token]" {
		t.Errorf("dropped %s", got)
	}
}

func TestH19TokenReplacesTheAgentsPlaceholder(t *testing.T) {
	up := serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "of our token"})
		io.Copy(w, r.Body)
	})
	w := open(t,
		up.route("bearer.example.com", withToken, anyMethod),
		up.route("key.example.com", func(r *policy.Route) { r.Auth = &policy.Auth{Header: "x-api-key", TokenName: "T"} }),
		up.route("basic.example.com", func(r *policy.Route) { r.Auth = &policy.Auth{Scheme: "Basic", TokenName: "B"} }),
		up.route("none.example.com", anyMethod),
	)
	_, body := w.do("POST", "https://bearer.example.com/?q=PLACEHOLDER", strings.NewReader("PLACEHOLDER"), "Authorization: Bearer PLACEHOLDER", "X-Note: PLACEHOLDER")
	seen := lastOf(up.requests())
	if got := seen.Header["Authorization"]; len(got) != 1 || got[0] != "Bearer the-real-token" {
		t.Errorf("arrived with %v", got)
	}
	if body != "PLACEHOLDER" || seen.URL.RawQuery != "q=PLACEHOLDER" || seen.Header.Get("X-Note") != "PLACEHOLDER" {
		t.Errorf("something was substituted: %q %q %v", body, seen.URL.RawQuery, seen.Header)
	}
	w.get("https://key.example.com/", "x-api-key: PLACEHOLDER", "Connection: x-api-key")
	if got := lastOf(up.requests()).Header; got.Get("X-Api-Key") != "the-real-token" || got.Get("Authorization") != "" {
		t.Errorf("arrived with %v", got)
	}
	w.get("https://basic.example.com/")
	if user, password, _ := lastOf(up.requests()).BasicAuth(); user != "me" || password != "the:password" {
		t.Errorf("arrived with %q %q", user, password)
	}
	w.get("https://none.example.com/", "Authorization: Bearer PLACEHOLDER")
	if got := lastOf(up.requests()).Header.Get("Authorization"); got != "" {
		t.Errorf("another host got %q", got)
	}
	for host, want := range map[string]bool{"bearer.example.com": false, "none.example.com": true} {
		response, err := w.client().Get("https://" + host + "/")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("Set-Cookie") != ""; got != want {
			t.Errorf("%s: a cookie came back %v, want %v", host, got, want)
		}
	}
}

func TestH19PlainHTTPToAnAuthRoute(t *testing.T) {
	up := serve(t, nil, hello)
	w := open(t, up.route("api.example.com", plain, withToken))
	if status, _ := w.raw("GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n"); status != 403 {
		t.Errorf("got %d", status)
	}
	w.wantRefused(t, policy.RulePlainHTTP)
	if up.connections() != 0 {
		t.Error("the upstream was reached")
	}
}

func TestTokenThatNoHeaderCanCarryIsRefusedWithoutShowingIt(t *testing.T) {
	up := serve(t, nil, hello)
	for _, token := range []string{"line\nbreak-XYZZY", "", "nul\x00XYZZY"} {
		_, err := New(Options{
			Policy: bottle(1, up.route("api.example.com", withToken)), CA: newTestCA(t, "x"), Log: newJournal(),
			Tokens: map[string]secret.Value{"T": secret.New("T", token)},
		})
		if err == nil || strings.Contains(err.Error(), "XYZZY") {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func TestConnectionAndOverrideFieldsStopAtTheDoor(t *testing.T) {
	up := serve(t, nil, hello)
	w := open(t, up.route("api.example.com", plain))
	w.raw("GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\n" +
		"Te: trailers\r\nUpgrade: h2c\r\nHttp2-Settings: x\r\nVia: 1.1 x\r\nForwarded: for=1.2.3.4\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: evil.invalid\r\n" +
		"X-Original-Url: /admin\r\nX_Forwarded_For: 1.2.3.4\r\nX-Real-Ip: 1.2.3.4\r\nAccept-Encoding: br\r\nX-End: 1\r\n\r\n")
	got := lastOf(up.requests()).Header
	if len(got) != 2 || got.Get("X-End") != "1" || got.Get("Accept-Encoding") != "br" {
		t.Errorf("arrived with %v", got)
	}
}

func TestNothingOfTheDoorsIsAddedToARequest(t *testing.T) {
	up := serve(t, &tls.Config{NextProtos: []string{"h2"}}, hello)
	plainUp := serve(t, nil, hello)
	w := open(t, up.route("api.example.com"), plainUp.route("p.example.com", plain))
	conn := w.mustSecured("api.example.com:443", "api.example.com")
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
	readAnswer(conn)
	w.raw("GET http://p.example.com/ HTTP/1.1\r\nHost: p.example.com\r\n\r\n")
	for _, r := range []*http.Request{lastOf(up.requests()), lastOf(plainUp.requests())} {
		if len(r.Header) != 0 {
			t.Errorf("arrived with %v", r.Header)
		}
	}
}

// withholding is a Scanner that refuses what has the canary in its head, and
// replaces it in streams.
type withholding struct{}

var errCanary = errors.New("it carries the canary")

func (withholding) Trailer(_ *policy.Route, trailer http.Header) error {
	if strings.Contains(fmt.Sprint(trailer), "canary") {
		return &Withheld{Rule: "canary", Message: "it carries the canary", Detail: errCanary}
	}
	return nil
}

func (withholding) Whole(_ *policy.Route, body []byte) ([]byte, error) { return body, nil }

func (withholding) Request(_ *policy.Route, head *http.Request) error {
	if strings.Contains(head.URL.String()+fmt.Sprint(head.Header), "canary") {
		return errCanary
	}
	return nil
}

func (withholding) Answer(_ *policy.Route, fields http.Header) error {
	if fields.Get("X-Canary") != "" {
		return errCanary
	}
	return nil
}

func (withholding) Stream(_ *policy.Route, _ http.Header, d Direction, stream io.Reader, warn func(string)) io.Reader {
	warn("seen")
	return replacing{stream, d}
}

type replacing struct {
	io.Reader
	Direction
}

func (r replacing) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	with := []byte("UPWARD")
	if r.Direction == Downstream {
		with = []byte("ANSWER")
	}
	copy(p, bytes.ReplaceAll(bytes.Clone(p[:n]), []byte("canary"), with))
	return n, err
}

func TestScannerSeesHeadsAndStreamsOfBothDirections(t *testing.T) {
	up := serve(t, &tls.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/head" {
			w.Header().Set("X-Canary", "1")
		}
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "got %s, canary", b)
	})
	w := openWith(t, Options{Policy: bottle(1, up.route("api.example.com", anyMethod, withToken)), Scanner: withholding{}})
	if status, body := w.do("POST", "https://api.example.com/", strings.NewReader("a canary")); status != 200 || body != "got a UPWARD, ANSWER" {
		t.Errorf("got %d %q", status, body)
	}
	if end := w.ended(t, 1); !slices.Equal(end.Warned, []string{"seen"}) {
		t.Errorf("warned of %v", end.Warned)
	}
	if status, _ := w.get("https://api.example.com/?q=canary"); status != 403 {
		t.Errorf("got %d", status)
	}
	w.wantRefused(t, RuleScanner)
	if status, body := w.get("https://api.example.com/head"); status != 403 || strings.Contains(body, "got") {
		t.Errorf("got %d %q", status, body)
	}
	if end := w.ended(t, 3); end.Rule != RuleScanner {
		t.Errorf("end line %+v", end)
	}
}

func lastOf(list []*http.Request) *http.Request {
	if len(list) == 0 {
		return &http.Request{Header: http.Header{}, URL: nil}
	}
	return list[len(list)-1]
}

func TestATrailerIsSeenBeforeItGoesOut(t *testing.T) {
	up := serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Trailer.Get("X-Sum"))
	})
	plain := up.route("p.example.com", anyMethod)
	plain.Port = 80
	w := openWith(t, Options{Policy: bottle(1, plain), Scanner: withholding{}})
	send := func(trailer string) (int, string) {
		return w.raw("POST http://p.example.com/ HTTP/1.1\r\nHost: p.example.com\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nwords\r\n0\r\nX-Sum: " + trailer + "\r\n\r\n")
	}
	if status, body := send("canary"); status != 403 || !strings.Contains(body, "it carries the canary") {
		t.Errorf("got %d %s", status, body)
	}
	if end := w.ended(t, 1); end.Rule != "canary" {
		t.Errorf("the end line: %+v", end)
	}
	if status, body := send("harmless"); status != 200 || !strings.Contains(body, "harmless") {
		t.Errorf("the twin: %d %s", status, body)
	}
}
