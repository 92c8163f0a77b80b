package egress

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

func TestAmbiguousRequestsAreRefused(t *testing.T) {
	up := serve(t, nil, hello)
	w := open(t, up.route("a.example.com", plain, anyMethod))
	const start = "POST http://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n"
	for name, text := range map[string]string{
		"length and chunked":         start + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunked and length":         start + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"two lengths":                start + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
		"two equal lengths":          start + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"list of lengths":            start + "Content-Length: 5, 5\r\n\r\nhello",
		"signed length":              start + "Content-Length: +5\r\n\r\nhello",
		"hexadecimal length":         start + "Content-Length: 0x5\r\n\r\nhello",
		"empty length":               start + "Content-Length:\r\n\r\n",
		"huge length":                start + "Content-Length: 99999999999999999999\r\n\r\n",
		"unknown coding":             start + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"misspelt coding":            start + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"coding with vertical tab":   start + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
		"two codings":                start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"chunked in HTTP/1.0":        strings.Replace(start, "1.1", "1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"space before colon":         start + "Content-Length : 5\r\n\r\nhello",
		"folded line":                start + "X-A: 1\r\n Content-Length: 5\r\n\r\n",
		"line without colon":         start + "nothing\r\n\r\n",
		"empty name":                 start + ": 1\r\n\r\n",
		"bare LF in the head":        start + "X-A: 1\nX-B: 2\r\n\r\n",
		"bare LF at the end":         start + "X-A: 1\r\n\n",
		"all bare LF":                strings.ReplaceAll(start, "\r", "") + "\n",
		"bare CR":                    start + "X-A: 1\rX-B: 2\r\n\r\n",
		"NUL":                        start + "X-A: \x00\r\n\r\n",
		"space in the target":        "GET http://a.example.com/a b HTTP/1.1\r\nHost: a.example.com\r\n\r\n",
		"tab in the request line":    "GET\thttp://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n",
		"two spaces":                 "GET  http://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n",
		"bytes beyond ASCII":         "GET http://a.example.com/\xc3\xa9 HTTP/1.1\r\nHost: a.example.com\r\n\r\n",
		"HTTP/0.9":                   "GET http://a.example.com/\r\n\r\n",
		"HTTP/2 preface":             "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"HTTP/1.2":                   "GET http://a.example.com/ HTTP/1.2\r\nHost: a.example.com\r\n\r\n",
		"lower-case version":         "GET http://a.example.com/ http/1.1\r\nHost: a.example.com\r\n\r\n",
		"method that is no token":    "GE(T http://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n",
		"empty line first":           "\r\n" + start + "\r\n",
		"TLS on the proxy's port":    "\x16\x03\x01\x00\x05hello\r\n\r\n",
		"CONNECT with a body":        "CONNECT a.example.com:80 HTTP/1.1\r\nHost: a.example.com:80\r\nContent-Length: 2\r\n\r\nhi",
		"trailer that sets a length": start + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n",
	} {
		if status, answer := w.raw(text); status != 400 {
			t.Errorf("%s got %d\n%s", name, status, answer)
		}
		w.wantRefused(t, RuleMalformed)
	}
	if up.connections() != 0 {
		t.Error("something got through")
	}
	if status, _ := w.raw(start + "Content-Length: 5\r\n\r\nhello"); status != 200 {
		t.Errorf("the twin got %d", status)
	}
}

func TestBrokenChunksEndTheRequest(t *testing.T) {
	for name, body := range map[string]string{
		"bare LF after the size": "5\nhello\r\n0\r\n\r\n",
		"no size":                "\r\nhello\r\n0\r\n\r\n",
		"negative size":          "-5\r\nhello\r\n0\r\n\r\n",
		"too long":               "5\r\nhello!\r\n0\r\n\r\n",
		"huge size":              "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
	} {
		up := serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err == nil {
				t.Errorf("%s: the upstream took it for whole", name)
			}
		})
		w := open(t, up.route("a.example.com", plain, anyMethod))
		conn := w.dial()
		io.WriteString(conn, "POST http://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\nTransfer-Encoding: chunked\r\n\r\n"+body+
			"GET http://a.example.com/smuggled HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
		b, _ := io.ReadAll(conn)
		if n := bytes.Count(b, []byte("HTTP/1.1 ")); n != 1 || !bytes.HasPrefix(b, []byte("HTTP/1.1 400 ")) {
			t.Errorf("%s was answered with %q", name, b)
		}
		if end := w.ended(t, 1); end.Rule != RuleMalformed {
			t.Errorf("%s: end line %+v", name, end)
		}
	}
}

func TestHeadIsFoundHoweverItIsCut(t *testing.T) {
	text := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, long := range []string{"", strings.Repeat("X: y\r\n", 100)} {
		whole := strings.Replace(text, "Host", long+"Host", 1)
		r := bufio.NewReaderSize(iotest.OneByteReader(strings.NewReader(whole+"next")), 16)
		b, r, err := awaitHead(r, 4096)
		if err != nil || string(b) != whole {
			t.Fatalf("got %q, %v", b, err)
		}
		if rest, _ := io.ReadAll(r); string(rest) != whole+"next" {
			t.Errorf("what remains to be read is %q", rest)
		}
	}
}

// FuzzHead checks that what parseHead takes, net/http takes for the same request.
func FuzzHead(f *testing.F) {
	for _, text := range []string{
		"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /x?y HTTP/1.0\r\nContent-Length: 3\r\n\r\n",
		"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\nX: \ty \r\n\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const limit = 1 << 10
		b, r, err := awaitHead(bufio.NewReaderSize(bytes.NewReader(text), 64), limit)
		if err != nil {
			return
		}
		if len(b) > limit || !bytes.HasPrefix(text, b) || !bytes.HasSuffix(b, headEnd) {
			t.Fatalf("%q is no head of %q", b, text)
		}
		h, err := parseHead(b)
		if err != nil {
			return
		}
		request, err := http.ReadRequest(r)
		if err != nil {
			return // refused as well
		}
		if request.Method != h.method || request.RequestURI != h.target || request.ProtoMinor != int(h.minor-'0') {
			t.Errorf("%q is %s %s here and %s %s there", b, h.method, h.target, request.Method, request.RequestURI)
		}
		if chunked := len(request.TransferEncoding) > 0; chunked != h.chunked || !chunked && h.lengths == 0 && request.ContentLength != 0 {
			t.Errorf("%q has a body of %d here: %+v", b, request.ContentLength, h)
		}
		if !strings.Contains(h.target, "://") && request.Host != h.host && !strings.HasPrefix(h.target, "//") && h.method != http.MethodConnect {
			t.Errorf("%q is for %q here and for %q there", b, h.host, request.Host)
		}
	})
}
