package escape

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/action/internal/escape/attack"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

// suiteHosts are the names that the suite's policy lists. They belong to nobody
// (RFC 2606): a route says where to connect, or our own resolver does.
var suiteHosts = attack.Hosts{
	Listed: "listed.bottle.example", Plain: "plain.bottle.example", Auth: "auth.bottle.example",
	Expired: "expired.bottle.example", Stranger: "stranger.bottle.example", Renamed: "renamed.bottle.example", Forge: "forge.bottle.example",
	Resolved: "resolved.bottle.example", Private: []string{"loopback.bottle.example", "mapped.bottle.example", "nothing.bottle.example"},
	Models: map[string]string{
		policy.WireAnthropic: "anthropic.bottle.example", policy.WireOpenAI: "openai.bottle.example", policy.WireGemini: "gemini.bottle.example",
	},
}

// tokenName is the injected token's in the suite's policy.
const tokenName = "suite-token"

// standIns are the hosts of the suite's policy, on this host's loopback. They
// keep everything that they get.
type standIns struct {
	hosts   attack.Hosts
	token   string
	policy  policy.Policy
	names   *resolver
	git     *gitHost          // nil: no case is of git
	known   map[string]string // canaries that are secrets of the run, by case and user
	servers []*http.Server

	secured, plain string // addresses
	cas            string // PEM

	mu  sync.Mutex
	got map[string][]byte // by name
}

// maxKept bounds what one stand-in keeps.
const maxKept = 16 << 20

func (s *standIns) keep(name string, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.got[name])+len(b) <= maxKept {
		s.got[name] = append(s.got[name], b...)
	}
}

// holder gives the stand-in that got the canary, and in which encoding; "" if none.
func (s *standIns) holder(canary string) (name, encoding string) {
	if s == nil {
		return "", ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, data := range s.got {
		if encoding := carries(data, canary); encoding != "" {
			return name, encoding
		}
	}
	return "", ""
}

// startStandIns starts them and makes the policy that lists them; withGit, also the
// one of the git-gate, for which a host needs git.
func startStandIns(ctx context.Context, withGit bool) (*standIns, error) {
	s := &standIns{hosts: suiteHosts, token: newCanary(), got: map[string][]byte{}}
	ca, err := newAuthority()
	if err != nil {
		return nil, err
	}
	certificates, err := s.certificates(ca)
	if err != nil {
		return nil, err
	}
	secured, err := s.serve(ctx, "https", &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if c := certificates[hello.ServerName]; c != nil {
			return c, nil
		}
		return nil, fmt.Errorf("there is no stand-in %q", hello.ServerName)
	}})
	if err != nil {
		return nil, err
	}
	plain, err := s.serve(ctx, "http", nil)
	if err != nil {
		s.close()
		return nil, err
	}
	if s.names, err = startResolver(ctx, s.zone(), s.keep); err != nil {
		s.close()
		return nil, err
	}
	s.secured, s.plain, s.cas = secured, plain, ca.pem()
	s.policy = s.lists(secured, plain, s.cas)
	if withGit {
		if s.git, err = startGitHost(ctx, s.keep); err != nil {
			s.close()
			return nil, err
		}
		s.policy.Git = s.git.remotes()
	}
	return s, nil
}

// zone is what the resolver knows: a listed name that leads to a stand-in, and
// spellings of this host's own loopback, at which the same one listens.
func (s *standIns) zone() map[string][]netip.Addr {
	loopback := netip.MustParseAddr("127.0.0.1")
	return map[string][]netip.Addr{
		s.hosts.Resolved:   {loopback},
		s.hosts.Private[0]: {loopback},
		s.hosts.Private[1]: {netip.MustParseAddr("::ffff:127.0.0.1")},
		s.hosts.Private[2]: {netip.MustParseAddr("0.0.0.0")},
	}
}

// alive shows that each stand-in keeps what comes to it: it is asked from this host,
// as a leak would ask it.
func (s *standIns) alive(ctx context.Context) error {
	if s == nil {
		return nil
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(s.cas))
	dial := func(ctx context.Context, _, authority string) (net.Conn, error) {
		to := s.plain
		if strings.HasSuffix(authority, ":443") {
			to = s.secured
		}
		return new(net.Dialer).DialContext(ctx, "tcp", to)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	for _, origin := range []string{"https://" + s.hosts.Listed, "http://" + s.hosts.Plain} {
		canary := newCanary()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+"/open/"+canary, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("asking a stand-in of our own: %w", err)
		}
		response.Body.Close()
		if name, _ := s.holder(canary); name == "" {
			return fmt.Errorf("the stand-in at %s keeps nothing", origin)
		}
	}
	canary := newCanary()
	own := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.names.address().String())
	}}
	own.LookupNetIP(ctx, "ip4", canary+".bottle.example.")
	if name, _ := s.holder(canary); name == "" {
		return errors.New("the resolver of the stand-ins keeps nothing")
	}
	return s.git.alive(ctx, s.holder)
}

func (s *standIns) serve(ctx context.Context, name string, config *tls.Config) (address string, err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("starting a stand-in: %w", err)
	}
	address = l.Addr().String()
	if config != nil {
		l = tls.NewListener(l, config)
	}
	server := &http.Server{Handler: s.handler(name), ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	s.servers = append(s.servers, server)
	go server.Serve(l)
	return address, nil
}

