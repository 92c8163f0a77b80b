package manifest

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/bot-bottle/action/internal/gitpath"
	"github.com/bot-bottle/action/internal/policy"
)

// Git is a bottle's `git-gate`.
type Git struct {
	User  GitUser
	Repos []GitRepo // in the order of the file
}

// GitUser is who the agent's commits are by. An empty field is not set.
type GitUser struct{ Name, Email string }

// GitRepo is one remote that the guest may reach through the git-gate.
type GitRepo struct {
	Name    string // of the mirror that the guest sees
	URL     string // ssh://user@host[:port]/path, or user@host:path
	Key     GitKey
	HostKey string // pins the server: "TYPE BASE64"
	// Push are the refs that may be made or moved forward; empty: none.
	Push      []string
	Protected []string // patterns of paths that a push may change although a forge would run them
	MaxPush   int64    // bytes of one push; 0: the gate's default
	// HostWorkflows are the paths of workflow files that may run on the host what is
	// pushed.
	HostWorkflows []string
}

// KeyName is under which the key of a remote stands among the secrets.
func (r GitRepo) KeyName() string { return "git-gate.repos." + r.Name + ".key" }

// remote gives the repository as the policy has it.
func (r GitRepo) remote() policy.GitRemote {
	g := policy.GitRemote{Name: r.Name, URL: r.URL, HostKey: r.HostKey, Push: r.Push, Protected: r.Protected, MaxBytes: r.MaxPush, KeyName: r.KeyName()}
	g.HostWorkflows = r.HostWorkflows
	if r.Key.Provider != keyStatic {
		g.Forge, g.Server = r.Key.Provider, r.Key.Server
	}
	return g
}

// GitKey says with which key the remote is reached.
type GitKey struct {
	Provider string // "static", or the forge that makes a key for each run: "gitea", "github"
	Path     string // of a static key, on the host; absolute
	// Server is the forge's address, for whose credential the host's configuration is
	// asked; empty: https and the host of the URL.
	Server string
}

// Providers of keys.
const (
	keyStatic = "static"
	keyGitea  = "gitea"
	keyGitHub = "github"
)

func (r *reader) gitGate(n ast.Node, at string) Git {
	var g Git
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"user":  func(n ast.Node, at string) { g.User = r.gitUser(n, at) },
			"repos": func(n ast.Node, at string) { g.Repos = r.gitRepos(n, at) },
		},
		moved: map[string]string{"remotes": "write `repos`"},
	})
	return g
}

// agentGit takes of `git-gate` what an agent may set.
func (r *reader) agentGit(n ast.Node, at string) GitUser {
	var u GitUser
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"user": func(n ast.Node, at string) { u = r.gitUser(n, at) },
		},
		moved: map[string]string{"repos": "move it to a bottle: an agent may come from a repository and grants nothing"},
	})
	return u
}

func (r *reader) gitUser(n ast.Node, at string) GitUser {
	var u GitUser
	r.mapping(n, at, schema{fields: map[string]func(ast.Node, string){
		"name":  func(n ast.Node, at string) { u.Name = r.identity(n, at) },
		"email": func(n ast.Node, at string) { u.Email = r.identity(n, at) },
	}})
	return u
}

// maxIdentity bounds a name or address of git's, of which commits are full.
const maxIdentity = 200

// identity takes what git takes without changing it: a line break would begin
// another key of a config file, and angle brackets end a name (git-commit(1)).
func (r *reader) identity(n ast.Node, at string) string {
	text, ok := r.text(n, at)
	if ok && (len(text) > maxIdentity || hasControl(text) || strings.ContainsAny(text, "<>") || strings.TrimSpace(text) != text) {
		r.at(at, "write one line without < and >", fmt.Errorf("%.80q is no name or address that git can keep", text))
	}
	return text
}

func (r *reader) gitRepos(n ast.Node, at string) []GitRepo {
	var repos []GitRepo
	r.eachPair(n, at, func(name string, _ int, value ast.Node, key string) {
		if err := checkRepoName(name); err != nil {
			r.at(key, "", err)
		}
		repo := GitRepo{Name: name, Push: []string{policy.DefaultPush}}
		r.mapping(value, key, repo.schema(r))
		repos = append(repos, repo)
	})
	return repos
}

// schema is what the repository's mapping may have. Where that of the job is and what
// pins its server, the host knows.
func (repo *GitRepo) schema(r *reader) schema {
	s := schema{
		fields: map[string]func(ast.Node, string){
			"url":       func(n ast.Node, at string) { repo.URL = r.sshURL(n, at) },
			"key":       func(n ast.Node, at string) { repo.Key = r.gitKey(n, at) },
			"host_key":  func(n ast.Node, at string) { repo.HostKey = r.hostKey(n, at) },
			"push":      func(n ast.Node, at string) { repo.Push = r.pushRefs(n, at) },
			"protected": func(n ast.Node, at string) { repo.Protected = r.protected(n, at) },
			"max_push":  func(n ast.Node, at string) { repo.MaxPush = r.size(n, at) },

			"host_workflows": func(n ast.Node, at string) { repo.HostWorkflows = r.hostWorkflows(n, at) },
		},
		moved: map[string]string{
			"identity":   "write `key: {provider: static, path: /the/key}`",
			"ExtraHosts": "make the name known to the host itself",
		},
		required: []string{"url", "key", "host_key"},
	}
	if repo.Name == policy.SelfRemote {
		delete(s.fields, "url")
		s.moved["url"] = "call the repository something else: `" + policy.SelfRemote + "` is that of the job"
		s.required = []string{"key"}
	}
	return s
}

