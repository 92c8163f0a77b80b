package doors

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/doors/dlp"
	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/meter"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

// Verb is the hidden verb of our binary that runs Main.
const Verb = "sidecar"

// ProofPath and the nonce are the path that each door watches for until EndProof:
// GET http://ALIAS:PORT/.well-known/bot-bottle/proof/NONCE, answered with 204.
const ProofPath = "/.well-known/bot-bottle/proof/"

// served are the doors, in the order in which their listeners are inherited.
var served = []decision.Door{decision.Egress, decision.GitGate, decision.Supervise}

// Config is what a sidecar is told once it has confined itself.
type Config struct {
	// Policy is what the egress door enforces. What is meant for the guest
	// (Env, Image, most of Limits) is not sent.
	Policy policy.Policy
	// Tokens holds the value of every Auth.TokenName of Policy, and of policies
	// that may be swapped in.
	Tokens map[string]secret.Value
	// Nonce is of this boot, and unguessable.
	Nonce string
	// Peers are the user ids, as the host sees them, that may connect. At least
	// one is needed.
	Peers []int
	// UpstreamProxy, "http://[user:password@]host:port", is the host's own way
	// out; empty means none. See egress.Options.
	UpstreamProxy secret.Value
	// Resolver is asked for names; the zero value: the host's own are.
	Resolver netip.AddrPort
	// Known are values that no request may hold, beside Tokens.
	Known []secret.Value
	// Prices say what a model's tokens cost.
	Prices meter.Prices
	// Git is what the git-gate serves; nil: no remote is declared.
	Git *GitConfig
}

// GitConfig is what the git-gate serves.
type GitConfig struct {
	Remotes []GitRemote
	// Known are values that no push may hold: the run's own secrets.
	Known []secret.Value
}

// GitRemote is a repository with its key.
type GitRemote struct {
	policy.GitRemote
	Key secret.Value // private key in OpenSSH's or PKCS#8's PEM, without a passphrase
}

// Ready is what a sidecar answers when its doors are open.
type Ready struct {
	CAPEM     string    `json:"ca_pem"` // certificate that the guest has to trust
	Hardening []Measure `json:"hardening"`
	// Unusable says which secrets the egress door can't look for, and why, a line each.
	Unusable []string `json:"unusable,omitempty"`
}

// Measure is one way in which the sidecar is confined.
type Measure struct {
	Name   string `json:"name"`
	Held   bool   `json:"held"`
	Detail string `json:"detail,omitempty"`
}

// wireConfig is a Config as it travels.
type wireConfig struct {
	Policy        policy.Policy     `json:"policy"`
	Tokens        map[string]string `json:"tokens,omitempty"`
	Nonce         string            `json:"nonce"`
	Peers         []int             `json:"peers"`
	UpstreamProxy string            `json:"upstream_proxy,omitempty"`
	Resolver      netip.AddrPort    `json:"resolver,omitzero"`
	Known         []wireSecret      `json:"known,omitempty"`
	Prices        meter.Prices      `json:"prices,omitempty"`
	Git           *wireGit          `json:"git,omitempty"`
}

type wireGit struct {
	Remotes []wireRemote `json:"remotes"`
	Known   []wireSecret `json:"known,omitempty"`
}

type wireRemote struct {
	policy.GitRemote
	Key string `json:"key"`
}

type wireSecret struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (c *GitConfig) wire() *wireGit {
	w := &wireGit{}
	for _, r := range c.Remotes {
		w.Remotes = append(w.Remotes, wireRemote{r.GitRemote, r.Key.Reveal()})
	}
	for _, k := range c.Known {
		w.Known = append(w.Known, wireSecret{k.Name(), k.Reveal()})
	}
	return w
}

// forGit is what the git-gate's own process is told: no token of a route.
func (c Config) forGit() *wireConfig {
	w := &wireConfig{Policy: policy.Policy{Epoch: c.Policy.Epoch, Bottle: c.Policy.Bottle, Git: c.Policy.Git}, Nonce: c.Nonce, Peers: c.Peers}
	if c.Git != nil { // else it refuses
		w.Git = c.Git.wire()
	}
	return w
}

