package dlp

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

// known is a secret of a run; its value has no form that gitleaks knows.
const known = "plum-Orchard-7731-quietly-Rowing-boats"

const token = "token-Of-the-door-9917-which-comes-back"

func scanner(t testing.TB) *Scanner {
	t.Helper()
	s, err := New(Options{Known: []secret.Value{secret.New("canary", known)}, Tokens: []secret.Value{secret.New("door", token)}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// awsKey has a form that gitleaks knows, made at run time.
func awsKey() string {
	b := []byte("AK" + "IA")
	for range 16 {
		b = append(b, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[rand.IntN(32)])
	}
	return string(b)
}

func route(change ...func(*policy.Route)) *policy.Route {
	r := &policy.Route{Host: "listed.example", Port: 443}
	for _, c := range change {
		c(r)
	}
	return r
}

func onMatch(what string) func(*policy.Route) {
	return func(r *policy.Route) { r.DLP = &policy.DLP{OnMatch: what} }
}

func request(t testing.TB, url string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// ruleOf is by which an error refuses; empty: there is none.
func ruleOf(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	w, ok := errors.AsType[*egress.Withheld](err)
	if !ok {
		t.Fatalf("%v is no refusal", err)
	}
	for _, text := range []string{w.Message, w.Hint, w.Error()} {
		if strings.Contains(text, known) || strings.Contains(text, known[:8]) {
			t.Errorf("the refusal holds the secret: %q", text)
		}
	}
	return w.Rule
}

// forms are the ways in which a secret is copied.
func forms(value string) map[string]string {
	reversed := []byte(value)
	slices.Reverse(reversed)
	percent := ""
	for _, c := range []byte(value) {
		percent += fmt.Sprintf("%%%02X", c)
	}
	unicode := ""
	for _, c := range value {
		unicode += fmt.Sprintf(`\u%04x`, c)
	}
	return map[string]string{
		"plain": value, "base64": base64.StdEncoding.EncodeToString([]byte(value)), "base64 of more": base64.URLEncoding.EncodeToString([]byte("ab" + value + "cd")),
		"hex": hex.EncodeToString([]byte(value)), "reversed": string(reversed), "percent": percent, "unicode": unicode,
		"in pieces": strings.Join(strings.Split(value, "-"), `", "`),
	}
}

func TestTheHeadOfARequestIsLookedAt(t *testing.T) {
	s := scanner(t)
	for form, text := range forms(known) {
		if form == "in pieces" || form == "unicode" {
			continue // no part of a head
		}
		for where, r := range map[string]*http.Request{
			"path":   request(t, "https://listed.example/a/"+text),
			"query":  request(t, "https://listed.example/?q="+text),
			"header": request(t, "https://listed.example/", "X-Data: "+text),
			"name":   request(t, "https://listed.example/?"+text+"=1"),
		} {
			if rule := ruleOf(t, s.Request(route(), r)); rule != RuleKnown {
				t.Errorf("%s in the %s: %q", form, where, rule)
			}
		}
	}
	labels := strings.ToLower(hex.EncodeToString([]byte(known)))
	if rule := ruleOf(t, s.Request(route(), request(t, "https://"+labels[:40]+"."+labels[40:]+".listed.example/"))); rule != RuleKnown {
		t.Errorf("in the labels of the host: %q", rule)
	}
	if rule := ruleOf(t, s.Request(route(), request(t, "https://listed.example/", "X-Data: "+awsKey()))); rule != RulePattern {
		t.Errorf("what gitleaks knows: %q", rule)
	}
	if err := s.Request(route(), request(t, "https://listed.example/words?a=b", "Accept: text/html", "User-Agent: curl/8")); err != nil {
		t.Errorf("the twin: %v", err)
	}
}

func TestFieldsOfTheAgentsOwnCredentialsPassWhereTheRouteListsThem(t *testing.T) {
	s := scanner(t)
	own := request(t, "https://listed.example/?key="+known, "Authorization: Bearer "+known)
	if err := s.Request(route(func(r *policy.Route) { r.Credentials = []string{"authorization", "?key"} }), own); err != nil {
		t.Error(err)
	}
	if rule := ruleOf(t, s.Request(route(), own)); rule != RuleKnown {
		t.Errorf("elsewhere: %q", rule)
	}
}

func TestDetectorsCanBeSwitchedOffForARoute(t *testing.T) {
	s := scanner(t)
	off := func(names ...string) *policy.Route {
		return route(func(r *policy.Route) { r.DLP = &policy.DLP{Off: names} })
	}
	r := request(t, "https://listed.example/", "X-Data: "+known, "X-More: "+awsKey())
	if rule := ruleOf(t, s.Request(off(policy.DetectorKnown), r)); rule != RulePattern {
		t.Errorf("without known secrets: %q", rule)
	}
	if rule := ruleOf(t, s.Request(off(policy.DetectorPatterns), r)); rule != RuleKnown {
		t.Errorf("without patterns: %q", rule)
	}
	if err := s.Request(off(policy.Detectors...), r); err != nil {
		t.Errorf("without any: %v", err)
	}
	w, _ := errors.AsType[*egress.Withheld](s.Request(route(), r))
	if !strings.Contains(w.Hint, "outbound_detectors: [token_patterns]") || !strings.Contains(w.Message, "nobody can be asked") {
		t.Errorf("the refusal says %q, %q", w.Message, w.Hint)
	}
}

// sent gives what of a body passes, read in pieces of any size.
func sent(s *Scanner, r *policy.Route, head *http.Request, body string, cut func(io.Reader) io.Reader) (string, error) {
	stream := s.Stream(r, head.Header, egress.Upstream, cut(strings.NewReader(body)), unwarned)
	if c, ok := stream.(io.Closer); ok {
		defer c.Close()
	}
	b, err := io.ReadAll(stream)
	return string(b), err
}

var cuts = map[string]func(io.Reader) io.Reader{
	"whole": func(r io.Reader) io.Reader { return r }, "by bytes": iotest.OneByteReader, "in halves": iotest.HalfReader, "with its end": iotest.DataErrReader,
}

func TestABodyPassesUpToItsSecret(t *testing.T) {
	s := scanner(t)
	head := request(t, "https://listed.example/")
	for form, text := range forms(known) {
		for how, cut := range cuts {
			for _, size := range []int{0, 10, chunk - 5, 3*chunk + 17} {
				before := strings.Repeat("ordinary words, ", size/16+1)[:size]
				if how == "by bytes" && size > chunk {
					continue // the same, and slow
				}
				got, err := sent(s, knownOnly(), head, before+" "+text+" after", cut)
				if rule := ruleOf(t, err); rule != RuleKnown {
					t.Errorf("%s, %s, behind %d bytes: %q", form, how, size, rule)
				}
				if len(got) > size+1+3*len(text)/4 {
					t.Errorf("%s, %s, behind %d bytes: %q of it passed", form, how, size, got[min(len(got), size):])
				}
			}
		}
	}
}

func TestABodyWithoutASecretPassesUnchanged(t *testing.T) {
	s := scanner(t)
	head := request(t, "https://listed.example/")
	for _, body := range []string{"", "x", strings.Repeat("words and more words\n", 5000), known[:Lead+2], "\x00\x01" + strings.Repeat("\xff", 70000)} {
		for how, cut := range cuts {
			if how == "by bytes" && len(body) > 1000 {
				continue
			}
			if got, err := sent(s, route(), head, body, cut); err != nil || got != body {
				t.Errorf("%d bytes, %s: %d bytes, %v", len(body), how, len(got), err)
			}
		}
	}
}

// A program that waits for an answer before it goes on gets one: nothing is held that
// isn't the beginning of a secret.
func TestNothingIsHeldBackThatIsNoSecretsBeginning(t *testing.T) {
	s := scanner(t)
	pr, pw := io.Pipe()
	stream := s.Stream(route(), request(t, "https://listed.example/").Header, egress.Upstream, pr, unwarned)
	buffer := make([]byte, 100)
	for _, said := range []string{"hello", `{"id": 1, "method": "list"}`, "p", known[:Lead]} {
		go pw.Write([]byte(said))
		n, err := stream.Read(buffer)
		if err != nil || string(buffer[:n]) != said {
			t.Fatalf("of %q came %q, %v", said, buffer[:n], err)
		}
	}
	pw.Close()
}

// frame is one that a client sends.
func frame(first byte, payload string) string {
	key := [4]byte{1, 0x7f, 0xa5, 9}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, key[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return string(b)
}

// payload is what the frames that begin text carry, the last one as far as it goes.
func payload(text string) string {
	var all []byte
	for len(text) > 6 {
		n, head := int(text[1]&0x7f), 2
		switch n {
		case 126:
			n, head = int(binary.BigEndian.Uint16([]byte(text[2:4]))), 4
		case 127:
			n, head = int(binary.BigEndian.Uint64([]byte(text[2:10]))), 10
		}
		if len(text) < head+4 {
			break
		}
		key, rest := text[head:head+4], text[head+4:]
		for i := range min(n, len(rest)) {
			all = append(all, rest[i]^key[i%4])
		}
		text = rest[min(n, len(rest)):]
	}
	return string(all)
}

func TestFramesOfAWebSocketAreLookedInto(t *testing.T) {
	s := scanner(t)
	head := request(t, "https://listed.example/", "Upgrade: websocket", "Sec-WebSocket-Extensions: permessage-deflate")
	if err := s.Request(route(), head); err != nil || head.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Errorf("%v, %v", err, head.Header)
	}
	clean := frame(0x81, "hello") + frame(0x89, "") + frame(0x82, strings.Repeat("b", 200)) + frame(0x81, strings.Repeat("words ", 20000))
	for how, cut := range cuts {
		if how == "by bytes" {
			continue
		}
		if got, err := sent(s, route(), head, clean, cut); err != nil || got != clean {
			t.Errorf("%s: the twin: %v, %d bytes of %d", how, err, len(got), len(clean))
		}
		for name, bad := range map[string]string{
			"one frame": clean + frame(0x81, "my "+known), "two frames": frame(0x01, known[:15]) + frame(0x80, known[15:]), "a ping": frame(0x89, known),
			"messages with a ping between": frame(0x81, known[:15]) + frame(0x89, "-") + frame(0x81, known[15:]),
		} {
			got, err := sent(s, route(onMatch(policy.OnMatchRedact)), head, bad, cut)
			if ruleOf(t, err) != RuleKnown {
				t.Errorf("%s, %s: %v", name, how, err)
			}
			if held := payload(bad)[:len(payload(got))]; strings.Contains(held, known[:Lead+6]) {
				t.Errorf("%s, %s: %q passed", name, how, held[max(0, len(held)-40):])
			}
		}
	}
	one := io.MultiReader(strings.NewReader(frame(0x01, known[:10])), strings.NewReader(frame(0, known[10:14])), strings.NewReader(frame(0x80, known[14:])))
	b, err := io.ReadAll(s.Stream(route(), head.Header, egress.Upstream, one, unwarned))
	if ruleOf(t, err) != RuleKnown || payload(string(b)) != "" {
		t.Errorf("frame by frame: %v, %q passed", err, payload(string(b)))
	}
	for name, bad := range map[string]string{"compressed": frame(0xc1, "x"), "unmasked": "\x81\x05hello"} {
		if _, err := sent(s, route(), head, bad, cuts["whole"]); ruleOf(t, err) != RuleEncoding {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestARedactedBodyKeepsItsLengthAndLosesTheSecret(t *testing.T) {
	s := scanner(t)
	body := `{"a": "words", "key": "` + known + `", "b": "more"}`
	got, err := sent(s, route(onMatch(policy.OnMatchRedact)), request(t, "https://listed.example/"), body, cuts["whole"])
	if err != nil || len(got) != len(body) || strings.Contains(got, "Orchard") || !strings.Contains(got, `"b": "more"}`) {
		t.Errorf("%v: %s", err, got)
	}
}

func model(r *policy.Route) { r.Model = &policy.ModelAPI{Wire: policy.WireAnthropic} }

func TestAConversationLosesItsSecretsAndGoesOn(t *testing.T) {
	s := scanner(t)
	for form, text := range forms(known) {
		body := `{"messages": [{"role": "user", "content": "it is ` + text + `"}]}`
		got, err := s.Whole(route(model), []byte(body))
		if err != nil || len(got) != len(body) || bytes.Contains(got, []byte(text)) || !bytes.HasPrefix(got, []byte(`{"messages"`)) {
			t.Errorf("%s: %v: %s", form, err, got)
		}
		if _, err := s.Whole(route(model, onMatch(policy.OnMatchBlock)), []byte(body)); ruleOf(t, err) != RuleKnown {
			t.Errorf("%s: block: %v", form, err)
		}
	}
	key := awsKey()
	body := strings.Repeat("a turn of the conversation. ", 4000) + "the key is " + key + " and " + strings.Repeat("more words ", 4000)
	for range 2 { // what was found is found again
		got, err := s.Whole(route(model), []byte(body))
		if err != nil || bytes.Contains(got, []byte(key)) || len(got) != len(body) {
			t.Errorf("what gitleaks knows: %v", err)
		}
	}
}

func TestEverySecretOfAConversationIsMadeUnreadable(t *testing.T) {
	s := scanner(t)
	keys := []string{awsKey(), awsKey(), awsKey()}
	var body string
	for _, key := range keys {
		body += strings.Repeat("a turn of the conversation. ", 4000) + key + " "
	}
	got, err := s.Whole(route(model), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		if bytes.Contains(got, []byte(key)) {
			t.Errorf("number %d is there", i)
		}
	}
}

// privateKey looks like one of RSA with 4096 bits, which is among the longest things that
// gitleaks looks for.
func privateKey() string {
	var b strings.Builder
	b.WriteString("-----BEGIN RSA PRIV" + "ATE KEY-----\n")
	for range 50 {
		line := make([]byte, 48)
		for i := range line {
			line[i] = byte(rand.Uint32())
		}
		b.WriteString(base64.StdEncoding.EncodeToString(line) + "\n")
	}
	return b.String() + "-----END RSA PRIV" + "ATE KEY-----\n"
}

// A private key that lies across the border of two pieces is found, though either piece
// has only a part of it.
func TestAPrivateKeyIsFoundAcrossABorder(t *testing.T) {
	s := scanner(t)
	key := privateKey()
	text := strings.Repeat(" ", chunk-len(key)/2) + key + strings.Repeat(" ", chunk)
	if _, err := sent(s, route(), request(t, "https://listed.example/"), text, cuts["whole"]); ruleOf(t, err) != RulePattern {
		t.Errorf("in a stream: %v", err)
	}
	begin := 0
	for c := 0; c < len(key)/3 || c > 2*len(key)/3; c = cut([]byte(text)) - begin { // its own text may end the piece elsewhere
		key = privateKey()
		begin = cut(bytes.Repeat([]byte(" "), 2*mostPiece)) - len(key)/2
		text = strings.Repeat(" ", begin) + key + strings.Repeat(" ", chunk)
	}
	if _, err := s.Whole(route(model, onMatch(policy.OnMatchBlock)), []byte(text)); ruleOf(t, err) != RulePattern {
		t.Errorf("in a conversation: %v", err)
	}
}

func TestATrailerIsLookedAt(t *testing.T) {
	s := scanner(t)
	if rule := ruleOf(t, s.Trailer(route(), http.Header{"X-Sum": {known}})); rule != RuleKnown {
		t.Errorf("got %q", rule)
	}
	if err := s.Trailer(route(), http.Header{"X-Sum": {"harmless"}}); err != nil {
		t.Errorf("the twin: %v", err)
	}
}

// Between two letters of a secret anything may stand, without end: what is held of it has
// one.
func TestWhatIsHeldBackIsBounded(t *testing.T) {
	s := scanner(t)
	body := known[:15] + strings.Repeat(" ", 4*maxHeld)
	stream := s.Stream(route(), request(t, "https://listed.example/").Header, egress.Upstream, strings.NewReader(body), unwarned).(*reader)
	for {
		n, err := stream.Read(make([]byte, chunk))
		if len(stream.held) > maxHeld+chunk {
			t.Fatalf("%d bytes are held", len(stream.held))
		}
		if err != nil || n == 0 {
			break
		}
	}
	if _, err := sent(s, route(), request(t, "https://listed.example/"), body+known[15:], cuts["whole"]); ruleOf(t, err) != RuleKnown {
		t.Errorf("the rest of it: %v", err)
	}
}

// Wherever in a conversation a secret comes to be, what was cleared before hides it not.
func TestWhatIsNewInAConversationIsLookedAt(t *testing.T) {
	s := scanner(t)
	text := make([]byte, 0, 300<<10)
	for i := 0; len(text) < 200<<10; i++ {
		text = fmt.Appendf(text, "turn %d of it, with words %x\n", i, rand.Uint32())
	}
	if _, err := s.Whole(route(model), text); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		at := rand.IntN(len(text))
		with := slices.Concat(text[:at], []byte(" "+awsKey()+" "), text[at:])
		got, err := s.Whole(route(model), with)
		if err != nil || bytes.Contains(got, []byte("AK"+"IA")) {
			t.Errorf("at %d: %v", at, err)
		}
	}
}

func TestATokenThatComesBackIsMasked(t *testing.T) {
	s := scanner(t)
	auth := route(func(r *policy.Route) { r.Auth = &policy.Auth{} })
	head := request(t, "https://listed.example/", "Accept-Encoding: gzip")
	if err := s.Request(auth, head); err != nil || head.Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("%v, %v", err, head.Header)
	}
	body := strings.Repeat("words ", 10000) + token + " and " + base64.StdEncoding.EncodeToString([]byte(token))
	for how, cut := range cuts {
		if how == "by bytes" {
			continue
		}
		b, err := io.ReadAll(s.Stream(auth, http.Header{}, egress.Downstream, cut(strings.NewReader(body)), unwarned))
		if err != nil || len(b) != len(body) || bytes.Contains(b, []byte("9917")) || bytes.Contains(b, []byte(body[len(body)-20:])) {
			t.Errorf("%s: %v, …%s", how, err, b[max(0, len(b)-120):])
		}
	}
}

func FuzzFramesAndChunksChangeNothing(f *testing.F) {
	s := scanner(f)
	f.Add([]byte("hello "+known), uint8(3))
	f.Fuzz(func(t *testing.T, body []byte, size uint8) {
		r := route(func(r *policy.Route) { r.DLP = &policy.DLP{Off: []string{policy.DetectorPatterns}} })
		head := request(t, "https://listed.example/")
		whole, err := sent(s, r, head, string(body), cuts["whole"])
		pieces, err2 := sent(s, r, head, string(body), func(from io.Reader) io.Reader { return &pieced{from, int(size) + 1} })
		if (err == nil) != (err2 == nil) || err == nil && (whole != string(body) || pieces != string(body)) {
			t.Errorf("%q: %v, %v", body, err, err2)
		}
	})
}

// pieced reads a few bytes at a time.
type pieced struct {
	from io.Reader
	size int
}

func (p *pieced) Read(b []byte) (int, error) { return p.from.Read(b[:min(len(b), p.size)]) }

// unwarned takes warnings that a test doesn't ask for.
func unwarned(string) {}
