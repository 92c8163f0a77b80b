package forge

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var quick = Patience{Tries: 3, First: time.Millisecond, Most: 2 * time.Second}

// ask sends method to a server that gives what answers say, one after the other,
// the last of them for ever, and tells how often it was asked.
func ask(t *testing.T, p Patience, method string, answers ...http.HandlerFunc) (status int, asked int64, err error) {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i := int(n.Add(1))
		if b, _ := io.ReadAll(r.Body); string(b) != "body" {
			t.Errorf("try %d came with body %q", i, b)
		}
		answers[min(i, len(answers))-1](w, r)
	}))
	defer s.Close()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := Client(p).Do(req)
	if err != nil {
		return 0, n.Load(), err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, n.Load(), err
}

func code(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
	}
}

func TestWhatFailsForNowIsTriedAgain(t *testing.T) {
	broken := func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
	for name, c := range map[string]struct {
		method  string
		answers []http.HandlerFunc
		status  int
		asked   int64
	}{
		"busy, for a POST":                 {"POST", []http.HandlerFunc{code(429), code(201)}, 201, 2},
		"busy, with a time":                {"POST", []http.HandlerFunc{code(429, "Retry-After", "0"), code(201)}, 201, 2},
		"GitHub's secondary limit":         {"POST", []http.HandlerFunc{code(403, "Retry-After", "0"), code(201)}, 201, 2},
		"no right":                         {"POST", []http.HandlerFunc{code(403)}, 403, 1},
		"down for maintenance":             {"POST", []http.HandlerFunc{code(503, "Retry-After", "0"), code(201)}, 201, 2},
		"a POST that may have been taken":  {"POST", []http.HandlerFunc{code(502)}, 502, 1},
		"a GET is asked again":             {"GET", []http.HandlerFunc{code(500), code(502), code(200)}, 200, 3},
		"a PATCH, too":                     {"PATCH", []http.HandlerFunc{broken, code(200)}, 200, 2},
		"not for ever":                     {"PUT", []http.HandlerFunc{code(500)}, 500, 3},
		"an answer is an answer":           {"DELETE", []http.HandlerFunc{code(404)}, 404, 1},
		"a wait that is too long":          {"GET", []http.HandlerFunc{code(429, "Retry-After", "3600")}, 429, 1},
		"a date in the past":               {"GET", []http.HandlerFunc{code(429, "Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT"), code(200)}, 200, 2},
		"a Retry-After that means nothing": {"GET", []http.HandlerFunc{code(429, "Retry-After", "soon"), code(200)}, 200, 2},
	} {
		status, asked, err := ask(t, quick, c.method, c.answers...)
		if err != nil || status != c.status || asked != c.asked {
			t.Errorf("%s: HTTP %d after %d tries, %v", name, status, asked, err)
		}
	}
	if _, asked, err := ask(t, quick, "POST", broken); err == nil || asked != 1 {
		t.Errorf("a POST on a connection that broke: %d tries, %v", asked, err)
	}
	if status, asked, _ := ask(t, Patience{}, "GET", code(500)); status != 500 || asked != 1 {
		t.Errorf("without patience: HTTP %d after %d tries", status, asked)
	}
}

func TestAWaitIsKept(t *testing.T) {
	begun := time.Now()
	if status, _, err := ask(t, quick, "POST", code(429, "Retry-After", "1"), code(201)); err != nil || status != 201 {
		t.Fatal(status, err)
	}
	if took := time.Since(begun); took < time.Second {
		t.Errorf("came back after %v of the second that was asked for", took)
	}
}

func TestWhatWasNeverSentIsTriedAgain(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := gone.Addr().String()
	gone.Close()
	begun := time.Now()
	p := Patience{Tries: 3, First: 20 * time.Millisecond, Most: time.Second}
	if _, err := Client(p).Post("http://"+addr, "text/plain", strings.NewReader("x")); err == nil || !neverSent(err) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took < 60*time.Millisecond {
		t.Errorf("gave up after %v, before the second wait", took)
	}
}

func TestTheCallersEndEndsTheTries(t *testing.T) {
	s := httptest.NewServer(code(500))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
	if _, err := Client(Patience{Tries: 9, First: time.Hour, Most: time.Hour}).Do(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
