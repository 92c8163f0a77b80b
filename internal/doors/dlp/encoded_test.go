package dlp

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/policy"
)

type packer func(io.Writer) io.WriteCloser

var packers = map[string]packer{
	"gzip":    func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"deflate": func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
	"br":      func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
	"zstd":    func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z },
}

func packed(make packer, text string) string {
	var b bytes.Buffer
	w := make(&b)
	io.WriteString(w, text)
	w.Close()
	return b.String()
}

// unpacked gives what a receiver makes of the beginning of a body.
func unpacked(encoding, body string) string {
	var from io.Reader = strings.NewReader(body)
	var err error
	switch encoding {
	case "gzip":
		from, err = gzip.NewReader(from)
	case "deflate":
		from, err = zlib.NewReader(from)
	case "br":
		from = brotli.NewReader(from)
	case "zstd":
		from, err = zstd.NewReader(from)
	}
	if err != nil {
		return ""
	}
	b, _ := io.ReadAll(from)
	return string(b)
}

// declared is the header of a body with an encoding; empty: it says nothing of it.
func declared(t *testing.T, encoding string) *http.Request {
	if encoding == "" {
		return request(t, "https://listed.example/")
	}
	return request(t, "https://listed.example/", "Content-Encoding: "+encoding)
}

// knownOnly is a route without gitleaks' rules, which take their time.
func knownOnly() *policy.Route {
	return route(func(r *policy.Route) { r.DLP = &policy.DLP{Off: []string{policy.DetectorPatterns}} })
}

// words are random, so that they can't be packed into next to nothing.
func words(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefgh \n"[rand.IntN(10)]
	}
	return string(b)
}

func TestCompressedBodiesAreLookedInto(t *testing.T) {
	s := scanner(t)
	text := words(12_000)
	for encoding, make := range packers {
		body, clean := packed(make, text+known+text), packed(make, text+text)
		for _, says := range []string{encoding, ""} {
			if says == "" && encoding == "br" {
				continue // nothing tells of it
			}
			head := declared(t, says)
			if err := s.Request(route(), head); err != nil {
				t.Errorf("%s, declared as %q: %v", encoding, says, err)
			}
			for how, cut := range cuts {
				got, err := sent(s, knownOnly(), head, body, cut)
				if ruleOf(t, err) != RuleKnown {
					t.Errorf("%s, declared as %q, %s: %v", encoding, says, how, err)
				}
				if plain := unpacked(encoding, got); strings.Contains(plain, known[:2*Lead]) {
					t.Errorf("%s, declared as %q, %s: the secret has gone: %q", encoding, says, how, plain[len(text):])
				}
				if got, err := sent(s, knownOnly(), head, clean, cut); err != nil || got != clean {
					t.Errorf("%s, declared as %q, %s: the twin: %v, %d bytes of %d", encoding, says, how, err, len(got), len(clean))
				}
			}
			if _, err := sent(s, knownOnly(), head, clean[:len(clean)/2], cuts["whole"]); ruleOf(t, err) != RuleEncoding && encoding != "deflate" {
				t.Errorf("%s, declared as %q: a broken one: %v", encoding, says, err)
			}
		}
	}
	if n := s.undoing.Load(); n != 0 {
		t.Errorf("%d bodies are still being undone", n)
	}
}

func TestEncodingsAroundAndBesideASecret(t *testing.T) {
	s := scanner(t)
	gz, text := packers["gzip"], words(10_000)
	named := func(w io.Writer) io.WriteCloser { z := gzip.NewWriter(w); z.Comment = known; return z }
	for name, c := range map[string]struct{ says, body string }{
		"twice":                      {"gzip, gzip", packed(gz, packed(gz, known))},
		"once declared, twice there": {"gzip", packed(gz, packed(packers["zstd"], known))},
		"twice, undeclared":          {"", packed(gz, packed(gz, known))},
		"beside the data":            {"gzip", packed(named, text)},
		"beside it, undeclared":      {"", packed(named, text)},
		"no zlib, but its bytes":     {"", "x^ " + text + known},
	} {
		for how, cut := range cuts {
			if _, err := sent(s, knownOnly(), declared(t, c.says), c.body, cut); ruleOf(t, err) != RuleKnown {
				t.Errorf("%s, %s: %v", name, how, err)
			}
		}
	}
	lines := request(t, "https://listed.example/", "Content-Encoding: identity", "Content-Encoding: gzip")
	if _, err := sent(s, route(), lines, packed(gz, known), cuts["whole"]); ruleOf(t, err) != RuleKnown {
		t.Errorf("in the second of two fields: %v", err)
	}
	if _, err := sent(s, route(), declared(t, ""), packed(gz, text+"\n"+awsKey()+"\n"), cuts["whole"]); ruleOf(t, err) != RulePattern {
		t.Errorf("what gitleaks knows: %v", err)
	}
	if _, err := sent(s, route(), declared(t, ""), "x^ "+text+"\n"+awsKey()+"\n", cuts["whole"]); ruleOf(t, err) != RulePattern {
		t.Errorf("what gitleaks knows, behind the bytes of zlib: %v", err)
	}
}

