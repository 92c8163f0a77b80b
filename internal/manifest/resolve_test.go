package manifest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/policy"
)

func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestACAFileMayLieBesideItsBottle(t *testing.T) {
	b := bottle(t, "egress:\n  routes:\n    - host: a.example\n      ca_file: ca.pem")
	want := certificate(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(b.Path), "ca.pem"), []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
	p, _, err := manifest.Resolve(b, environment())
	if err != nil || p.Egress.Routes[0].CAs != want {
		t.Errorf("the CAs are %q, %v", p.Egress.Routes[0].CAs, err)
	}
	if b.Policy.Egress.Routes[0].CAs != "" {
		t.Error("resolving has changed the bottle")
	}
}

func TestWhatABottleRefersToAndIsNotThere(t *testing.T) {
	b := bottle(t, "env:\n  A: ${ABSENT}\negress:\n  routes:\n    - host: a.example\n      auth: {token_ref: \"env:GONE\"}\n      ca_file: /absent/ca.pem\n    - host: b.example\n      auth: {token_ref: \"env:SPLIT\"}")
	_, secrets, err := manifest.Resolve(b, environment("SPLIT", "to\r\nken"))
	want := `error: dev.md:3: env.A: the host's environment has no variable "ABSENT"
       dev.md:7: egress.routes[0].auth.token_ref: env:GONE: the environment has no variable "GONE"
       dev.md:8: egress.routes[0].ca_file: reading "/absent/ca.pem": opening the file: open /absent/ca.pem: no such file or directory
       dev.md:10: egress.routes[1].auth.token_ref: [secret env:SPLIT] holds a character that can't be in a header field
hint: set ABSENT in the environment of bot-bottle
hint: set GONE in the environment of bot-bottle
hint: point ca_file at the certificates of the CAs, in PEM
`
	if got := explain(b.Path, err); got != want || len(secrets) != 0 {
		t.Errorf("it says\n%s", got)
	}
}

func TestACAFileHoldsCertificates(t *testing.T) {
	b := bottle(t, "egress:\n  routes:\n    - host: a.example\n      ca_file: dev.md")
	if _, _, err := manifest.Resolve(b, environment()); err == nil || !strings.Contains(err.Error(), "it holds no certificate in PEM") {
		t.Errorf("the error is %v", err)
	}
}

func TestAnErrorShowsNoValueOfTheEnvironment(t *testing.T) {
	b := bottle(t, "env:\n  A: ${HOLDS_NUL}\n  B: ${OTHER}")
	_, _, err := manifest.Resolve(b, environment("HOLDS_NUL", "hunter2\x00", "OTHER", "hunter3"))
	if err == nil || strings.Contains(explain(b.Path, err), "hunter") {
		t.Errorf("it says\n%s", explain(b.Path, err))
	}
}

// The lines that a refusal gives have to do what they promise.
func TestAHintPutIntoABottleAllowsWhatWasRefused(t *testing.T) {
	refusing, err := policy.NewMatcher(policy.Egress{Routes: []policy.Route{{Host: "listed.example", Port: 443}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct{ method, host, path string }{
		{"GET", "new.example", "/"},
		{"POST", "listed.example", "/a'b:c,{}"},
		{"M-SEARCH", "listed.example", "/%22%5C#"},
		{"DELETE", "listed.example", "/!&*@-"},
		{"PROPFIND", "listed.example", "/${HOME}/$(id)"},
	} {
		host, err := policy.CanonicalHost(r.host)
		if err != nil {
			t.Fatal(err)
		}
		path, err := policy.CanonicalPath(strings.ReplaceAll(r.path, "#", "%23"))
		if err != nil {
			t.Fatal(err)
		}
		request := policy.Request{Method: r.method, Scheme: "https", Host: host, Port: 443, Path: path}
		refused := refusing.Judge(request)
		if refused.Allowed || refused.Hint == "" {
			t.Fatalf("%+v: %+v", r, refused)
		}
		m, err := policy.NewMatcher(bottle(t, refused.Hint).Policy.Egress)
		if err != nil {
			t.Fatal(err)
		}
		if d := m.Judge(request); !d.Allowed {
			t.Errorf("%+v is refused by %q in spite of\n%s", r, d.Rule, refused.Hint)
		}
	}
}

func TestTwoRoutesMayShareAToken(t *testing.T) {
	var routes strings.Builder
	for _, host := range []string{"a", "b"} {
		fmt.Fprintf(&routes, "\n    - host: %s.example\n      auth: {token_ref: \"env:T\"}", host)
	}
	p, secrets, err := manifest.Resolve(bottle(t, "egress:\n  routes:"+routes.String()), environment("T", "t0ken"))
	if err != nil || len(secrets) != 1 {
		t.Fatalf("%v, %v", secrets, err)
	}
	for _, r := range p.Egress.Routes {
		if secrets[r.Auth.TokenName].Reveal() != "t0ken" {
			t.Errorf("%s has no token", r.Host)
		}
	}
}
