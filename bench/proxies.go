package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/elazarl/goproxy"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/doors/dlp"
	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

// token is what each proxy adds to each request.
const token = "the-token-that-is-added-7731"

// serve is one of the proxies in Go, until ctx ends.
func serve(ctx context.Context, kind, mode string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	dir, up, ca := os.Getenv("BENCH_DIR"), os.Getenv("BENCH_UPSTREAM"), os.Getenv("BENCH_CA")
	roots, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	authority := filepath.Join(dir, "mitmproxy-ca-cert.pem")
	if kind == "door" {
		return serveDoor(ctx, l, mode, dir, authority, up, string(roots))
	}
	return serveGoproxy(l, mode, authority, up, roots)
}

func serveDoor(ctx context.Context, l net.Listener, mode, dir, authority, up, roots string) error {
	_, port, _ := net.SplitHostPort(up)
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	look := &policy.DLP{}
	switch mode {
	case "off":
		look.Off = append(append(look.Off, policy.Detectors...), policy.DetectorInjection)
	case "known":
		look.Off = []string{policy.DetectorPatterns, policy.DetectorInjection}
	}
	route := policy.Route{
		Host: plainHost, Port: uint16(number), ConnectTo: up, Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, CAs: roots, DLP: look,
		Matches: []policy.Match{{Methods: []string{"GET", "POST"}}}, Auth: &policy.Auth{Scheme: "Bearer", TokenName: "T"},
	}
	model := route
	model.Host, model.Model, model.Auth = modelHost, &policy.ModelAPI{Wire: policy.WireAnthropic}, &policy.Auth{Header: "x-api-key", TokenName: "T"}
	injected := secret.New("T", token)
	known := []secret.Value{injected}
	for i, s := range secrets() {
		known = append(known, secret.New(fmt.Sprintf("S%d", i), s))
	}
	scanner, err := dlp.New(dlp.Options{Known: known, Tokens: []secret.Value{injected}})
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(dir, "decisions.jsonl"))
	if err != nil {
		return err
	}
	log, err := decision.OpenLog(file, decision.Options{})
	if err != nil {
		return err
	}
	ca, err := egress.NewCA("bench")
	if err != nil {
		return err
	}
	door, err := egress.New(egress.Options{
		Policy: policy.Policy{
			Epoch: 1, Bottle: "bench", Isolation: policy.IsolationGVisor, Egress: policy.Egress{Routes: []policy.Route{route, model}},
			Limits: policy.Limits{Requests: 1 << 40, EgressBytes: 1 << 50},
		},
		Tokens: map[string]secret.Value{"T": injected}, CA: ca, Log: log, Scanner: scanner,
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(authority, ca.CertPEM(), 0o600); err != nil {
		return err
	}
	fmt.Println("listening on", l.Addr())
	return door.Serve(ctx, l)
}

func serveGoproxy(l net.Listener, mode, authority, up string, roots []byte) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(roots)
	p := goproxy.NewProxyHttpServer()
	p.CertStore = &leaves{} // or each connection costs a key
	p.Tr = &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: streams, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", up)
		},
	}
	needles := spellings()
	p.OnRequest().HandleConnect(goproxy.AlwaysMitm)
	p.OnRequest().DoFunc(func(r *http.Request, _ *goproxy.ProxyCtx) (*http.Request, *http.Response) {
		if host := r.URL.Hostname(); host != plainHost && host != modelHost {
			return r, goproxy.NewResponse(r, goproxy.ContentTypeText, http.StatusForbidden, "not listed")
		}
		r.Header.Set("Authorization", "Bearer "+token)
		if mode == "known" {
			body, err := io.ReadAll(r.Body)
			text := append([]byte(r.URL.String()+fmt.Sprint(r.Header)), body...)
			for _, n := range needles {
				if err != nil || bytes.Contains(text, n) {
					return r, goproxy.NewResponse(r, goproxy.ContentTypeText, http.StatusForbidden, "a secret")
				}
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		return r, nil
	})
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: goproxy.GoproxyCa.Certificate[0]})
	if err := os.WriteFile(authority, text, 0o600); err != nil {
		return err
	}
	fmt.Println("listening on", l.Addr())
	return http.Serve(l, p)
}

// script is mitmproxy's part of the same. Answers pass as they come, as with the others.
const script = `
import os
needles = [bytes.fromhex(line.strip()) for line in open(os.environ["BENCH_NEEDLES"])]
hosts = {"localhost"}

def request(flow):
    from mitmproxy import http
    if flow.request.pretty_host not in hosts:
        flow.response = http.Response.make(403, b"not listed")
        return
    flow.request.headers["Authorization"] = "Bearer %s"
    if needles:
        text = flow.request.url.encode() + bytes(flow.request.headers) + (flow.request.raw_content or b"")
        if any(n in text for n in needles):
            flow.response = http.Response.make(403, b"a secret")

def responseheaders(flow):
    flow.response.stream = True
`

// python prepares mitmproxy.
func (p *proxy) python(ctx context.Context, own, mode string, up *upstream) error {
	program, err := exec.LookPath("mitmdump")
	if err != nil {
		return errors.Join(err, errors.New("hint: apt-get install mitmproxy"))
	}
	var needles strings.Builder
	if mode == "known" {
		for _, n := range spellings() {
			fmt.Fprintf(&needles, "%x\n", n)
		}
	}
	list, addon := filepath.Join(own, "needles"), filepath.Join(own, "addon.py")
	err = errors.Join(os.WriteFile(list, []byte(needles.String()), 0o600), os.WriteFile(addon, fmt.Appendf(nil, script, token), 0o600))
	if err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	p.address, p.host = net.JoinHostPort("127.0.0.1", port), "localhost" // where it is told to connect elsewhere, it never closes
	p.cmd = exec.CommandContext(ctx, program, "--quiet", "--set", "confdir="+own, "--set", "ssl_verify_upstream_trusted_ca="+up.ca,
		"--set", "connection_strategy=lazy", "--set", "upstream_cert=false", "--listen-host", "127.0.0.1", "--listen-port", port, "-s", addon)
	p.cmd.Env = append(os.Environ(), "BENCH_NEEDLES="+list)
	return nil
}

// freePort gives a port at which nobody listens now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// leaves keeps goproxy's certificates by host.
type leaves struct {
	mu    sync.Mutex
	found map[string]*tls.Certificate
}

// Fetch gives the certificate of a host, made by generate at its first use.
func (c *leaves) Fetch(host string, generate func() (*tls.Certificate, error)) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if leaf := c.found[host]; leaf != nil {
		return leaf, nil
	}
	leaf, err := generate()
	if err != nil {
		return nil, err
	}
	if c.found == nil {
		c.found = map[string]*tls.Certificate{}
	}
	c.found[host] = leaf
	return leaf, nil
}
