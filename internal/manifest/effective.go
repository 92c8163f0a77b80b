package manifest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

// Effective is a merged bottle as it holds, under the keys of a bottle file, so
// that it can be put into one: limits and presets written out, references in
// place of values. It is for people and programs to read.
type Effective struct {
	For       any               `json:"for,omitempty"` // one mapping, or a list of them where several bottles were named
	Isolation policy.Isolation  `json:"isolation"`
	Image     any               `json:"image"`
	Env       map[string]string `json:"env,omitempty"`
	Provider  *shownProvider    `json:"agent_provider,omitempty"`
	Egress    shownEgress       `json:"egress"`
	Git       *shownGit         `json:"git-gate,omitempty"`
	Supervise bool              `json:"supervise"`
	Limits    shownLimits       `json:"limits"`
}

type shownFor struct {
	Repositories []string `json:"repositories"`
	Events       []string `json:"events,omitempty"`
	Refs         []string `json:"refs,omitempty"`
}

type shownProvider struct {
	Template string     `json:"template"`
	Token    secret.Ref `json:"auth_token,omitempty"`
	Allow    []string   `json:"allow,omitempty"`
}

type shownEgress struct {
	Routes []ShownRoute `json:"routes"`
}

// ShownRoute is a route under the keys of a bottle file.
type ShownRoute struct {
	Host        string       `json:"host"`
	Port        uint16       `json:"port"`
	Matches     []shownMatch `json:"matches,omitempty"`
	Auth        *shownAuth   `json:"auth,omitempty"`
	Credentials []string     `json:"credentials,omitempty"`
	Addresses   []string     `json:"addresses,omitempty"`
	ConnectTo   string       `json:"connect_to,omitempty"`
	DLP         *shownDLP    `json:"dlp,omitempty"`
	CAFile      string       `json:"ca_file,omitempty"`
}

type shownDLP struct {
	Detectors any    `json:"outbound_detectors,omitempty"` // a list, or false
	Inbound   any    `json:"inbound_detectors,omitempty"`  // false, or nil for the usual one
	OnMatch   string `json:"outbound_on_match,omitempty"`
}

type shownMatch struct {
	Path    *policy.PathMatch    `json:"path,omitempty"`
	Methods []string             `json:"methods,omitempty"`
	Headers []policy.HeaderMatch `json:"headers,omitempty"`
}

type shownAuth struct {
	Scheme   string `json:"scheme,omitempty"`
	Header   string `json:"header,omitempty"`
	TokenRef string `json:"token_ref"`
}

type shownGit struct {
	User  *shownUser           `json:"user,omitempty"`
	Repos map[string]shownRepo `json:"repos,omitempty"`
}

type shownUser struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
}

type shownRepo struct {
	URL       string   `json:"url,omitempty"`
	Key       shownKey `json:"key"`
	HostKey   string   `json:"host_key,omitempty"`
	Push      []string `json:"push"`
	Protected []string `json:"protected,omitempty"`
	MaxPush   string   `json:"max_push,omitempty"`

	HostWorkflows []string `json:"host_workflows,omitempty"`
}

type shownKey struct {
	Provider string `json:"provider"`
	Path     string `json:"path,omitempty"`
	Server   string `json:"server,omitempty"`
}

type shownLimits struct {
	Memory      string `json:"memory"`
	CPUs        int    `json:"cpus"`
	PIDs        int    `json:"pids"`
	Disk        string `json:"disk"`
	Timeout     string `json:"timeout"`
	Requests    int64  `json:"requests"`
	EgressBytes string `json:"egress_bytes"`
	Tokens      int64  `json:"tokens"`
	Cost        string `json:"cost,omitempty"`
	BestEffort  bool   `json:"best_effort"`
}

// Effective gives b as it holds. Nothing of the host is read.
func (b Bottle) Effective() Effective {
	p := b.withPresets()
	e := Effective{Isolation: p.Isolation, Image: showImage(p.Image), Env: b.shownEnv(), Supervise: b.Supervise, Limits: showLimits(p.Limits), For: b.shownFor(), Git: b.Git.show()}
	if b.Provider != nil {
		e.Provider = &shownProvider{b.Provider.Template, b.Provider.Token, b.Provider.Allow}
	}
	e.Egress.Routes = ShowRoutes(p.Egress.Routes)
	for i, refs := range b.Routes {
		e.Egress.Routes[i].CAFile = refs.CAFile
	}
	return e
}