func checkRepoName(name string) error {
	foreign := func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("._-", c))
	}
	if name == "" || len(name) > maxName || strings.ContainsAny(name[:1], ".-") || strings.ContainsFunc(name, foreign) || strings.HasSuffix(name, ".git") {
		return fmt.Errorf("%.80q is not a repository's name of letters, digits, dots, underscores and hyphens", name)
	}
	return nil
}

// refForm is a branch or a tag; "{run}" stands for the run's id, and "/*" at the end
// for all below.
var refForm = regexp.MustCompile(`^refs/(heads|tags)/([0-9A-Za-z_{][0-9A-Za-z._{}-]*/)*([0-9A-Za-z_{][0-9A-Za-z._{}-]*|\*)$`)

func (r *reader) pushRefs(n ast.Node, at string) []string {
	refs := []string{}
	r.list(n, at, func(n ast.Node, at string) {
		ref, ok := r.text(n, at)
		plain := strings.ReplaceAll(ref, policy.RunPlaceholder, "")
		if ok && (!refForm.MatchString(ref) || strings.Contains(ref, "..") || strings.HasSuffix(ref, ".lock") || strings.ContainsAny(plain, "{}") || len(ref) > maxPattern) {
			r.at(at, "write refs/heads/NAME or refs/tags/NAME, with {run} for the run's id, or /* at the end", fmt.Errorf("%.80q is no ref that can be pushed", ref))
		}
		refs = append(refs, ref)
	})
	return refs
}

func (r *reader) protected(n ast.Node, at string) []string {
	var patterns []string
	r.list(n, at, func(n ast.Node, at string) {
		pattern, ok := r.text(n, at)
		if _, err := gitpath.CompileGlob(pattern); ok && (err != nil || len(pattern) > maxPattern) {
			r.at(at, "write a path from the top, such as .github/workflows/docs.yml", fmt.Errorf("%.80q is no pattern of a path", pattern))
		}
		patterns = append(patterns, pattern)
	})
	return patterns
}

func (r *reader) sshURL(n ast.Node, at string) string {
	text, ok := r.text(n, at)
	if !ok {
		return ""
	}
	if err := checkSSH(text); err != nil {
		r.at(at, "write ssh://git@host/owner/name.git or git@host:owner/name.git", err)
	}
	return text
}

// checkSSH takes the two forms of git-clone(1), "GIT URLS", without what ssh
// would take for an option.
func checkSSH(text string) error {
	user, host, path := "", "", ""
	if strings.Contains(text, "://") {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "ssh" || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("%.200q is not an SSH URL", text)
		}
		if _, set := u.User.Password(); set {
			return errors.New("the URL holds a password")
		}
		user, host, path = u.User.Username(), u.Hostname(), u.Path
	} else {
		address, rest, _ := strings.Cut(text, ":")
		user, host, _ = strings.Cut(address, "@")
		path = rest
	}
	for _, part := range []string{user, host, strings.Trim(path, "/")} {
		if part == "" || part[0] == '-' || len(part) > maxPattern || hasControl(part) || strings.ContainsAny(part, " '\"\\$`") {
			return fmt.Errorf("%.200q is not an SSH URL with user, host and path", text)
		}
	}
	return nil
}

func (r *reader) gitKey(n ast.Node, at string) GitKey {
	var k GitKey
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"provider": func(n ast.Node, at string) { k.Provider, _ = r.text(n, at) },
			"path":     func(n ast.Node, at string) { k.Path = r.absolute(n, at) },
			"server":   func(n ast.Node, at string) { k.Server = r.server(n, at) },
		},
		moved:    map[string]string{"forge_token_env": hostsCredential, "forge_token": hostsCredential},
		required: []string{"provider"},
	})
	if !r.places[at].isZero() {
		r.checkKey(k, at)
	}
	return k
}

func (p place) isZero() bool { return p == place{} }

// hostsCredential is a hint.
const hostsCredential = "name the forge's token in " + HostFolder + "/config.yaml under `forges`: a bottle doesn't"

func (r *reader) checkKey(k GitKey, at string) {
	static := k.Provider == keyStatic
	switch {
	case k.Provider == "": // told already
	case !static && k.Provider != keyGitea && k.Provider != keyGitHub:
		r.at(at+".provider", "write static, gitea or github", fmt.Errorf("there is no provider of keys %.80q", k.Provider))
	case static && (!r.has(at+".path") || r.has(at+".server")):
		r.at(at, "write `key: {provider: static, path: /the/key}`", errors.New("a static key has a path and nothing else"))
	case !static && r.has(at+".path"):
		r.at(at, "write `key: {provider: "+k.Provider+"}`", errors.New("a key of the forge has no path"))
	}
}

func (r *reader) has(key string) bool {
	_, ok := r.places[key]
	return ok
}

// hostKey reads "TYPE BASE64", as a line of known_hosts has it behind the names.
func (r *reader) hostKey(n ast.Node, at string) string {
	text, ok := r.text(n, at)
	if !ok {
		return ""
	}
	if err := checkHostKey(text); err != nil {
		r.at(at, "print it with `bot-bottle hostkey HOST` and compare it with what the server's owner publishes", err)
	}
	return text
}

// checkHostKey compares the type with the one that the key itself begins with
// (RFC 4253, section 6.6).
func checkHostKey(text string) error {
	kind, encoded, _ := strings.Cut(text, " ")
	blob, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(blob) < 4 || len(text) > maxFrontMatter {
		return fmt.Errorf("%.80q is not an SSH host key: a type and base64", text)
	}
	length := binary.BigEndian.Uint32(blob)
	if int64(length) > int64(len(blob)-4) || string(blob[4:4+length]) != kind {
		return fmt.Errorf("%.80q is not an SSH host key: the key isn't of its type", text)
	}
	return nil
}
