// Package forgetest is a double of a forge's HTTP API on loopback, for tests: it
// gives recorded answers by method and path, and keeps what it was asked.
package forgetest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Answer is what one path gives. An answer without a status is 200.
type Answer struct {
	Status int
	Header map[string]string
	Body   string
	Do     http.HandlerFunc // instead of the others
}

// Server is the double. Answers may be changed before it is asked.
type Server struct {
	*httptest.Server
	Answers map[string]Answer // by "METHOD /path?query", else by "METHOD /path"

	mu    sync.Mutex
	asked []*http.Request
	said  []string
}

// New starts a double that ends with the test. What it has no answer for is 404,
// as JSON.
func New(t testing.TB, answers map[string]Answer) *Server {
	t.Helper()
	s := &Server{Answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.keep(r)
	a, ok := s.Answers[r.Method+" "+r.URL.RequestURI()]
	if !ok {
		a, ok = s.Answers[r.Method+" "+r.URL.EscapedPath()]
	}
	switch {
	case !ok:
		a = Answer{Status: http.StatusNotFound, Body: `{"message": "Not Found"}`}
	case a.Do != nil:
		a.Do(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	if a.Status != 0 {
		w.WriteHeader(a.Status)
	}
	_, _ = w.Write([]byte(a.Body)) // the client may have gone
}

// keep keeps r, and what it said.
func (s *Server) keep(r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what breaks here breaks for the handler, too
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r)
	s.said = append(s.said, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+strings.TrimSpace(string(body))))
}

// Said gives the requests so far, each as "METHOD /path?query body".
func (s *Server) Said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.said...)
}

// Asked gives the requests so far.
func (s *Server) Asked() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.asked...)
}
