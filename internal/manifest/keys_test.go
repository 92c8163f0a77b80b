package manifest_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

func TestAWholeProvider(t *testing.T) {
	b := bottle(t, "agent_provider:\n  template: claude\n  auth_token: credential:claude\n  allow: [mcp_servers, web_search, \"beta:context-1m-2025-08-07\", \"field:cachedContent\"]")
	want := &manifest.Provider{Template: manifest.Claude, Token: "credential:claude", Allow: []string{"mcp_servers", "web_search", "beta:context-1m-2025-08-07", "field:cachedContent"}}
	if !reflect.DeepEqual(b.Provider, want) {
		t.Errorf("the provider is %+v", b.Provider)
	}
}

func TestWhatIsWrongInAProvider(t *testing.T) {
	const word = "\nhint: write a word such as web_search or mcp_servers, or beta:NAME"
	messages(t, manifest.Bottles, map[string]string{
		"agent_provider: claude":                  "error: dev.md:2: agent_provider: it is text, not keys and values\nhint: remove the quotes if there are any",
		"agent_provider: {}":                      "error: dev.md:2: agent_provider.template: it is missing",
		"agent_provider: {template: cladue}":      "error: dev.md:2: agent_provider.template: there is no provider \"cladue\"\nhint: did you mean \"claude\"?",
		"agent_provider: {template: Claude}":      "error: dev.md:2: agent_provider.template: there is no provider \"Claude\"\nhint: did you mean \"claude\"?",
		"agent_provider: {template: pi}":          "error: dev.md:2: agent_provider.template: there is no provider \"pi\"\nhint: write one of: claude, codex, gemini, command",
		"agent_provider: {template: 1}":           "error: dev.md:2: agent_provider.template: it is a number, not text\nhint: put the value in quotes if it is meant as text",
		"agent_provider: {auth_token: \"env:A\"}": "error: dev.md:2: agent_provider.template: it is missing",
		"agent_provider: {template: claude, auth_token: sk-ant-hunter2}": "error: dev.md:2: agent_provider.auth_token: reading a secret's reference: it is none of env:NAME, file:/path, credential:NAME\n" +
			"hint: write env:NAME, file:/path or credential:NAME; a token itself must not stand in a bottle",
		"agent_provider: {template: codex, forward_host_credentials: true}": "error: dev.md:2: agent_provider.forward_host_credentials: this key can't stand here\n" +
			"hint: write `auth_token:` with a reference to the credential: env:NAME, file:/path or credential:NAME",
		"agent_provider: {template: claude, allow: web_search}":   "error: dev.md:2: agent_provider.allow: it is text, not a list\nhint: remove the quotes if there are any",
		"agent_provider: {template: claude, allow: [Web-Search]}": "error: dev.md:2: agent_provider.allow[0]: \"Web-Search\" is nothing that can be allowed" + word,
		"agent_provider: {template: claude, allow: [\"beta:\"]}":  "error: dev.md:2: agent_provider.allow[0]: \"beta:\" is nothing that can be allowed" + word,
		"agent_provider: {template: claude, allow: [\"*\"]}":      "error: dev.md:2: agent_provider.allow[0]: \"*\" is nothing that can be allowed" + word,
		"agent_provider: {template: command, allow: [files]}":     "error: dev.md:2: agent_provider: template \"command\" has no credential and no model\nhint: give the command its credential by a route's `auth`",
	})
}

func TestAWholeGitGate(t *testing.T) {
	b := bottle(t, "git-gate:\n  user: {name: Fixer Bot, email: fixer@example.com}\n  repos:\n    "+repo("web")+
		"\n    lib.x: {url: \"ssh://git@forge.example:2222/o/lib.git\", host_key: "+hostKey+", key: {provider: gitea, server: \"https://forge.example\"}, host_workflows: [.gitea/workflows/ci.yml, \".github/workflows/b c.yaml\"]}")
	want := manifest.Git{
		User: manifest.GitUser{Name: "Fixer Bot", Email: "fixer@example.com"},
		Repos: []manifest.GitRepo{
			{Name: "web", URL: "git@forge.example:o/web.git", HostKey: hostKey, Key: manifest.GitKey{Provider: "static", Path: "/keys/web"}, Push: []string{policy.DefaultPush}},
			{Name: "lib.x", URL: "ssh://git@forge.example:2222/o/lib.git", HostKey: hostKey, Key: manifest.GitKey{Provider: "gitea", Server: "https://forge.example"}, Push: []string{policy.DefaultPush}, HostWorkflows: []string{".gitea/workflows/ci.yml", ".github/workflows/b c.yaml"}},
		},
	}
	if !reflect.DeepEqual(b.Git, want) {
		t.Errorf("git is %+v", b.Git)
	}
}

