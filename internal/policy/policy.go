// Package policy holds the resolved, immutable rules of one job and the
// matching of a request against them. It knows nothing of files, YAML, sockets
// or processes: manifest makes a Policy, the doors and the guest are given
// parts of it, and it travels between them as JSON.
package policy

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Policy is the one resolved set of rules of a job. It is never changed in
// place: a new one with a higher Epoch replaces it whole.
type Policy struct {
	Epoch     uint64      `json:"epoch"`     // 1 at launch; grows by one with each swap
	Bottle    string      `json:"bottle"`    // name of the bottle it was made from
	Isolation Isolation   `json:"isolation"` // weakest isolation that is acceptable
	Image     Image       `json:"image"`
	Env       []EnvVar    `json:"env,omitempty"` // sorted by name
	Egress    Egress      `json:"egress"`
	Git       []GitRemote `json:"git,omitempty"`
	Limits    Limits      `json:"limits"`
}

// Isolation is how strongly a guest is separated from the host.
type Isolation string

// The kinds of isolation, strongest first.
const (
	IsolationVM        Isolation = "vm"        // hardware virtualisation
	IsolationGVisor    Isolation = "gvisor"    // a kernel in user space
	IsolationContainer Isolation = "container" // namespaces of the host's kernel
)

// Program is a folder or a file of the host that a guest gets to read and execute:
// an agent's own program. Both paths are absolute; Guest is below ProgramRoot.
type Program struct {
	Host  string `json:"host"`
	Guest string `json:"guest"`
}

// ProgramRoot is where programs are found in a guest.
const ProgramRoot = "/opt/bot-bottle/agents"

// EnvVar is one variable of the guest's environment. Secret marks a value that
// came from a reference: it enters the guest, but is printed nowhere.
type EnvVar struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Secret bool   `json:"secret,omitempty"`
}

// Egress is what the egress door allows. The empty value allows nothing.
type Egress struct {
	Routes []Route `json:"routes,omitempty"`
}

// Route allows requests to one host and port.
type Route struct {
	// Host is canonical (see CanonicalHost): a name, an IP literal, or "*."
	// and a name for one or more labels before it.
	Host string `json:"host"`
	Port uint16 `json:"port"` // never 0
	// Matches are OR-ed; the fields within one are AND-ed, as in the Gateway
	// API's HTTPRoute. None means GET and HEAD on any path.
	Matches []Match `json:"matches,omitempty"`
	Auth    *Auth   `json:"auth,omitempty"`
	// Credentials lists the agent's own credential fields that may pass on
	// this route, in lower case ("cookie", "authorization", "?key"); all
	// others are dropped.
	Credentials []string `json:"credentials,omitempty"`
	// Addresses are the non-public destinations that the host may resolve to.
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	// ConnectTo, "host:port", is dialled instead of Host:Port; the TLS name
	// and the Host header stay. An IP literal needs to be in Addresses if it
	// isn't public.
	ConnectTo string `json:"connect_to,omitempty"`
	// CAs is PEM that replaces the host's roots for this route.
	CAs string `json:"cas,omitempty"`
	// Model says that the host is a model provider's: requests are also judged by
	// what they ask of its API, and pass whole or not at all.
	Model *ModelAPI `json:"model,omitempty"`
	// DLP is what is looked for in what leaves by the route; nil: the defaults.
	DLP *DLP `json:"dlp,omitempty"`
}

// DLP says what the egress door looks for in what leaves by a route. The zero value
// looks for everything.
type DLP struct {
	Off     []string `json:"off,omitempty"`      // detectors that are not used, of the Detector constants
	Entropy bool     `json:"entropy,omitempty"`  // warn of what looks random
	OnMatch string   `json:"on_match,omitempty"` // one of the OnMatch constants; empty: the route's default
}

// What is looked for.
const (
	DetectorKnown    = "known_secrets"  // the run's own secrets, in the forms in which they are copied
	DetectorPatterns = "token_patterns" // what gitleaks' rules take for a secret
)