// maxBody bounds what a stand-in reads of a request.
const maxBody = 1 << 20

// handler keeps each request whole and answers as a harmless host does.
func (s *standIns) handler(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if b, err := httputil.DumpRequest(r, true); err == nil {
			s.keep(name+" "+r.Host, b)
		}
		host, _, _ := strings.Cut(r.Host, ":")
		w.Header().Set("X-Stand-In", strings.TrimSuffix(strings.ToLower(host), "."))
		if o := r.Header.Get("X-HTTP-Method-Override"); o != "" {
			w.Header().Set("X-Override", o)
		}
		switch rest, _ := strings.CutPrefix(r.URL.Path, "/open/redirect/"); rest {
		case "unlisted":
			http.Redirect(w, r, "https://redirected.attacker.invalid/", http.StatusFound)
		case "metadata":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		default:
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, "{}")
		}
	})
}

func (s *standIns) close() {
	for _, server := range s.servers {
		server.Close()
	}
	if s.names != nil {
		s.names.conn.Close()
	}
	if s.git != nil {
		s.git.close()
	}
}

// lists is the policy.
func (s *standIns) lists(secured, plain, cas string) policy.Policy {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	open := []policy.Match{{Path: &policy.PathMatch{Type: policy.MatchPrefix, Value: "/open"}, Methods: []string{http.MethodGet, http.MethodHead}}}
	route := func(host string) policy.Route {
		return policy.Route{Host: host, Port: policy.DefaultPort, Matches: open, Addresses: loopback, ConnectTo: secured, CAs: cas}
	}
	auth, insecure := route(s.hosts.Auth), route(s.hosts.Plain)
	auth.Auth = &policy.Auth{Scheme: "Bearer", TokenName: tokenName}
	insecure.Port, insecure.ConnectTo, insecure.CAs = 80, plain, ""
	forge := route(s.hosts.Forge)
	forge.Matches = []policy.Match{{Methods: []string{http.MethodGet, http.MethodPost}}}
	routes := []policy.Route{route(s.hosts.Listed), auth, forge, insecure, route(s.hosts.Expired), route(s.hosts.Stranger), route(s.hosts.Renamed)}
	resolved := route(s.hosts.Resolved)
	resolved.Port, resolved.ConnectTo = netip.MustParseAddrPort(secured).Port(), ""
	routes = append(routes, resolved)
	for _, host := range s.hosts.Private {
		private := resolved
		private.Host, private.Addresses = host, nil
		routes = append(routes, private)
	}
	s.hosts.Port = resolved.Port
	for wire, host := range s.hosts.Models {
		r := route(host)
		r.Matches, r.Model = []policy.Match{{Methods: []string{http.MethodPost}}}, &policy.ModelAPI{Wire: wire}
		routes = append(routes, r)
	}
	return policy.Policy{Epoch: 1, Bottle: "escape", Isolation: policy.IsolationContainer, Egress: policy.Egress{Routes: routes}}
}

func (s *standIns) secrets() map[string]secret.Value {
	secrets := map[string]secret.Value{tokenName: secret.New(tokenName, s.token)}
	for name, canary := range s.known {
		secrets[name] = secret.New(name, canary)
	}
	if s.git != nil {
		secrets[gitKeyName] = s.git.secret()
	}
	return secrets
}

// authority signs certificates for one run of the suite.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority() (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "escape suite"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return authority{}, fmt.Errorf("making a certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	return authority{certificate, key}, err
}

func (a authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}))
}

// sign gives a certificate for name, which ends at the time given.
func (a authority) sign(name string, end time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: end,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// certificates gives each stand-in its own, good or bad.
func (s *standIns) certificates(ca authority) (map[string]*tls.Certificate, error) {
	stranger, err := newAuthority()
	if err != nil {
		return nil, err
	}
	later, before := time.Now().Add(24*time.Hour), time.Now().Add(-time.Hour)
	list := map[string]*tls.Certificate{}
	for _, c := range []struct {
		host, name string
		by         authority
		end        time.Time
	}{
		{s.hosts.Listed, s.hosts.Listed, ca, later}, {s.hosts.Auth, s.hosts.Auth, ca, later},
		{s.hosts.Forge, s.hosts.Forge, ca, later},
		{s.hosts.Models[policy.WireAnthropic], s.hosts.Models[policy.WireAnthropic], ca, later},
		{s.hosts.Models[policy.WireOpenAI], s.hosts.Models[policy.WireOpenAI], ca, later},
		{s.hosts.Models[policy.WireGemini], s.hosts.Models[policy.WireGemini], ca, later},
		{s.hosts.Expired, s.hosts.Expired, ca, before}, {s.hosts.Stranger, s.hosts.Stranger, stranger, later},
		{s.hosts.Renamed, "somebody-else.bottle.example", ca, later},
		{s.hosts.Resolved, s.hosts.Resolved, ca, later}, {s.hosts.Private[0], s.hosts.Private[0], ca, later},
		{s.hosts.Private[1], s.hosts.Private[1], ca, later}, {s.hosts.Private[2], s.hosts.Private[2], ca, later},
	} {
		if list[c.host], err = c.by.sign(c.name, c.end); err != nil {
			return nil, err
		}
	}
	return list, nil
}