func TestWhatIsWrongInTheGitGate(t *testing.T) {
	const identity = "\nhint: write one line without < and >"
	const moved = ": this key can't stand here\nhint: "
	messages(t, manifest.Bottles, map[string]string{
		"git: {remotes: {}}":                          "error: dev.md:2: git" + moved + "write `git-gate: {repos: …}`",
		"git_user: {name: a}":                         "error: dev.md:2: git_user" + moved + "write `git-gate: {user: {name: …, email: …}}`",
		"ssh: {}":                                     "error: dev.md:2: ssh" + moved + "write `git-gate: {repos: …}`, each with its `key` and `host_key`",
		"runtime: runsc":                              "error: dev.md:2: runtime" + moved + "write `isolation: vm`, `gvisor` or `container`",
		"git-gate: {remotes: {}}":                     "error: dev.md:2: git-gate.remotes" + moved + "write `repos`",
		"git-gate: {user: {nam: a}}":                  "error: dev.md:2: git-gate.user.nam: unknown key\nhint: did you mean \"name\"?",
		"git-gate: {user: {name: \"a\\nb\"}}":         "error: dev.md:2: git-gate.user.name: \"a\\nb\" is no name or address that git can keep" + identity,
		"git-gate: {user: {email: \"a\\r[core]\"}}":   "error: dev.md:2: git-gate.user.email: \"a\\r[core]\" is no name or address that git can keep" + identity,
		"git-gate: {user: {name: \"A <root@host>\"}}": "error: dev.md:2: git-gate.user.name: \"A <root@host>\" is no name or address that git can keep" + identity,
		"git-gate: {user: {name: [a]}}":               "error: dev.md:2: git-gate.user.name: it is a list, not text\nhint: give a single value",
		"git-gate: {repos: [a]}":                      "error: dev.md:2: git-gate.repos: it is a list, not keys and values\nhint: give a single value",
	})
	for field, want := range map[string]string{
		"url: https://forge.example/o/r":                                   "url: \"https://forge.example/o/r\" is not an SSH URL",
		"url: \"ssh://git:pw@forge.example/o/r\"":                          "url: the URL holds a password",
		"url: \"-oProxyCommand=x@h:p\"":                                    "url: \"-oProxyCommand=x@h:p\" is not an SSH URL with user, host and path",
		"url: \"git@-oProxyCommand=x:p\"":                                  "url: \"git@-oProxyCommand=x:p\" is not an SSH URL with user, host and path",
		"url: \"git@host:-x\"":                                             "url: \"git@host:-x\" is not an SSH URL with user, host and path",
		"url: \"git@host\"":                                                "url: \"git@host\" is not an SSH URL with user, host and path",
		"url: \"git@host:a b\"":                                            "url: \"git@host:a b\" is not an SSH URL with user, host and path",
		"url: \"ssh://git@host/$(id)\"":                                    "url: \"ssh://git@host/$(id)\" is not an SSH URL with user, host and path",
		"key: {provider: static}":                                          "key: a static key has a path and nothing else",
		"key: {provider: static, path: k}":                                 "key.path: \"k\" is not an absolute path",
		"key: {provider: gitea, path: /k}":                                 "key: a key of the forge has no path",
		"key: {provider: gitea, forge_token: env:T}":                       "key.forge_token: this key can't stand here",
		"key: {provider: gitea, server: gitea.example}":                    "key.server: it is not the URL of a server",
		"key: {provider: gitlab, path: /k}":                                "key.provider: there is no provider of keys \"gitlab\"",
		"key: {provider: gitea, forge_token_env: T}":                       "key.forge_token_env: this key can't stand here",
		"key: {path: /k}":                                                  "key.provider: it is missing",
		"host_key: forge.example":                                          "host_key: \"forge.example\" is not an SSH host key: a type and base64",
		"host_key: ssh-rsa " + strings.Fields(hostKey)[1]:                  "host_key: \"ssh-rsa AAAA",
		"host_workflows: .gitea/workflows/ci.yml":                          "host_workflows: it is text, not a list",
		"host_workflows: [ci.yml]":                                         "host_workflows[0]: \"ci.yml\" is not where a forge looks for workflows",
		"host_workflows: [\".gitea/workflows/*.yml\"]":                     "host_workflows[0]: \".gitea/workflows/*.yml\" is not the path of one file",
		"host_workflows: [.gitea/workflows/../a.yml]":                      "host_workflows[0]: \".gitea/workflows/../a.yml\" is not the path of one file",
		"host_workflows: [.gitea/workflows/a.yml, .gitea/workflows/a.yml]": "host_workflows[1]: \".gitea/workflows/a.yml\" is there twice",
		"host_workflows: [1]":                                              "host_workflows[0]: ",
		"identity: /k":                                                     "identity: this key can't stand here",
		"ExtraHosts: {}":                                                   "ExtraHosts: this key can't stand here",
	} {
		path := write(t, manifest.Bottles, "dev", "git-gate:\n  repos:\n    r: {"+field+"}")
		_, err := manifest.LoadBottle(path)
		if got := explain(path, err); !strings.Contains(got, "dev.md:4: git-gate.repos.r."+want) {
			t.Errorf("%s:\n%s", field, got)
		}
	}
	for _, name := range []string{"..", ".git", "a/b", "-x", "a.git", "a b", "\"\""} {
		_, err := manifest.LoadBottle(write(t, manifest.Bottles, "dev", "git-gate:\n  repos:\n    "+repo(name)))
		if err == nil || !strings.Contains(err.Error(), "is not a repository's name") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestTheGitUserReachesTheGuestUnlessTheBottleSaysOtherwise(t *testing.T) {
	b := bottle(t, "git-gate: {user: {name: Base, email: b@example.com}}\nenv: {GIT_COMMITTER_NAME: Mine}")
	p, _, err := manifest.Resolve(b.WithUser(manifest.GitUser{Name: "Agent"}), environment())
	want := []policy.EnvVar{
		{Name: "GIT_AUTHOR_EMAIL", Value: "b@example.com"}, {Name: "GIT_AUTHOR_NAME", Value: "Agent"},
		{Name: "GIT_COMMITTER_EMAIL", Value: "b@example.com"}, {Name: "GIT_COMMITTER_NAME", Value: "Mine"},
	}
	if err != nil || !reflect.DeepEqual(p.Env, want) {
		t.Errorf("the variables are %v, %v", p.Env, err)
	}
}

func TestASecretIsAskedForOnlyWhenNothingElseIsWrong(t *testing.T) {
	b := bottle(t, "env: {B: \"?Your token \", A: \"?\", GONE: \"${GONE}\"}")
	var asked []string
	host := environment("GONE", "x")
	host.Ask = func(name, prompt string) (secret.Value, error) {
		asked = append(asked, name+":"+prompt)
		return secret.New(name, "hunter2"), nil
	}
	p, _, err := manifest.Resolve(b, host)
	if err != nil || !slices.Equal(asked, []string{"B:Your token", "A:"}) || !reflect.DeepEqual(p.Env[0], policy.EnvVar{Name: "A", Value: "hunter2", Secret: true}) {
		t.Errorf("asked %q, %v", asked, err)
	}
	asked, host.Lookup = nil, environment().Lookup
	if _, _, err := manifest.Resolve(b, host); err == nil || len(asked) != 0 {
		t.Errorf("asked %q, %v", asked, err)
	}
}

func TestWithoutATerminalAQuestionIsAnError(t *testing.T) {
	b := bottle(t, "env: {TOKEN: ?Your token}")
	_, _, err := manifest.Resolve(b, environment())
	want := "error: dev.md:2: env.TOKEN: the value is asked for, and there is no terminal to ask on\n" +
		"hint: run it from a terminal, or take the value from the host: `TOKEN: ${NAME}`\n"
	if got := explain(b.Path, err); got != want {
		t.Errorf("it says\n%s", got)
	}
	host := environment()
	host.Ask = func(string, string) (secret.Value, error) { return secret.Value{}, errors.New("hung up") }
	if _, _, err := manifest.Resolve(b, host); err == nil || !strings.Contains(err.Error(), "env.TOKEN: asking for the value: hung up") {
		t.Errorf("the error is %v", err)
	}
}

func TestAPromptIsOneLine(t *testing.T) {
	for _, prompt := range []string{"a\\nb", "\\x1b[2J", strings.Repeat("x", 300)} {
		if _, err := manifest.LoadBottle(write(t, manifest.Bottles, "dev", "env: {A: \"?"+prompt+"\"}")); err == nil || !strings.Contains(err.Error(), "a prompt is one line") {
			t.Errorf("%q: %v", prompt, err)
		}
	}
}

func TestWhatIsWrongInPresets(t *testing.T) {
	messages(t, manifest.Bottles, map[string]string{
		"egress: {presets: npm}":        "error: dev.md:2: egress.presets: it is text, not a list\nhint: remove the quotes if there are any",
		"egress: {presets: [nmp]}":      "error: dev.md:2: egress.presets[0]: there is no preset \"nmp\"\nhint: there are: npm, pypi, go, crates, debian",
		"egress: {presets: [crate]}":    "error: dev.md:2: egress.presets[0]: there is no preset \"crate\"\nhint: did you mean \"crates\"?",
		"egress: {presets: [npm, npm]}": "error: dev.md:2: egress.presets[1]: \"npm\" stands here twice",
	})
}

// What the package managers ask for, and what their registries have besides.
func TestPresetsReadPackagesAndNothingElse(t *testing.T) {
	p, _, err := manifest.Resolve(bottle(t, "egress: {presets: ["+strings.Join(manifest.PresetNames(), ", ")+"]}"), environment())
	if err != nil {
		t.Fatal(err)
	}
	m, err := policy.NewMatcher(p.Egress)
	if err != nil {
		t.Fatal(err)
	}
	judge := func(method, url string) bool {
		scheme, rest, _ := strings.Cut(url, "://")
		name, path, _ := strings.Cut(rest, "/")
		host, err := policy.CanonicalHost(name)
		if err != nil {
			t.Fatal(err)
		}
		canonical, err := policy.CanonicalPath("/" + path)
		if err != nil {
			t.Fatal(err)
		}
		port := uint16(443)
		if scheme == "http" {
			port = 80
		}
		return m.Judge(policy.Request{Method: method, Scheme: scheme, Host: host, Port: port, Path: canonical}).Allowed
	}
	for _, url := range []string{
		"https://registry.npmjs.org/express", "https://registry.npmjs.org/@scope%2fname", "https://registry.npmjs.org/@scope/name",
		"https://registry.npmjs.org/express/-/express-4.18.2.tgz", "https://registry.npmjs.org/@babel/core/-/core-7.0.0.tgz", "https://registry.npmjs.org/express/latest",
		"https://pypi.org/simple/requests/", "https://pypi.org/simple/", "https://pypi.org/pypi/requests/json", "https://pypi.org/pypi/requests/2.31.0/json",
		"https://files.pythonhosted.org/packages/ab/cd/requests-2.31.0-py3-none-any.whl",
		"https://proxy.golang.org/github.com/!burnt!sushi/toml/@v/list", "https://proxy.golang.org/golang.org/x/net/@v/v0.1.0.zip", "https://proxy.golang.org/golang.org/x/net/@latest",
		"https://proxy.golang.org/sumdb/sum.golang.org/lookup/golang.org/x/net@v0.1.0", "https://sum.golang.org/lookup/golang.org/x/net@v0.1.0", "https://sum.golang.org/tile/8/0/x001/002",
		"https://index.crates.io/config.json", "https://index.crates.io/se/rd/serde", "https://index.crates.io/1/a", "https://index.crates.io/3/s/syn", "https://static.crates.io/crates/serde/serde-1.0.0.crate",
		"http://deb.debian.org/debian/dists/stable/InRelease", "https://deb.debian.org/debian/pool/main/c/curl/curl_8.deb", "http://security.debian.org/debian-security/dists/stable-security/InRelease",
	} {
		if !judge("GET", url) || !judge("HEAD", url) {
			t.Errorf("%s can't be read", url)
		}
		if judge("POST", url) || judge("PUT", url) || judge("DELETE", url) {
			t.Errorf("%s can be written", url)
		}
	}
	for _, url := range []string{
		"https://registry.npmjs.org/", "https://registry.npmjs.org/-/whoami", "https://registry.npmjs.org/-/npm/v1/tokens", "https://registry.npmjs.org/-/v1/search",
		"http://registry.npmjs.org/express", "https://pypi.org/legacy/", "https://pypi.org/", "https://upload.pypi.org/legacy/", "https://proxy.golang.org/x",
		"https://crates.io/api/v1/me", "https://static.crates.io/", "https://deb.debian.org/", "https://www.debian.org/debian/x",
	} {
		if judge("GET", url) {
			t.Errorf("%s can be read", url)
		}
	}
}

func TestAPresetComesBehindTheBottlesOwnRoutes(t *testing.T) {
	p, _, err := manifest.Resolve(bottle(t, "egress:\n  presets: [pypi]\n  routes:\n    - host: pypi.org\n      matches: [{path: {value: /own}}]"), environment())
	if err != nil || len(p.Egress.Routes) != 3 || p.Egress.Routes[0].Matches[0].Path.Value != "/own" {
		t.Errorf("the routes are %+v, %v", p.Egress.Routes, err)
	}
}