// Detectors by which nothing, or nothing of what leaves, is refused.
const (
	DetectorEntropy   = "entropy"                   // warns of what looks random; used only where it is listed
	DetectorInjection = "naive_injection_detection" // what in an answer speaks to an agent
)

// Detectors are all by which a request is refused.
var Detectors = []string{DetectorKnown, DetectorPatterns}

// What becomes of a request in which something was found.
const (
	OnMatchSupervise = "supervise" // a person is asked; as long as nobody can be, it is refused
	OnMatchRedact    = "redact"    // it is made unreadable, and the rest passes
	OnMatchBlock     = "block"     // the request is refused
)

// Uses tells whether the route's traffic is looked at by a detector.
func (r *Route) Uses(detector string) bool {
	return r.DLP == nil || !slices.Contains(r.DLP.Off, detector)
}

// WarnsOfEntropy tells whether what looks random in what leaves is told.
func (r *Route) WarnsOfEntropy() bool { return r.DLP != nil && r.DLP.Entropy }

// LooksIn tells whether the route's answers are looked at for injections. A model's are
// not: they are what the agent is to do.
func (r *Route) LooksIn() bool { return r.Model == nil && r.Uses(DetectorInjection) }

// OnMatch is what becomes of a request of the route in which something was found. To a
// model a whole conversation is sent each time, so that its default is to redact.
func (r *Route) OnMatch() string {
	switch {
	case r.DLP != nil && r.DLP.OnMatch != "":
		return r.DLP.OnMatch
	case r.Model != nil:
		return OnMatchRedact
	}
	return OnMatchSupervise
}

// ModelAPI is the API of a model provider, which by itself is a general fetcher.
type ModelAPI struct {
	Wire string `json:"wire"` // one of the Wire constants
	// Allow lists what may be used besides messages and tools that the agent
	// carries out: the features that refusals name.
	Allow []string `json:"allow,omitempty"`
}

// The formats of model APIs.
const (
	WireAnthropic = "anthropic" // Messages
	WireOpenAI    = "openai"    // Responses
	WireGemini    = "gemini"    // generateContent
)

// Match is one alternative of a route. A zero field matches everything.
type Match struct {
	Path    *PathMatch    `json:"path,omitempty"`
	Methods []string      `json:"methods,omitempty"` // upper case
	Headers []HeaderMatch `json:"headers,omitempty"`
}

// MatchType is how a value is compared.
type MatchType string

// The match types, named as in the Gateway API.
const (
	MatchExact  MatchType = "Exact"
	MatchPrefix MatchType = "PathPrefix" // by whole path elements; paths only
	MatchRegex  MatchType = "RegularExpression"
)

// PathMatch compares the canonical path, without the query.
type PathMatch struct {
	Type  MatchType `json:"type"`
	Value string    `json:"value"` // a regular expression is RE2 and anchored at both ends
}

// HeaderMatch compares one request header. Name is lower case.
type HeaderMatch struct {
	Type  MatchType `json:"type"` // MatchExact or MatchRegex
	Name  string    `json:"name"`
	Value string    `json:"value"`
}

// Auth says which credential the door adds. The token itself never is part of
// a policy: TokenName is the key under which the sidecar was given it.
type Auth struct {
	Scheme    string `json:"scheme"`           // "Bearer", "Basic", "token"; empty: the token alone
	Header    string `json:"header,omitempty"` // default "authorization"
	TokenName string `json:"token_name"`
}

// SelfRemote is what a bottle calls the job's own repository.
const SelfRemote = "self"

