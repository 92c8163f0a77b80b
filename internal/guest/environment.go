package guest

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// Variables that name a file with the certificates to trust, and who reads them.
var caVariables = []string{
	"SSL_CERT_FILE",        // OpenSSL, Go, rustls-native-certs
	"NODE_EXTRA_CA_CERTS",  // Node, in addition to its own
	"REQUESTS_CA_BUNDLE",   // Python's requests
	"PIP_CERT",             // pip
	"CURL_CA_BUNDLE",       // curl
	"GIT_SSL_CAINFO",       // git
	"CARGO_HTTP_CAINFO",    // cargo
	"CODEX_CA_CERTIFICATE", // Codex
	"DENO_CERT",            // Deno
	"AWS_CA_BUNDLE",        // AWS command line and SDKs
	"BUNDLE_SSL_CA_CERT",   // Ruby's bundler
}

// egressPort is where the egress door is on the alias.
const egressPort = 9099

// trustPassword protects nothing: the store holds a public certificate, but Java
// wants one.
const trustPassword = "changeit"

// Environment gives the variables that make tools in the guest use the egress
// door at alias and trust its certificate, in the PEM file ca; trust is the same
// as TrustStore made it.
func Environment(alias netip.Addr, ca, trust string) []string {
	door := fmt.Sprintf("http://%s:%d", alias, egressPort)
	direct := strings.Join([]string{alias.String(), "127.0.0.1", "localhost", "::1"}, ",")
	var env []string
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		env = append(env, name+"="+door, strings.ToLower(name)+"="+door)
	}
	env = append(env, "NO_PROXY="+direct, "no_proxy="+direct, "NODE_USE_ENV_PROXY=1",
		"PYTHONDONTWRITEBYTECODE=1") // compiled files are no changes that anybody reviews
	for _, name := range caVariables {
		env = append(env, name+"="+ca)
	}
	java := []string{
		"-Djavax.net.ssl.trustStore=" + trust, "-Djavax.net.ssl.trustStoreType=PKCS12", "-Djavax.net.ssl.trustStorePassword=" + trustPassword,
		fmt.Sprintf("-Dhttp.proxyHost=%s -Dhttp.proxyPort=%d -Dhttps.proxyHost=%s -Dhttps.proxyPort=%d", alias, egressPort, alias, egressPort),
		"-Dhttp.nonProxyHosts=" + strings.ReplaceAll(direct, ",", "|"),
	}
	return append(env, "JAVA_TOOL_OPTIONS="+strings.Join(java, " "))
}

// TrustStore gives the certificate as a PKCS#12 trust store for Java.
func TrustStore(caPEM []byte) ([]byte, error) {
	block, _ := pem.Decode(caPEM)
	if block == nil {
		return nil, errors.New("reading the certificate: it is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	return pkcs12.Modern2023.EncodeTrustStore([]*x509.Certificate{cert}, trustPassword)
}
