// Package modeltest is a model that says what a test told it to: a server on
// loopback that speaks a provider's real wire format over TLS, streamed, so that
// a real agent CLI can be put before it.
//
// It promises that what it answers follows the script alone: the n-th call of the
// script is given to a conversation that holds n results, the final text to one
// that holds all. A request that is repeated gets the same answer. Requests that
// lack the script's tools, such as those for a title, get the final text.
//
// It does not check what it is sent, and is no model of a provider's errors.
package modeltest

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Wire is a provider's format.
type Wire string

// The formats.
const (
	Anthropic Wire = "anthropic" // POST /v1/messages
	OpenAI    Wire = "openai"    // POST /v1/responses
	Gemini    Wire = "gemini"    // POST /v1beta/models/MODEL:streamGenerateContent
)

// Hosts are the names that the server has a certificate for: those under which
// the CLIs look for their models.
var Hosts = []string{"api.anthropic.com", "api.openai.com", "generativelanguage.googleapis.com"}

// Call is one use of a tool that the model asks for. Input is what the tool
// takes: something that encodes to a JSON object, or for a freeform tool of
// OpenAI's a string.
type Call struct {
	Tool  string
	Input any
}

// Script is what the model says: one call in each turn, then the text.
type Script struct {
	Calls []Call
	Final string
	// Input is how many tokens each answer says that it read; 0: ten. Anthropic's alone
	// says it.
	Input int
}

// Request is one that the server got.
type Request struct {
	Method, Path, Query string
	Header              http.Header
	Body                []byte
}

// Server is a running model.
type Server struct {
	Address string // "127.0.0.1:PORT"
	CAs     string // PEM that verifies the server

	script Script
	speak  dialect

	mu   sync.Mutex
	seen []Request
}

// dialect is what differs between the providers.
type dialect interface {
	// results counts the results of tools in a conversation.
	results(conversation) int
	// streamed tells whether the request asks for events.
	streamed(path string, c conversation) bool
	// say writes one turn: the call, or where that is nil the text.
	say(w *events, turn int, c *Call, text string)
	// whole is the same as one document.
	whole(turn int, c *Call, text string) any
}

// conversation is what of a request's body the scripted model looks at.
type conversation struct {
	Stream   bool              `json:"stream"`
	Messages []json.RawMessage `json:"messages"`
	Input    json.RawMessage   `json:"input"`
	Contents []json.RawMessage `json:"contents"`
	all      []byte            // Codex gives some models their tools among the input
}

// Start starts a server, which ends with the test.
func Start(t testing.TB, wire Wire, script Script) *Server {
	t.Helper()
	certificate, pem, err := newCertificate(Hosts)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Address: l.Addr().String(), CAs: pem, script: script, speak: dialects[wire]}
	if wire == Anthropic {
		s.speak = anthropic{input: script.Input}
	}
	if s.speak == nil {
		t.Fatalf("there is no wire format %q", wire)
	}
	hs := &http.Server{Handler: s, TLSConfig: certificate, ErrorLog: log.New(io.Discard, "", 0)}
	go hs.ServeTLS(l, "", "")
	t.Cleanup(func() { hs.Close() })
	return s
}

// Requests gives those that came so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// ServeHTTP answers one request as the script has it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.seen = append(s.seen, Request{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Clone(), body})
	s.mu.Unlock()
	var c conversation
	if r.Method != http.MethodPost || json.Unmarshal(body, &c) != nil {
		http.Error(w, `{"error":{"type":"not_found_error","message":"not in the script"}}`, http.StatusNotFound)
		return
	}
	c.all = body
	if strings.HasSuffix(r.URL.Path, "count_tokens") || strings.HasSuffix(r.URL.Path, ":countTokens") {
		writeJSON(w, map[string]any{"input_tokens": 1000, "totalTokens": 1000})
		return
	}
	turn, call := s.turn(c)
	if !s.speak.streamed(r.URL.Path, c) {
		writeJSON(w, s.speak.whole(turn, call, s.script.Final))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	s.speak.say(&events{w: w}, turn, call, s.script.Final)
}

// turn gives the next call for a conversation, or nil where the text is due.
func (s *Server) turn(c conversation) (int, *Call) {
	n := s.speak.results(c)
	if n >= len(s.script.Calls) {
		return n, nil
	}
	call := &s.script.Calls[n]
	name, _ := json.Marshal(call.Tool)
	if !bytes.Contains(c.all, append([]byte(`"name":`), name...)) {
		return n, nil
	}
	return n, call
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// events writes a stream of server-sent events (WHATWG HTML, section 9.2), each
// as soon as it is there.
type events struct{ w http.ResponseWriter }

func (e *events) send(name string, data map[string]any) {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err) // the script's input can't be encoded
	}
	var out bytes.Buffer
	if name != "" {
		out.WriteString("event: " + name + "\n")
	}
	out.WriteString("data: ")
	out.Write(b)
	out.WriteString("\n\n")
	e.w.Write(out.Bytes())
	e.w.(http.Flusher).Flush()
}

// inputText is a call's input as the text that providers wrap it in.
func inputText(c *Call) string {
	b, err := json.Marshal(c.Input)
	if err != nil {
		panic(err)
	}
	return string(b)
}
