package forge

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// model answers Claude Code as api.anthropic.com would, with one command to run and
// then its last words (platform.claude.com/docs, streaming messages).
type model struct {
	address, authority string // "127.0.0.1:PORT", PEM
	command, words     string
	mu                 sync.Mutex
	keys               []string // with which it was asked
	asked              string   // all that it was sent
}

// newModel starts one, which ends with the test.
func newModel(t *testing.T, command, words string) *model {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	m := &model{address: l.Addr().String(), command: command, words: words}
	config, err := m.certify("api.anthropic.com")
	must(t, err)
	server := &http.Server{Handler: m, TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0)}
	go server.ServeTLS(l, "", "")
	t.Cleanup(func() { server.Close() })
	return m
}

// certify makes an authority and a certificate of it for the name.
func (m *model) certify(name string) (*tls.Config, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate := func(name string) *x509.Certificate {
		now := time.Now()
		return &x509.Certificate{
			SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), BasicConstraintsValid: true,
		}
	}
	ca, leaf := certificate("the model's authority"), certificate(name)
	ca.IsCA, ca.KeyUsage = true, x509.KeyUsageCertSign
	leaf.DNSNames, leaf.KeyUsage, leaf.ExtKeyUsage = []string{name}, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	m.authority = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}

// ServeHTTP answers one request: with the command, where the conversation has the
// tool for it and no result yet, else with the words.
func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	m.mu.Lock()
	m.keys = append(m.keys, r.Header.Get("X-Api-Key"))
	m.asked += string(body)
	m.mu.Unlock()
	if r.URL.Path != "/v1/messages" {
		http.Error(w, `{"error":{"type":"not_found_error","message":"not in the script"}}`, http.StatusNotFound)
		return
	}
	block, delta, stop := map[string]any{"type": "text", "text": ""}, map[string]any{"type": "text_delta", "text": m.words}, "end_turn"
	if bytes.Contains(body, []byte(`"name":"Bash"`)) && !bytes.Contains(body, []byte(`"tool_use_id"`)) {
		input, _ := json.Marshal(map[string]any{"command": m.command, "description": "x"}) // of text alone
		block, stop = map[string]any{"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": map[string]any{}}, "tool_use"
		delta = map[string]any{"type": "input_json_delta", "partial_json": string(input)}
	}
	message := map[string]any{
		"id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": []any{}, "stop_reason": nil, "stop_sequence": nil,
		"usage": map[string]any{"input_tokens": 10, "output_tokens": 10},
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, event := range []map[string]any{
		{"type": "message_start", "message": message},
		{"type": "content_block_start", "index": 0, "content_block": block},
		{"type": "content_block_delta", "index": 0, "delta": delta},
		{"type": "content_block_stop", "index": 0},
		{"type": "message_delta", "delta": map[string]any{"stop_reason": stop, "stop_sequence": nil}, "usage": map[string]any{"output_tokens": 10}},
		{"type": "message_stop"},
	} {
		b, _ := json.Marshal(event)
		fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event["type"], b)
	}
}

// heard tells whether the model was sent the words, and all with which keys.
func (m *model) heard(words string) (bool, []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Contains(m.asked, words), m.keys
}
