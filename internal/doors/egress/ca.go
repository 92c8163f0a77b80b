package egress

import (
	"container/list"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"sync"
	"time"
)

const (
	// certificateLife outlasts any job and stays below the 398 days that
	// browsers and some TLS libraries accept.
	certificateLife = 30 * 24 * time.Hour
	// clockSlack covers a guest whose clock is behind the host's.
	clockSlack = 24 * time.Hour
	// maxCommonName is ub-common-name of RFC 5280, appendix A.
	maxCommonName = 64
)

// CA is the certificate authority of one bottle. Its key is made in memory and
// dies with the process; only the guest of this bottle is told to trust it.
type CA struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	leafKey     *ecdsa.PrivateKey // one for all hosts: they all end here
	now         func() time.Time

	mu     sync.Mutex
	leaves map[string]*list.Element // of leaf, by host
	recent list.List                // most recently used first
}

type leaf struct {
	host        string
	certificate *tls.Certificate
}

// NewCA makes an authority with fresh ECDSA P-256 keys.
func NewCA(commonName string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of CA %q: %w", commonName, err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the host key of CA %q: %w", commonName, err)
	}
	ca := &CA{key: key, leafKey: leafKey, now: time.Now, leaves: map[string]*list.Element{}}
	template, err := ca.template(commonName)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	ca.certificate, err = ca.sign(template, template, &key.PublicKey)
	return ca, err
}

// CertPEM gives the authority's certificate, for the guest's trust stores.
func (ca *CA) CertPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.certificate.Raw})
}

// leafFor gives a certificate for host, a canonical name or IP literal. It keeps
// the most recently used ones, at most limit.
func (ca *CA) leafFor(host string, limit int) (*tls.Certificate, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if e, ok := ca.leaves[host]; ok {
		ca.recent.MoveToFront(e)
		return e.Value.(leaf).certificate, nil
	}
	certificate, err := ca.mint(host)
	if err != nil {
		return nil, err
	}
	ca.leaves[host] = ca.recent.PushFront(leaf{host, certificate})
	for len(ca.leaves) > limit {
		oldest := ca.recent.Back()
		delete(ca.leaves, ca.recent.Remove(oldest).(leaf).host)
	}
	return certificate, nil
}

func (ca *CA) mint(host string) (*tls.Certificate, error) {
	template, err := ca.template(host)
	if err != nil {
		return nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if ip, err := netip.ParseAddr(host); err == nil {
		template.IPAddresses = append(template.IPAddresses, ip.AsSlice())
	} else {
		template.DNSNames = []string{host}
	}
	signed, err := ca.sign(template, ca.certificate, &ca.leafKey.PublicKey)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{signed.Raw}, PrivateKey: ca.leafKey, Leaf: signed}, nil
}

// template leaves the common name out where it would be too long; the
// alternative names are what counts.
func (ca *CA) template(name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("drawing a serial number for %q: %w", name, err)
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		NotBefore:    ca.now().Add(-clockSlack),
		NotAfter:     ca.now().Add(certificateLife),
	}
	if len(name) <= maxCommonName {
		t.Subject = pkix.Name{CommonName: name}
	}
	return t, nil
}

func (ca *CA) sign(template, parent *x509.Certificate, public *ecdsa.PublicKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, ca.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate for %q: %w", template.Subject.CommonName, err)
	}
	return x509.ParseCertificate(der)
}