// GitRemote is a repository that the guest reaches through the git-gate.
type GitRemote struct {
	Name    string `json:"name"`     // as the gate calls it
	URL     string `json:"url"`      // ssh://user@host[:port]/path or user@host:path
	HostKey string `json:"host_key"` // "TYPE BASE64"
	// Push are the full names of refs that may be made or moved forward; none: it can
	// be read only. One that ends in "/*" stands for all below it.
	Push []string `json:"push,omitempty"`
	// Also are full names of refs that the guest may fetch, beside branches and tags.
	Also []string `json:"also,omitempty"`
	// Protected are patterns of paths that a push may change although a forge or the
	// host would run them.
	Protected []string `json:"protected,omitempty"`
	MaxBytes  int64    `json:"max_bytes,omitempty"` // of one push's pack; 0: the gate's default
	// HostWorkflows are the paths of workflow files that may run on the host, outside
	// of any bottle, what is pushed.
	HostWorkflows []string `json:"host_workflows,omitempty"`
	// KeyName is under which the git-gate was given the private key.
	KeyName string `json:"key_name"`
	// Forge, "gitea" or "github", makes a key for each run; empty: the key is the
	// host's own. Server is its address, as the host's configuration has it.
	Forge  string `json:"forge,omitempty"`
	Server string `json:"server,omitempty"`
}

// RunPlaceholder stands in GitRemote.Push for the id of the run.
const RunPlaceholder = "{run}"

// DefaultPush is what a bottle may push that doesn't say it: a branch of the run's
// own.
const DefaultPush = "refs/heads/bottle/" + RunPlaceholder

// ForRun gives the remote with the run's id in the place of RunPlaceholder.
func (r GitRemote) ForRun(run string) GitRemote {
	push := make([]string, 0, len(r.Push))
	for _, ref := range r.Push {
		push = append(push, strings.ReplaceAll(ref, RunPlaceholder, run))
	}
	r.Push = push
	return r
}

// Lists tells whether the remote's Push has the ref, by its full name.
func (r GitRemote) Lists(ref string) bool { return RefListed(r.Push, ref) }

// RefListed tells whether rules, as GitRemote.Push has them, have the ref.
func RefListed(rules []string, ref string) bool {
	return slices.ContainsFunc(rules, func(rule string) bool {
		if below, ok := strings.CutSuffix(rule, "*"); ok && strings.HasSuffix(below, "/") {
			return strings.HasPrefix(ref, below)
		}
		return rule == ref
	})
}

// Limits bound a guest. Zero means the default that Defaults gives; there is
// no "unlimited".
type Limits struct {
	MemoryBytes int64         `json:"memory_bytes"`
	CPUs        int           `json:"cpus"` // whole processors
	PIDs        int           `json:"pids"` // tasks of the agent's user
	DiskBytes   int64         `json:"disk_bytes"`
	Timeout     time.Duration `json:"timeout"` // of the agent's work, in nanoseconds in JSON
	// Requests and EgressBytes bound what the egress door passes on in the whole
	// job: requests, and the bytes of their heads and bodies.
	Requests    int64 `json:"requests"`
	EgressBytes int64 `json:"egress_bytes"`
	// Tokens and Cost bound what calls to a model's API take in the whole job: tokens
	// of all kinds, and millionths of a US dollar. Of the cost there is no default: 0
	// bounds none.
	Tokens     int64 `json:"tokens"`
	Cost       int64 `json:"cost_microdollars,omitempty"`
	BestEffort bool  `json:"best_effort,omitempty"`
}

// Limits that hold where the bottle names none: room for a compiler and a
// package manager, and an hour of work.
const (
	DefaultMemoryBytes = 4 << 30
	DefaultCPUs        = 2
	DefaultPIDs        = 1024
	DefaultDiskBytes   = 8 << 30
	DefaultTimeout     = time.Hour
	// DefaultRequests is ten times what a package manager and an agent make in
	// an hour; DefaultEgressBytes is some thousand full contexts of a model.
	DefaultRequests    = 100_000
	DefaultEgressBytes = 4 << 30
	// DefaultTokens is as much as fits into DefaultEgressBytes, and far more than
	// agents take in an hour: who wants to bound a bill says how.
	DefaultTokens = 1_000_000_000
)