func (b Bottle) shownFor() any {
	var all []shownFor
	for _, f := range b.For {
		all = append(all, shownFor(f))
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return all
}

func (b Bottle) shownEnv() map[string]string {
	env := map[string]string{}
	for _, e := range b.Env {
		switch {
		case e.Ask:
			env[e.Name] = "?" + e.Prompt
		case e.HostVar != "":
			env[e.Name] = "${" + e.HostVar + "}"
		default:
			env[e.Name] = e.Literal
		}
	}
	return env
}

// ShowRoutes gives routes under the keys of a bottle, a provider's too.
func ShowRoutes(routes []policy.Route) []ShownRoute {
	shown := make([]ShownRoute, 0, len(routes))
	for _, r := range routes {
		s := ShownRoute{Host: r.Host, Port: r.Port, Credentials: r.Credentials, ConnectTo: r.ConnectTo}
		for _, m := range r.Matches {
			s.Matches = append(s.Matches, shownMatch(m))
		}
		for _, a := range r.Addresses {
			s.Addresses = append(s.Addresses, a.String())
		}
		if r.Auth != nil {
			s.Auth = &shownAuth{r.Auth.Scheme, r.Auth.Header, r.Auth.TokenName}
		}
		s.DLP = showDLP(r)
		shown = append(shown, s)
	}
	return shown
}

func showDLP(r policy.Route) *shownDLP {
	if r.DLP == nil {
		return nil
	}
	shown := &shownDLP{OnMatch: r.DLP.OnMatch}
	used := slices.DeleteFunc(slices.Clone(policy.Detectors), func(d string) bool { return !r.Uses(d) })
	if r.WarnsOfEntropy() {
		used = append(used, policy.DetectorEntropy)
	}
	switch {
	case len(used) == 0:
		shown.Detectors = false
	case !slices.Equal(used, policy.Detectors):
		shown.Detectors = used
	}
	if !r.Uses(policy.DetectorInjection) {
		shown.Inbound = false
	}
	return shown
}

func (g Git) show() *shownGit {
	if g.User == (GitUser{}) && len(g.Repos) == 0 {
		return nil
	}
	s := &shownGit{}
	if g.User != (GitUser{}) {
		s.User = &shownUser{g.User.Name, g.User.Email}
	}
	for _, r := range g.Repos {
		if s.Repos == nil {
			s.Repos = map[string]shownRepo{}
		}
		shown := shownRepo{r.URL, shownKey{r.Key.Provider, r.Key.Path, r.Key.Server}, r.HostKey, r.Push, r.Protected, "", r.HostWorkflows}
		if r.MaxPush > 0 {
			shown.MaxPush = showSize(r.MaxPush)
		}
		s.Repos[r.Name] = shown
	}
	return s
}

func showLimits(l policy.Limits) shownLimits {
	shown := shownLimits{
		Memory: showSize(l.MemoryBytes), CPUs: l.CPUs, PIDs: l.PIDs, Disk: showSize(l.DiskBytes), Timeout: l.Timeout.String(),
		Requests: l.Requests, EgressBytes: showSize(l.EgressBytes), Tokens: l.Tokens, BestEffort: l.BestEffort,
	}
	if l.Cost > 0 {
		shown.Cost = showMoney(l.Cost)
	}
	return shown
}

// showSize writes a size so that parseSize reads the same, in the largest unit
// that divides it.
func showSize(bytes int64) string {
	best := ""
	var unit int64
	for _, u := range units {
		if bytes%u.bytes == 0 && u.bytes > unit {
			best, unit = strconv.FormatInt(bytes/u.bytes, 10)+u.name, u.bytes
		}
	}
	if best == "" { // no bottle can say it
		return fmt.Sprintf("%d bytes", bytes)
	}
	return best
}

// SecretNames lists what of a bottle are secrets, by name and never by value:
// the variables that enter the guest, sorted, and the references of the tokens
// that doors add.
func (b Bottle) SecretNames() (entering []string, added []secret.Ref) {
	for _, e := range b.Env {
		if e.Ask || e.HostVar != "" {
			entering = append(entering, e.Name)
		}
	}
	for _, r := range b.Routes {
		if r.Token != "" && !slices.Contains(added, r.Token) {
			added = append(added, r.Token)
		}
	}
	slices.Sort(entering)
	slices.Sort(added)
	return entering, added
}

// YAML renders what encoding/json can render, keys in the same order.
func YAML(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("rendering YAML: %w", err)
	}
	out, err := yaml.JSONToYAML(b)
	if err != nil {
		return "", fmt.Errorf("rendering YAML: %w", err)
	}
	return strings.TrimLeft(string(out), "\n"), nil
}
