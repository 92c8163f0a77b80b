package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	random "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Hosts that the traffic goes to. All are the upstream.
const (
	plainHost = "plain.example.com"
	modelHost = "model.example.com"
)

// The traffic.
const (
	smallRequests = 5000
	smallAtOnce   = 8
	downloadBytes = 100 << 20
	turns         = 40
	turnBytes     = 8 << 10 // that each turn adds to the conversation
	streams       = 200
	events        = 10
	eventEvery    = 200 * time.Millisecond
	knownSecrets  = 50
)

// secrets are those that "known" looks for; the same in every process.
func secrets() (list []string) {
	r := random.New(random.NewPCG(1, 2))
	for range knownSecrets {
		b := make([]byte, 24)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		list = append(list, "key"+hex.EncodeToString(b))
	}
	return list
}

// spellings are what the others look for: plain, base64 wherever it begins, and hex.
func spellings() (list [][]byte) {
	for _, s := range secrets() {
		list = append(list, []byte(s), []byte(hex.EncodeToString([]byte(s))))
		for phase := range 3 {
			text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", phase) + s))
			list = append(list, []byte(text[4:len(text)-4]))
		}
	}
	return list
}

// upstream is where the traffic goes.
type upstream struct {
	address string
	ca      string // path
	roots   *x509.CertPool
}

func startUpstream(dir string) (*upstream, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "upstream"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost", plainHost, modelHost}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	up := &upstream{ca: filepath.Join(dir, "upstream.pem"), roots: x509.NewCertPool()}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	up.roots.AppendCertsFromPEM(text)
	if err := os.WriteFile(up.ca, text, 0o600); err != nil {
		return nil, err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		return nil, err
	}
	up.address = l.Addr().String()
	go http.Serve(l, http.HandlerFunc(answer))
	return up, nil
}

func answer(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/download":
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(downloadBytes))
		for chunk := make([]byte, 64<<10); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	case r.URL.Path == "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		for range events {
			fmt.Fprintf(w, "data: %d\n\n", time.Now().UnixNano())
			w.(http.Flusher).Flush()
			time.Sleep(eventEvery)
		}
	case r.Method == http.MethodPost:
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"type":"message","content":[{"type":"text","text":"go on"}],"usage":{"input_tokens":1,"output_tokens":1}}`)
	default:
		io.WriteString(w, "hello, this is a small answer")
	}
}

// measured is what came of one contender.
type measured struct {
	rate                        float64 // small requests a second
	download                    float64 // MB/s
	smallP99, turnP95, eventP99 time.Duration
	turns                       time.Duration // all of them
}

func measure(ctx context.Context, p *proxy, up *upstream) (m measured, err error) {
	client, err := p.client(up)
	if err != nil {
		return m, err
	}
	defer client.CloseIdleConnections()
	t := traffic{ctx, client, p, up}
	if err := t.answered(); err != nil {
		return m, err
	}
	for _, send := range []func(*measured) error{t.small, t.downloaded, t.conversation, t.events} {
		if err := send(&m); err != nil {
			return m, err
		}
	}
	return m, nil
}

// client goes by the proxy, and trusts its CA.
func (p *proxy) client(up *upstream) (*http.Client, error) {
	roots := up.roots.Clone()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: streams, DisableCompression: true}
	if p.cmd == nil {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", up.address)
		}
		return &http.Client{Transport: transport}, nil
	}
	text, err := os.ReadFile(p.ca)
	if err != nil {
		return nil, err
	}
	roots.AppendCertsFromPEM(text)
	transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: p.address})
	return &http.Client{Transport: transport}, nil
}

// answered asks until there is an answer: mitmproxy forgets connections that come as it
// starts.
func (t traffic) answered() (err error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); t.client.CloseIdleConnections() {
		ctx, cancel := context.WithTimeout(t.ctx, 2*time.Second)
		first := t
		first.ctx = ctx
		_, err = first.whole(http.MethodGet, plainHost, "/", nil)
		cancel()
		if err == nil {
			return nil
		}
	}
	return err
}

type traffic struct {
	ctx    context.Context
	client *http.Client
	p      *proxy
	up     *upstream
}

func (t traffic) do(method, host, path string, body []byte) (*http.Response, error) {
	_, port, _ := net.SplitHostPort(t.up.address)
	request, err := http.NewRequestWithContext(t.ctx, method, "https://"+net.JoinHostPort(cmp.Or(t.p.host, host), port)+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := t.client.Do(request)
	if err == nil && response.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		response.Body.Close()
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, b)
	}
	return response, err
}

// whole reads an answer to its end.
func (t traffic) whole(method, host, path string, body []byte) (n int64, err error) {
	response, err := t.do(method, host, path, body)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return io.Copy(io.Discard, response.Body)
}

func (t traffic) small(m *measured) error {
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var all sync.WaitGroup
	begin := time.Now()
	for range smallAtOnce {
		all.Go(func() {
			for range smallRequests / smallAtOnce {
				start := time.Now()
				_, err := t.whole(http.MethodGet, plainHost, "/", nil)
				mu.Lock()
				took, failed = append(took, time.Since(start)), errors.Join(failed, err)
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	all.Wait()
	m.rate, m.smallP99 = float64(len(took))/time.Since(begin).Seconds(), percentile(took, 99)
	return failed
}

func (t traffic) downloaded(m *measured) error {
	start := time.Now()
	n, err := t.whole(http.MethodGet, plainHost, "/download", nil)
	if err == nil && n != downloadBytes {
		err = fmt.Errorf("%d bytes came", n)
	}
	m.download = float64(n) / 1e6 / time.Since(start).Seconds()
	return err
}

// conversation sends what was said before again, at each turn, with a little more.
func (t traffic) conversation(m *measured) error {
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	r := random.New(random.NewPCG(3, 4))
	words := strings.Fields("the a of file test build error line func return string value if err nil package import 12 0x7f path/to/file.go {} () := == commit branch")
	var said []message
	var took []time.Duration
	begin := time.Now()
	for i := range turns {
		var text strings.Builder
		for text.Len() < turnBytes {
			text.WriteString(words[r.IntN(len(words))] + " ")
		}
		said = append(said, message{[]string{"user", "assistant"}[i%2], text.String()})
		body, err := json.Marshal(map[string]any{"model": "m", "max_tokens": 1, "messages": said})
		if err != nil {
			return err
		}
		start := time.Now()
		if _, err := t.whole(http.MethodPost, modelHost, "/v1/messages", body); err != nil {
			return err
		}
		took = append(took, time.Since(start))
	}
	m.turns, m.turnP95 = time.Since(begin), percentile(took, 95)
	return nil
}

// events opens many streams at once, and takes how late each event comes.
func (t traffic) events(m *measured) error {
	var mu sync.Mutex
	var late []time.Duration
	var failed error
	var all sync.WaitGroup
	for range streams {
		all.Go(func() {
			list, err := t.stream()
			mu.Lock()
			defer mu.Unlock()
			late, failed = append(late, list...), errors.Join(failed, err)
		})
	}
	all.Wait()
	m.eventP99 = percentile(late, 99)
	return failed
}

func (t traffic) stream() (late []time.Duration, err error) {
	response, err := t.do(http.MethodGet, plainHost, "/events", nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			sent, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return late, err
			}
			late = append(late, time.Since(time.Unix(0, sent)))
		}
	}
	if err := lines.Err(); err != nil || len(late) != events {
		return late, fmt.Errorf("%d events came: %w", len(late), err)
	}
	return late, nil
}

func percentile(took []time.Duration, p int) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(len(took)-1, len(took)*p/100)]
}
