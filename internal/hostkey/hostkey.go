// Package hostkey asks an SSH server for its host keys, to write them into a
// bottle.
//
// It promises that nothing is sent to the server but what a key exchange needs:
// no user name, no key, no password. It does not promise that the answer is the
// server's: whoever sits in between can give keys of his own. They have to be
// compared with what the server's owner publishes, by another way.
package hostkey

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/bot-bottle/action/internal/term"
)

// DefaultPort is SSH's (RFC 4251).
const DefaultPort = 22

// Timeout is how long one server has to give all of its keys.
const Timeout = 15 * time.Second

// Key is one host key.
type Key struct {
	Type        string `json:"type"`        // "ssh-ed25519"
	Line        string `json:"line"`        // of known_hosts(5): name, type and key
	Pin         string `json:"host_key"`    // "TYPE BASE64", as a bottle's `host_key` has it
	Fingerprint string `json:"fingerprint"` // "SHA256:…", as ssh shows it
}

// algorithms are asked for one by one, since a server gives one key for each
// handshake; those of SHA-1 (ssh-rsa) and DSA aren't asked for.
var algorithms = []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA256}

// Scan gives the host keys of the server at address, HOST or HOST:PORT. The
// error is of stage usage for an address that can't be read.
func Scan(ctx context.Context, address string) ([]Key, error) {
	hostPort, err := complete(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	var keys []Key
	var last error
	for _, algorithm := range algorithms {
		key, err := ask(ctx, hostPort, algorithm)
		if err != nil {
			last = err
			if isDial(err) || ctx.Err() != nil {
				break
			}
			continue
		}
		keys = append(keys, describe(hostPort, key))
	}
	if len(keys) == 0 || ctx.Err() != nil {
		return nil, term.Errorf(term.StageUsage, address, "asking for the host keys: %w", orTimeout(ctx, last)).
			WithHint("check name and port; it has to be an SSH server that this host can reach")
	}
	return keys, nil
}

func orTimeout(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("no answer within %v", Timeout)
	}
	return err
}

// complete gives HOST:PORT.
func complete(address string) (string, error) {
	host, port := strings.Trim(address, "[]"), strconv.Itoa(DefaultPort)
	if h, p, err := net.SplitHostPort(address); err == nil {
		host, port = h, p
	}
	n, err := strconv.ParseUint(port, 10, 16)
	foreign := func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune(".:-_%", c))
	}
	if err != nil || n == 0 || host == "" || host[0] == '-' || strings.ContainsFunc(host, foreign) {
		return "", term.Errorf(term.StageUsage, "", "reading the address %.200q: it is neither HOST nor HOST:PORT", address).
			WithHint("write it without user and path, such as git.example.com or git.example.com:2222")
	}
	return net.JoinHostPort(host, port), nil
}

// errSeen ends a handshake once the key is known, before anybody logs in.
var errSeen = errors.New("the key has been seen")

func ask(ctx context.Context, hostPort, algorithm string) (ssh.PublicKey, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", hostPort)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var seen ssh.PublicKey
	_, _, _, err = ssh.NewClientConn(conn, hostPort, &ssh.ClientConfig{
		HostKeyAlgorithms: []string{algorithm},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			seen = key
			return errSeen
		},
	})
	if seen != nil {
		return seen, nil
	}
	return nil, err
}

func describe(hostPort string, key ssh.PublicKey) Key {
	return Key{
		Type:        key.Type(),
		Line:        knownhosts.Line([]string{hostPort}, key),
		Pin:         strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))),
		Fingerprint: ssh.FingerprintSHA256(key),
	}
}

func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && slices.Contains([]string{"dial", "lookup"}, op.Op)
}
