package manifest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/policy"
)

// files writes NAME → front matter into a folder of bottles and gives it.
func files(t testing.TB, bottles map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bottles")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, yaml := range bottles {
		if err := os.WriteFile(filepath.Join(dir, name+".md"), []byte("---\n"+yaml+"\n---\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// merged reads the named bottles of dir and merges them.
func merged(t testing.TB, dir string, names ...string) manifest.Bottle {
	t.Helper()
	bottles, err := manifest.ReadBottles([]string{dir}, names)
	if err != nil {
		t.Fatal(err)
	}
	return manifest.Merge(bottles...)
}

// eachWay runs test on "over" laid over "base", by extends and by the order at
// launch: the rules are the same.
func eachWay(t *testing.T, base, over string, test func(*testing.T, manifest.Bottle)) {
	t.Helper()
	t.Run("extends", func(t *testing.T) {
		test(t, merged(t, files(t, map[string]string{"base": base, "over": "extends: base\n" + over}), "over"))
	})
	t.Run("launch", func(t *testing.T) {
		test(t, merged(t, files(t, map[string]string{"base": base, "over": over}), "base", "over"))
	})
}

func TestVariablesAreMergedAndTheLaterWins(t *testing.T) {
	eachWay(t, "env: {A: a, B: b}", "env: {B: \"${HOST}\", C: c}", func(t *testing.T, b manifest.Bottle) {
		want := []manifest.EnvEntry{{Name: "A", Literal: "a"}, {Name: "B", HostVar: "HOST"}, {Name: "C", Literal: "c"}}
		if !reflect.DeepEqual(b.Env, want) {
			t.Errorf("the variables are %+v", b.Env)
		}
	})
}

func TestASecretVariableMayBecomeALiteralAndIsNoSecretThen(t *testing.T) {
	eachWay(t, "env: {A: ?Token}", "env: {A: plain}", func(t *testing.T, b manifest.Bottle) {
		p, _, err := manifest.Resolve(b, environment())
		if want := []policy.EnvVar{{Name: "A", Value: "plain"}}; err != nil || !reflect.DeepEqual(p.Env, want) {
			t.Errorf("the variables are %v, %v", p.Env, err)
		}
	})
}

func hosts(b manifest.Bottle) string {
	var list []string
	for _, r := range b.Policy.Egress.Routes {
		list = append(list, r.Host)
	}
	return strings.Join(append(list, b.Presets...), " ")
}

func TestEgressIsReplacedWhole(t *testing.T) {
	const base = "egress:\n  presets: [npm]\n  routes:\n    - host: a.example\n      auth: {token_ref: \"env:A\"}\n    - host: b.example"
	for over, want := range map[string]string{
		"": "a.example b.example npm",
		"egress:\n  routes:\n    - host: c.example": "c.example",
		"egress: {routes: []}":                      "",
		"egress: {presets: [pypi]}":                 "pypi",
		"egress: {}":                                "",
	} {
		eachWay(t, base, over, func(t *testing.T, b manifest.Bottle) {
			if got := hosts(b); got != want || len(b.Routes) != len(b.Policy.Egress.Routes) {
				t.Errorf("%q: the routes are %q", over, got)
			}
		})
	}
}

// A token that the base had for its route must not go to the child's.
func TestAReplacedRouteTakesNoTokenOfTheOneBefore(t *testing.T) {
	eachWay(t, "egress:\n  routes:\n    - host: a.example\n      auth: {token_ref: \"env:A\"}", "egress:\n  routes:\n    - host: c.example",
		func(t *testing.T, b manifest.Bottle) {
			p, secrets, err := manifest.Resolve(b, environment("A", "t0ken"))
			if err != nil || len(secrets) != 0 || p.Egress.Routes[0].Auth != nil {
				t.Errorf("%v, %+v, %v", secrets, p.Egress.Routes, err)
			}
		})
}

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8Q0Qk0Ck8sWmY6ZNwZ0Y3M1V2n8sKX3fXo9q3w2a1b"

func repo(name string) string {
	return name + ": {url: git@forge.example:o/" + name + ".git, host_key: " + hostKey + ", key: {provider: static, path: /keys/" + name + "}}"
}

func TestReposAreReplacedWholeAndTheUserByField(t *testing.T) {
	base := "git-gate:\n  user: {name: Base, email: base@example.com}\n  repos:\n    " + repo("one") + "\n    " + repo("two")
	for over, want := range map[string]string{
		"":                                      "Base base@example.com one two",
		"git-gate: {user: {name: Over}}":        "Over base@example.com one two",
		"git-gate: {user: {email: \"\"}}":       "Base base@example.com one two",
		"git-gate: {repos: {}}":                 "Base base@example.com",
		"git-gate:\n  repos:\n    " + repo("x"): "Base base@example.com x",
	} {
		eachWay(t, base, over, func(t *testing.T, b manifest.Bottle) {
			got := []string{b.Git.User.Name, b.Git.User.Email}
			for _, r := range b.Git.Repos {
				got = append(got, r.Name)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%q: git is %q", over, got)
			}
		})
	}
}

func TestLimitsAreMergedOneByOne(t *testing.T) {
	eachWay(t, "limits: {memory: 2GiB, timeout: 30m, requests: 9, tokens: 7, cost: 9, best_effort: true}", "limits: {timeout: 5m, egress_bytes: 1MiB, cost: 1.5, best_effort: false}",
		func(t *testing.T, b manifest.Bottle) {
			want := policy.Limits{MemoryBytes: 2 << 30, Timeout: 5 * time.Minute, Requests: 9, EgressBytes: 1 << 20, Tokens: 7, Cost: 1_500_000}
			if b.Policy.Limits != want {
				t.Errorf("the limits are %+v", b.Policy.Limits)
			}
		})
}

func TestWhatALaterBottleLeavesOutIsKept(t *testing.T) {
	eachWay(t, "isolation: vm\nimage: {rootfs: /srv}\nsupervise: true\nagent_provider: {template: claude, auth_token: \"env:T\", allow: [web_search]}", "env: {A: a}",
		func(t *testing.T, b manifest.Bottle) {
			if b.Policy.Isolation != policy.IsolationVM || b.Policy.Image.Rootfs != "/srv" || !b.Supervise || b.Provider == nil || b.Provider.Token != "env:T" {
				t.Errorf("the bottle is %+v", b)
			}
		})
}

func TestWhatALaterBottleSaysIsTaken(t *testing.T) {
	eachWay(t, "isolation: vm\nimage: {rootfs: /srv}\nsupervise: true\nagent_provider: {template: claude, auth_token: \"env:T\", allow: [web_search]}",
		"isolation: container\nimage: host-tools\nsupervise: false\nagent_provider: {template: codex}",
		func(t *testing.T, b manifest.Bottle) {
			if b.Policy.Isolation != policy.IsolationContainer || b.Policy.Image.Rootfs != "" || b.Supervise || !reflect.DeepEqual(b.Provider, &manifest.Provider{Template: "codex"}) {
				t.Errorf("the bottle is %+v, %+v", b, b.Provider)
			}
		})
}

func TestThreeBottlesAreMergedInOrder(t *testing.T) {
	dir := files(t, map[string]string{
		"base": "env: {WHO: base, BASE: x}\nlimits: {cpus: 1}\negress: {presets: [npm]}",
		"dev":  "extends: base\nenv: {WHO: dev}\negress: {presets: [go]}",
		"ci":   "env: {WHO: ci}\nlimits: {timeout: 5m}",
		"docs": "env: {WHO: docs}\negress: {presets: [pypi]}",
	})
	for names, want := range map[string]string{
		"dev ci docs": "docs pypi base -> dev -> ci -> docs dev+ci+docs",
		"docs ci dev": "dev go docs -> ci -> base -> dev docs+ci+dev",
		"dev docs ci": "ci pypi base -> dev -> docs -> ci dev+docs+ci",
	} {
		b := merged(t, dir, strings.Fields(names)...)
		var who string
		for _, e := range b.Env {
			if e.Name == "WHO" {
				who = e.Literal
			}
		}
		got := strings.Join([]string{who, hosts(b), strings.Join(b.Lineage, " -> "), b.Name}, " ")
		if got != want || b.Policy.Limits != (policy.Limits{CPUs: 1, Timeout: 5 * time.Minute}) {
			t.Errorf("%s: %s, %+v", names, got, b.Policy.Limits)
		}
	}
}

func TestAFaultIsToldWhereItStandsAfterMerging(t *testing.T) {
	dir := files(t, map[string]string{
		"base": "env:\n  A: ${GONE}\n  B: ${LOST}",
		"over": "extends: base\nenv: {B: b}\negress:\n  routes:\n    - host: a.example\n      auth: {token_ref: \"env:T\"}\nsupervise: true\ngit-gate:\n  repos:\n    " + repo("r"),
	})
	_, _, err := manifest.Resolve(merged(t, dir, "over"), environment())
	want := `error: base.md:3: env.A: the host's environment has no variable "GONE"
       over.md:7: egress.routes[0].auth.token_ref: env:T: the environment has no variable "T"
       over.md:8: supervise: this build can't enforce questions to a human yet
       over.md:11: git-gate.repos.r.key.path: file:/keys/r: opening the secret's file: open /keys/r: no such file or directory
hint: set GONE in the environment of bot-bottle
hint: set T in the environment of bot-bottle
hint: remove the key; what isn't enforced must not look as if it were
hint: make /keys/r a regular file that the user of bot-bottle can read
`
	if got := explain(filepath.Join(dir, "x"), err); got != want {
		t.Errorf("it says\n%s", got)
	}
}

func TestBottlesThatCannotBeMerged(t *testing.T) {
	deep := map[string]string{"d00": ""}
	for i := 1; i < 20; i++ {
		deep[fmt.Sprintf("d%02d", i)] = fmt.Sprintf("extends: d%02d", i-1)
	}
	for _, c := range []struct {
		bottles map[string]string
		names   string
		want    string
	}{
		{map[string]string{"a": "extends: a"}, "a", "a.md:2: extends: bottle \"a\" extends itself\nhint: name another bottle, or remove the key"},
		{map[string]string{"a": "extends: b", "b": "extends: c", "c": "env: {}\nextends: a"}, "a", "c.md:3: extends: the bottles go in a circle: a extends b extends c extends a\nhint: remove one of these keys"},
		{map[string]string{"a": "extends: b", "b": "extends: gone"}, "a", "b.md:2: extends: there is no bottle \"gone\": a extends b extends gone\nhint: there are these: a, b"},
		{map[string]string{"aaaa": "extends: bbbx", "bbbb": ""}, "aaaa", "aaaa.md:2: extends: there is no bottle \"bbbx\": aaaa extends bbbx\nhint: did you mean \"bbbb\"?"},
		{map[string]string{"a": "extends: [b]"}, "a", "a.md:2: extends: it is a list, not text\nhint: give a single value"},
		{map[string]string{"a": "extends: 1"}, "a", "a.md:2: extends: it is a number, not text\nhint: put the value in quotes if it is meant as text"},
		{map[string]string{"a": "extends: ../b"}, "a", "a.md:2: extends: \"../b\" is not a name of lower-case letters, digits and hyphens"},
		{map[string]string{"a": "", "b": ""}, "a b a", "reading bottles: \"a\" is named twice: a -> b -> a\nhint: name each bottle once; the last that sets a key wins"},
		{deep, "d19", "d04.md:2: extends: more than 16 bottles extend each other: d19 extends"},
		{nil, strings.Repeat("a ", 17), "reading bottles: 17 are named, more than 16\nhint: write one that extends another"},
	} {
		dir := files(t, c.bottles)
		_, err := manifest.ReadBottles([]string{dir}, strings.Fields(c.names))
		if got := explain(filepath.Join(dir, "x"), err); !strings.HasPrefix(got, "error: "+c.want) {
			t.Errorf("%s:\n%s", c.names, got)
		}
	}
}

func TestABottleCannotExtendAnAgent(t *testing.T) {
	dir := files(t, map[string]string{"a": "extends: fixer"})
	agents := filepath.Join(filepath.Dir(dir), "agents")
	if err := os.Mkdir(agents, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(agents, "fixer.md"), []byte("---\n---\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := manifest.ReadBottles([]string{dir}, []string{"a"})
	if got := explain(filepath.Join(dir, "x"), err); !strings.Contains(got, `hint: "fixer" is an agent; a bottle can only extend a bottle`) {
		t.Errorf("it says\n%s", got)
	}
}

func TestBuiltInBottlesRunTheirCLIAndReachNothingElse(t *testing.T) {
	for _, name := range manifest.BuiltIn() {
		b := merged(t, files(t, nil), name)
		if b.Provider == nil || b.Provider.Template != name || len(b.Policy.Egress.Routes) != 0 || len(b.For) != 0 {
			t.Errorf("%s is %+v", name, b)
		}
	}
	dir := files(t, map[string]string{"mine": "extends: claude\nenv: {A: a}", "gemini": "isolation: vm"})
	if b := merged(t, dir, "mine"); b.Provider.Template != "claude" || strings.Join(b.Lineage, " ") != "claude mine" {
		t.Errorf("a bottle that builds on one is %+v", b)
	}
	if b := merged(t, dir, "gemini"); b.Provider != nil || b.Policy.Isolation != policy.IsolationVM {
		t.Errorf("the host's own bottle doesn't win: %+v", b)
	}
}

func TestTwoFilesThatDifferInCaseAloneAreRefused(t *testing.T) {
	dir := files(t, map[string]string{"dev": "", "Dev": ""})
	_, err := manifest.ReadBottles([]string{dir}, []string{"dev"})
	if got, want := explain(filepath.Join(dir, "x"), err), "error: Dev.md: its name differs from \"dev.md\" in case alone\nhint: rename or remove the file; names are in lower case\n"; got != want {
		t.Errorf("it says\n%s", got)
	}
}