func TestWhatCantBeLookedIntoIsRefused(t *testing.T) {
	s := scanner(t)
	gz, text := packers["gzip"], words(10_000)
	for name, c := range map[string]struct{ says, body string }{
		"gzip with something behind": {"gzip", packed(gz, text) + "and more"},
		"deflate with the same":      {"deflate", packed(packers["deflate"], text) + "and more"},
		"a bomb":                     {"gzip", packed(gz, strings.Repeat("\x00", 16<<20))},
		"three, undeclared":          {"", packed(gz, packed(gz, packed(gz, text)))},
		"a zip":                      {"", "PK\x03\x04" + text},
		"a zip in gzip":              {"gzip", packed(gz, "PK\x03\x04"+text)},
		"xz":                         {"", "\xfd7zXZ\x00" + text},
		"bzip2":                      {"", "BZh91AY&SY" + text},
	} {
		for how, cut := range cuts {
			_, err := sent(s, knownOnly(), declared(t, c.says), c.body, cut)
			if ruleOf(t, err) != RuleEncoding {
				t.Errorf("%s, %s: %v", name, how, err)
			}
			if w, ok := errors.AsType[*egress.Withheld](err); ok && !strings.Contains(w.Hint, "host: listed.example\n      dlp: {outbound_detectors: false}") {
				t.Errorf("%s, %s: the hint is %q", name, how, w.Hint)
			}
		}
	}
	for _, encoding := range []string{"gzip, gzip, gzip", "compress", "aes128gcm", "gzip;x=1"} {
		if rule := ruleOf(t, s.Request(route(onMatch(policy.OnMatchRedact)), declared(t, encoding))); rule != RuleEncoding {
			t.Errorf("%q: %q", encoding, rule)
		}
	}
	for _, text := range []string{"", "P", "PK", "BZh9", "x", "\x1f", "\xfd7zX", "x^2 is a square", "BZh is a word", "PKs"} {
		for how, cut := range cuts {
			if got, err := sent(s, route(), declared(t, ""), text, cut); err != nil || got != text {
				t.Errorf("the twin %q, %s: %q, %v", text, how, got, err)
			}
		}
	}
}

// TestALargeCompressedBodyPassesAsItComes has the door pass the first of a body while the
// rest is not there yet, and keeps no more than a bounded part of it.
func TestALargeCompressedBodyPassesAsItComes(t *testing.T) {
	s := scanner(t)
	for encoding, pack := range packers {
		body := packed(pack, words(2<<20))
		from, to := io.Pipe()
		go io.WriteString(to, body[:len(body)/2]) // and no more
		stream := s.Stream(knownOnly(), declared(t, encoding).Header, egress.Upstream, from, unwarned)
		got, err := io.ReadFull(stream, make([]byte, len(body)/4))
		if err != nil {
			t.Errorf("%s: after %d bytes: %v", encoding, got, err)
		}
		to.CloseWithError(io.ErrUnexpectedEOF)
		stream.(io.Closer).Close()
	}
	if n := s.undoing.Load(); n != 0 {
		t.Errorf("%d bodies are still being undone", n)
	}
}

// TestABodyIsLetGoWhileItIsRead closes a stream whose Read hangs, as transports do.
func TestABodyIsLetGoWhileItIsRead(t *testing.T) {
	s := scanner(t)
	var streams []io.Reader
	var sources []*io.PipeWriter
	for range maxUndoing {
		from, to := io.Pipe()
		stream := s.Stream(route(), declared(t, "gzip").Header, egress.Upstream, from, unwarned)
		streams, sources = append(streams, stream), append(sources, to)
		go io.ReadAll(stream)
		body := packed(packers["gzip"], "words")
		io.WriteString(to, body[:11])
		io.WriteString(to, body[11:12]) // is read once the first was looked at
	}
	if _, err := sent(s, route(), declared(t, "gzip"), packed(packers["gzip"], "words"), cuts["whole"]); ruleOf(t, err) != RuleEncoding {
		t.Errorf("one more than may be undone at once: %v", err)
	}
	for _, stream := range streams {
		stream.(io.Closer).Close()
	}
	for _, to := range sources {
		to.Close() // the Read comes back
	}
	for deadline := time.Now().Add(10 * time.Second); s.undoing.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bodies are never let go", s.undoing.Load())
		}
	}
	if _, err := sent(s, route(), declared(t, "gzip"), packed(packers["gzip"], "words"), cuts["whole"]); err != nil {
		t.Errorf("after they were let go: %v", err)
	}
}