// wire reveals the secrets: the socket pair leads to the process that uses them,
// and nowhere else.
func (c Config) wire() *wireConfig {
	w := &wireConfig{
		Policy:        forDoors(c.Policy), // the git-gate's remotes are no secret
		Tokens:        make(map[string]string, len(c.Tokens)),
		Nonce:         c.Nonce,
		Peers:         c.Peers,
		UpstreamProxy: c.UpstreamProxy.Reveal(),
		Resolver:      c.Resolver,
		Prices:        c.Prices,
	}
	for name, value := range c.Tokens {
		w.Tokens[name] = value.Reveal()
	}
	for _, k := range c.Known {
		w.Known = append(w.Known, wireSecret{k.Name(), k.Reveal()})
	}
	return w
}

// forDoors leaves out what is the guest's, secrets among it.
func forDoors(p policy.Policy) policy.Policy {
	limits := policy.Limits{Requests: p.Limits.Requests, EgressBytes: p.Limits.EgressBytes, Tokens: p.Limits.Tokens, Cost: p.Limits.Cost}
	return policy.Policy{Epoch: p.Epoch, Bottle: p.Bottle, Egress: p.Egress, Git: p.Git, Limits: limits}
}

func (w *wireConfig) tokens() map[string]secret.Value {
	tokens := make(map[string]secret.Value, len(w.Tokens))
	for name, value := range w.Tokens {
		tokens[name] = secret.New(name, value)
	}
	return tokens
}

// scanner is what looks for secrets in what passes the egress door.
func (w *wireConfig) scanner() (*dlp.Scanner, error) {
	var o dlp.Options
	for _, token := range w.tokens() {
		o.Tokens = append(o.Tokens, token)
	}
	for _, k := range w.Known {
		o.Known = append(o.Known, secret.New(k.Name, k.Value))
	}
	o.Known = append(o.Known, o.Tokens...)
	return dlp.New(o)
}

// proxy gives nil where there is none. The error doesn't show the URL, which may
// hold a password.
func (w *wireConfig) proxy() (*url.URL, error) {
	if w.UpstreamProxy == "" {
		return nil, nil
	}
	u, err := url.Parse(w.UpstreamProxy)
	if err != nil {
		return nil, errors.New("reading the upstream proxy: it is not a URL")
	}
	return u, nil
}

// minNonce is 128 bits in hex: nobody finds it by trying.
const minNonce = 32

func (w *wireConfig) check() error {
	if len(w.Nonce) < minNonce {
		return fmt.Errorf("reading the configuration: the nonce has %d characters, less than %d", len(w.Nonce), minNonce)
	}
	if len(w.Peers) == 0 {
		return errors.New("reading the configuration: it lists no user that may connect")
	}
	return nil
}

// order is a line from the supervisor. One of its fields besides ID is set.
type order struct {
	ID        uint64         `json:"id"`
	Configure *wireConfig    `json:"configure,omitempty"`
	EndProof  bool           `json:"end_proof,omitempty"`
	Swap      *policy.Policy `json:"swap,omitempty"`
	Phase     string         `json:"phase,omitempty"`
	Workflows *wireWorkflows `json:"workflows,omitempty"` // the git-gate's alone
}

// answer is a line from the sidecar. ID is 0 where it was not asked.
type answer struct {
	ID       uint64    `json:"id,omitempty"`
	Hardened []Measure `json:"hardened,omitempty"`
	Ready    *Ready    `json:"ready,omitempty"`
	Seen     *sighting `json:"seen,omitempty"`
	Fault    *fault    `json:"fault,omitempty"`
}

// sighting says that a door has seen the nonce.
type sighting struct {
	Door decision.Door `json:"door"`
	Time time.Time     `json:"time"`
}

// resolver asks the one that the configuration names; nil: the host's own are asked.
func (w *wireConfig) resolver() egress.Resolver {
	if !w.Resolver.IsValid() {
		return nil
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, w.Resolver.String())
	}}
}
