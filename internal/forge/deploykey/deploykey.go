// Package deploykey has keys that let one run push to one repository, from making
// them to seeing them gone.
//
// Generate makes a key in memory. Its Args are written down, as an obligation of
// the kind Kind and Version, before Register puts the public half on the forge;
// Undo takes it away from Args alone, in any process. Sweep finds what a lost host
// left.
//
//	key, args, err := deploykey.Generate(host, run, expiry, place)
//	err = journal.Effect(ctx, deploykey.Kind, args, deploykey.LandsIn, func(ctx context.Context) error {
//		return deploykey.Register(ctx, keys, key, args) // journal.Over(err) where deploykey.Refused(err)
//	})
//
// It promises that a private key is never on a disk, in an argument or in a message,
// that a key counts as gone only when a whole listing of the very repository, with
// confirmed rights, doesn't show it, and that no key but one with our title is
// deleted. It does not promise that a key which is seen absent stays so: that a
// request whose sender died may still land is the journal's to wait for, which
// counts an intended key's absence only LandsIn after the intent.
package deploykey

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
	"golang.org/x/crypto/ssh"
)

// LandsIn is how long a registration may take to come about: a request's own time
// limit (forge.Timeout, for each of the six of Register), and a minute that a forge
// or a proxy before it may still work on one whose sender is gone.
const LandsIn = 150 * time.Second

// UndoDeadline is how long one Undo may take (journal.Bounded): its requests, some
// ten of them, at a forge that takes seconds for each.
const UndoDeadline = 60 * time.Second

// Key is a pair that only this process knows. It prints as its fingerprint.
type Key struct {
	private     ed25519.PrivateKey
	signer      ssh.Signer
	fingerprint string
	write       bool
	sent        atomic.Bool // a request for it may have come about, or may yet
}

// Generate makes a key for a run on a host, which have the forms of a Title, that
// may push if place says so, and the arguments of its obligation. Nothing outside
// knows it yet. Expiry is by the forge's clock (forge.Rights), since a sweep judges
// by it, and long after the run has to be over.
func Generate(host, run string, expiry time.Time, place Place) (*Key, Args, error) {
	title := Title{Host: host, Run: run, Expiry: expiry.Truncate(time.Second)}
	private, err := newPrivate()
	if err != nil {
		return nil, Args{}, term.Errorf(term.StageLaunch, "", "making a deploy key: %w", err)
	}
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		return nil, Args{}, term.Errorf(term.StageLaunch, "", "making a deploy key: %w", err)
	}
	key := &Key{private: private, signer: signer, fingerprint: ssh.FingerprintSHA256(signer.PublicKey()), write: place.Write}
	args := Args{
		Forge: place.Forge, Server: place.Server, Repository: place.Repository, RepositoryID: place.RepositoryID,
		Fingerprint: key.fingerprint, Title: title.String(),
	}
	if err := args.check(); err != nil {
		return nil, Args{}, term.Errorf(term.StageLaunch, "", "making a deploy key: %w", err)
	}
	return key, args, nil
}

func newPrivate() (ed25519.PrivateKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}

// Signer signs with the key.
func (k *Key) Signer() ssh.Signer { return k.signer }

// Secret is the private key in OpenSSH's form (its PROTOCOL.key), to hand it to the
// process that serves it.
func (k *Key) Secret() (secret.Value, error) {
	block, err := ssh.MarshalPrivateKey(k.private, "")
	if err != nil {
		return secret.Value{}, term.Errorf(term.StageLaunch, "", "writing a deploy key: %w", err)
	}
	return secret.New("deploy key "+k.fingerprint, string(pem.EncodeToMemory(block))), nil
}

// Public is the line of authorized_keys, without a comment.
func (k *Key) Public() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.signer.PublicKey())))
}

// Fingerprint is that of ssh-keygen -l.
func (k *Key) Fingerprint() string { return k.fingerprint }

// String names the key, never the private half.
func (k *Key) String() string { return "[deploy key " + k.fingerprint + "]" }

// Format prints what String gives, whatever the verb.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// MarshalJSON writes what String gives.
func (k *Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }

// FromSecret gives the key that Secret gave, for a process that registers it on
// another's behalf.
func FromSecret(value secret.Value, write bool) (*Key, error) {
	parsed, err := ssh.ParseRawPrivateKey([]byte(value.Reveal()))
	private, ok := parsed.(*ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, term.Errorf(term.StageLaunch, "", "reading a deploy key: it is none of ours") // err may quote it
	}
	signer, err := ssh.NewSignerFromSigner(*private)
	if err != nil {
		return nil, term.Errorf(term.StageLaunch, "", "reading a deploy key: %w", err)
	}
	return &Key{private: *private, signer: signer, fingerprint: ssh.FingerprintSHA256(signer.PublicKey()), write: write}, nil
}
