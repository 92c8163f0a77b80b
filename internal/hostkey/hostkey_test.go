package hostkey_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/action/internal/hostkey"
)

// server is an SSH server with these keys that reports what users try to log in.
func server(t *testing.T, keys ...ssh.Signer) (address string, logins <-chan string) {
	t.Helper()
	tried := make(chan string, 16)
	config := &ssh.ServerConfig{NoClientAuth: true, NoClientAuthCallback: func(c ssh.ConnMetadata) (*ssh.Permissions, error) {
		tried <- c.User()
		return nil, nil
	}}
	for _, k := range keys {
		config.AddHostKey(k)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _, _, _ = ssh.NewServerConn(conn, config)
			}()
		}
	}()
	return l.Addr().String(), tried
}

func signers(t *testing.T) (ed, ec ssh.Signer) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for into, key := range map[*ssh.Signer]any{&ed: private, &ec: curve} {
		if *into, err = ssh.NewSignerFromKey(key); err != nil {
			t.Fatal(err)
		}
	}
	return ed, ec
}

func TestEveryKeyOfTheServerIsGiven(t *testing.T) {
	ed, ec := signers(t)
	address, logins := server(t, ed, ec)
	keys, err := hostkey.Scan(t.Context(), address)
	if err != nil || len(keys) != 2 {
		t.Fatalf("%+v, %v", keys, err)
	}
	for i, want := range []ssh.Signer{ed, ec} {
		k := keys[i]
		_, hosts, parsed, _, _, err := ssh.ParseKnownHosts([]byte(k.Line))
		if err != nil || !slices.Equal(parsed.Marshal(), want.PublicKey().Marshal()) || !strings.HasPrefix(hosts[0], "[127.0.0.1]:") {
			t.Errorf("the line is %q, %v", k.Line, err)
		}
		if k.Fingerprint != ssh.FingerprintSHA256(want.PublicKey()) || k.Type != want.PublicKey().Type() || !strings.HasPrefix(k.Pin, k.Type+" AAAA") || strings.ContainsAny(k.Pin, "\n") {
			t.Errorf("the key is %+v", k)
		}
	}
	select {
	case user := <-logins:
		t.Errorf("%q tried to log in", user)
	default:
	}
}

func TestAServerThatKeepsSilentIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if keys, err := hostkey.Scan(ctx, l.Addr().String()); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("%v, %v", keys, err)
	}
}

func TestWhatIsNoServerIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	for _, address := range []string{closed, "", "user@host", "host:0", "host:99999", "ho st", "-oProxyCommand=x", "host/path", "ssh://host"} {
		if keys, err := hostkey.Scan(t.Context(), address); err == nil {
			t.Errorf("%q: %v", address, keys)
		}
	}
}
