package guest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

func TestEnvironmentLeadsToTheDoor(t *testing.T) {
	env := map[string]string{}
	for _, v := range Environment(netip.MustParseAddr("127.0.0.17"), "/ca.pem", "/ca.p12") {
		name, value, ok := strings.Cut(v, "=")
		if _, twice := env[name]; !ok || twice {
			t.Errorf("%q is malformed, or there twice", v)
		}
		env[name] = value
	}
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		if env[name] != "http://127.0.0.17:9099" {
			t.Errorf("%s is %q", name, env[name])
		}
	}
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		if !strings.Contains(env[name], "127.0.0.17") || !strings.Contains(env[name], "localhost") {
			t.Errorf("%s is %q", name, env[name])
		}
	}
	for _, name := range []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "CODEX_CA_CERTIFICATE"} {
		if env[name] != "/ca.pem" {
			t.Errorf("%s is %q", name, env[name])
		}
	}
	for _, want := range []string{"-Dhttps.proxyHost=127.0.0.17", "-Dhttps.proxyPort=9099", "-Djavax.net.ssl.trustStore=/ca.p12"} {
		if !strings.Contains(env["JAVA_TOOL_OPTIONS"], want) {
			t.Errorf("JAVA_TOOL_OPTIONS lacks %s", want)
		}
	}
}

func TestTrustStoreHoldsTheCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bottle"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	store, err := TrustStore(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := pkcs12.DecodeTrustStore(store, trustPassword)
	if err != nil || len(got) != 1 || string(got[0].Raw) != string(der) {
		t.Errorf("got %d certificates, %v", len(got), err)
	}
	for _, bad := range []string{"", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := TrustStore([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
