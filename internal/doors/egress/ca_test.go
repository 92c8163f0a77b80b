package egress

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestEachBottleHasAnAuthorityOfItsOwn(t *testing.T) {
	one, other := newTestCA(t, "bottle"), newTestCA(t, "bottle")
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(one.CertPEM()) {
		t.Fatal("no certificate in the PEM")
	}
	for ca, want := range map[*CA]bool{one: true, other: false} {
		certificate, err := ca.leafFor("a.example.com", 8)
		if err != nil {
			t.Fatal(err)
		}
		_, err = certificate.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "a.example.com"})
		if (err == nil) != want {
			t.Errorf("verifying gave %v, want success %v", err, want)
		}
	}
}

// What OpenSSL's X509_V_FLAG_X509_STRICT asks for, which Python sets since 3.13.
func TestCertificatesAreStrictlyFormed(t *testing.T) {
	ca := newTestCA(t, "bottle")
	root := ca.certificate
	if !root.IsCA || !root.BasicConstraintsValid || !root.MaxPathLenZero || root.KeyUsage&x509.KeyUsageCertSign == 0 || len(root.SubjectKeyId) == 0 {
		t.Errorf("the authority: %+v", root)
	}
	for _, host := range []string{"a.example.com", "127.0.0.1", "::1", strings.Repeat("long.", 20) + "example.com"} {
		certificate, err := ca.leafFor(host, 8)
		if err != nil {
			t.Fatal(err)
		}
		leaf := certificate.Leaf
		if err := leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
		if leaf.IsCA || string(leaf.AuthorityKeyId) != string(root.SubjectKeyId) || leaf.KeyUsage != x509.KeyUsageDigitalSignature || leaf.SerialNumber.Sign() <= 0 {
			t.Errorf("%s: %+v", host, leaf)
		}
		if key, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
			t.Errorf("%s: key %T", host, leaf.PublicKey)
		}
		if leaf.NotAfter.Sub(leaf.NotBefore) > 398*24*time.Hour || time.Until(leaf.NotBefore) > -time.Hour {
			t.Errorf("%s: valid from %v to %v", host, leaf.NotBefore, leaf.NotAfter)
		}
	}
}

func TestPEMHoldsTheCertificateAlone(t *testing.T) {
	block, rest := pem.Decode(newTestCA(t, "bottle").CertPEM())
	if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 {
		t.Errorf("got %v and %q", block, rest)
	}
}

func TestKeptCertificatesAreBoundedAndTheUsedOnesStay(t *testing.T) {
	ca := newTestCA(t, "bottle")
	kept, err := ca.leafFor("kept.example.com", 8)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if _, err := ca.leafFor(fmt.Sprintf("n%d.example.com", i), 8); err != nil {
			t.Fatal(err)
		}
		if again, _ := ca.leafFor("kept.example.com", 8); again != kept {
			t.Fatalf("it was made anew after %d others", i+1)
		}
	}
	if len(ca.leaves) != 8 || ca.recent.Len() != 8 {
		t.Errorf("%d are kept", len(ca.leaves))
	}
}
