package manifest_test

import (
	"encoding/json"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/policy"
)

const whole = `isolation: vm
image: {rootfs: /srv/rootfs}
env:
  LANG: C.UTF-8
  API_KEY: ${HOST_KEY}
  GREETING: "costs $5"
limits:
  memory: 2GiB
  cpus: 4
  pids: 512
  disk: 500 MB
  timeout: 30m
  requests: 5000
  egress_bytes: 1GiB
  tokens: 2000000
  cost: 5.00
  best_effort: true
egress:
  routes:
    - host: API.GitHub.com.
      matches:
        - path: {type: prefix, value: /repos/me}
          methods: [get, POST]
          headers:
            - {name: X-GitHub-Api-Version, value: "2022-11-28"}
            - {type: RegularExpression, name: accept, value: application/.*}
        - path: {type: regex, value: "/v[12]/.*"}
        - path: {value: /plain}
        - path: {type: EXACT, value: /one}
      auth: {scheme: Bearer, token_ref: "env:GITHUB_TOKEN"}
      credentials: [Cookie, "?key"]
    - host: "*.example.com"
      port: 8443
      addresses: [10.0.0.0/8, 192.168.1.1, "::1"]
      connect_to: 127.1:9000
    - host: 127.0.0.1
      port: 80
      addresses: [127.0.0.0/8]`

func TestAWholeBottle(t *testing.T) {
	yaml := strings.Replace(whole, "connect_to: 127.1:9000", "connect_to: 10.1:9000", 1)
	b := bottle(t, yaml)
	p, secrets, err := manifest.Resolve(b, environment("HOST_KEY", "k3y", "GITHUB_TOKEN", "t0ken"))
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Policy{
		Epoch: 1, Bottle: "dev", Isolation: policy.IsolationVM, Image: policy.Image{Rootfs: "/srv/rootfs"},
		Env:    []policy.EnvVar{{Name: "API_KEY", Value: "k3y", Secret: true}, {Name: "GREETING", Value: "costs $5"}, {Name: "LANG", Value: "C.UTF-8"}},
		Limits: policy.Limits{MemoryBytes: 2 << 30, CPUs: 4, PIDs: 512, DiskBytes: 500_000_000, Timeout: 30 * time.Minute, Requests: 5000, EgressBytes: 1 << 30, Tokens: 2_000_000, Cost: 5_000_000, BestEffort: true},
		Egress: policy.Egress{Routes: []policy.Route{
			{
				Host: "api.github.com", Port: 443,
				Matches: []policy.Match{
					{
						Path: &policy.PathMatch{Type: policy.MatchPrefix, Value: "/repos/me"}, Methods: []string{"GET", "POST"},
						Headers: []policy.HeaderMatch{
							{Type: policy.MatchExact, Name: "x-github-api-version", Value: "2022-11-28"},
							{Type: policy.MatchRegex, Name: "accept", Value: "application/.*"},
						},
					},
					{Path: &policy.PathMatch{Type: policy.MatchRegex, Value: "/v[12]/.*"}},
					{Path: &policy.PathMatch{Type: policy.MatchPrefix, Value: "/plain"}},
					{Path: &policy.PathMatch{Type: policy.MatchExact, Value: "/one"}},
				},
				Auth:        &policy.Auth{Scheme: "Bearer", TokenName: "env:GITHUB_TOKEN"},
				Credentials: []string{"cookie", "?key"},
			},
			{
				Host: "*.example.com", Port: 8443, ConnectTo: "10.0.0.1:9000",
				Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.1.1/32"), netip.MustParsePrefix("::1/128")},
			},
			{Host: "127.0.0.1", Port: 80, Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		}},
	}
	if !reflect.DeepEqual(p, want) {
		got, _ := json.MarshalIndent(p, "", " ")
		t.Errorf("the policy is %s", got)
	}
	if len(secrets) != 1 || secrets["env:GITHUB_TOKEN"].Reveal() != "t0ken" {
		t.Errorf("the tokens are %v", secrets)
	}
}

func TestAnEmptyBottleAllowsNothing(t *testing.T) {
	for _, yaml := range []string{"", "# nothing", "image: host-tools", "egress:\n  routes: []", "env: {}\nlimits: {}"} {
		p, secrets, err := manifest.Resolve(bottle(t, yaml), environment())
		if err != nil {
			t.Fatalf("%q: %v", yaml, err)
		}
		want := policy.Policy{Epoch: 1, Bottle: "dev", Isolation: policy.IsolationGVisor, Limits: policy.Limits{}.WithDefaults()}
		p.Egress.Routes, p.Env = nil, nil
		if !reflect.DeepEqual(p, want) || len(secrets) != 0 {
			t.Errorf("%q: the policy is %+v", yaml, p)
		}
	}
}

func TestWhatIsWrongInARoute(t *testing.T) {
	route := func(lines string) string {
		return "egress:\n  routes:\n    - " + strings.ReplaceAll(lines, "\n", "\n      ")
	}
	const at = "error: dev.md:4: egress.routes[0]."
	cases := map[string]string{
		"host: https://github.com/x": at + "host: \"https://github.com/x\" has the scheme \"https\"\nhint: write the name alone: `host: github.com`",
		"host: github.com/me":        at + "host: \"github.com/me\" has a path\nhint: write `host: github.com` and put the path into `matches`",
		"host: github.com:8443":      at + "host: \"github.com:8443\" has a port\nhint: write `host: github.com` and `port: 8443`",
		"host: *.github.com":         at + "host: it is a YAML alias, not text\nhint: put it in quotes if the asterisk is meant: \"*.example.com\"",
		`host: "*"`:                  at + "host: a route for every host would be no policy\nhint: list the hosts one by one",
		`host: "*.com"`:              at + "host: reading host \"*.com\": anybody can register names below \"com\"",
		"host: me@github.com":        at + "host: reading host \"me@github.com\": '@' can't be in a host",
		"host: 10.1.2.3": at + "host: connecting to \"10.1.2.3\": it is private (RFC 1918) and the route's addresses don't hold it\n" +
			"hint: a non-public address has to be listed: `addresses: [10.1.2.3/32]`",
		"host: 169.254.169.254": at + "host: connecting to \"169.254.169.254\": no policy can allow it, it is link-local, where clouds serve credentials (RFC 3927)",
		"port: 80":              at + "host: it is missing",

		"host: a.example\nport: 0":     "error: dev.md:5: egress.routes[0].port: 0 is not a port from 1 to 65535",
		"host: a.example\nport: 65979": "error: dev.md:5: egress.routes[0].port: 65979 is not a port from 1 to 65535",
		"host: a.example\nport: \"80\"": "error: dev.md:5: egress.routes[0].port: it is text, not a whole number\n" +
			"hint: remove the quotes if there are any",
		"host: a.example\nport: 0x50": "error: dev.md:5: egress.routes[0].port: \"0x50\" is not a number in plain decimal",

		"host: a.example\nmatches: []":                                      "error: dev.md:5: egress.routes[0].matches: it is empty\nhint: remove the key for GET and HEAD on every path",
		"host: a.example\nmatches:\n  - methods: []":                        "error: dev.md:6: egress.routes[0].matches[0].methods: it is empty\nhint: remove the key for every method",
		"host: a.example\nmatches:\n  - path: {type: regex, value: \"/(\"}": "error: dev.md:6: egress.routes[0].matches[0].path.value: compiling \"/(\": error parsing regexp: missing closing ): `/(`",
		"host: a.example\nmatches:\n  - path: {type: regex, value: \"(?=x)\"}": "error: dev.md:6: egress.routes[0].matches[0].path.value: compiling \"(?=x)\": " +
			"error parsing regexp: invalid or unsupported Perl syntax: `(?=`",
		"host: a.example\nmatches:\n  - path: {type: glob, value: /x}": "error: dev.md:6: egress.routes[0].matches[0].path.type: \"glob\" is no type of match\n" +
			"hint: write Exact, PathPrefix (of a path) or RegularExpression",
		"host: a.example\nmatches:\n  - path: {type: exact}":                          "error: dev.md:6: egress.routes[0].matches[0].path.value: it is missing",
		"host: a.example\nmatches:\n  - path: /x":                                     "error: dev.md:6: egress.routes[0].matches[0].path: it is text, not keys and values\nhint: remove the quotes if there are any",
		"host: a.example\nmatches:\n  - path: {value: /a/../b}":                       "error: dev.md:6: egress.routes[0].matches[0].path.value: reading path \"/a/../b\": it has a dot segment",
		"host: a.example\nmatches:\n  - path: {value: /a%2fb}":                        "error: dev.md:6: egress.routes[0].matches[0].path.value: requests have it as \"/a%2Fb\", write it so",
		"host: a.example\nmatches:\n  - path: {value: repos}":                         "error: dev.md:6: egress.routes[0].matches[0].path.value: reading path \"repos\": it doesn't start with a slash",
		"host: a.example\nmatches:\n  - paths: {value: /a}":                           "error: dev.md:6: egress.routes[0].matches[0].paths: unknown key\nhint: did you mean \"path\"?",
		"host: a.example\nmatches:\n  - methods: GET":                                 "error: dev.md:6: egress.routes[0].matches[0].methods: it is text, not a list\nhint: remove the quotes if there are any",
		"host: a.example\nmatches:\n  - methods: [GET, \"A B\"]":                      "error: dev.md:6: egress.routes[0].matches[0].methods[1]: \"A B\" is not an upper-case method",
		"host: a.example\nmatches:\n  - headers: [{name: x, type: prefix, value: y}]": "error: dev.md:6: egress.routes[0].matches[0].headers[0].type: \"PathPrefix\" is none of [Exact RegularExpression]",

		"host: a.example\nauth: {scheme: Bearer}": "error: dev.md:5: egress.routes[0].auth.token_ref: it is missing",
		"host: a.example\nauth: {token_ref: ghp_0123456789}": "error: dev.md:5: egress.routes[0].auth.token_ref: reading a secret's reference: it is none of env:NAME, file:/path, credential:NAME\n" +
			"hint: write env:NAME, file:/path or credential:NAME; a token itself must not stand in a bottle",
		"host: a.example\nauth: {token_ref: \"file:rel\"}": "error: dev.md:5: egress.routes[0].auth.token_ref: reading a secret's reference of kind \"file\": it is not an absolute path without dot segments\n" +
			"hint: write env:NAME, file:/path or credential:NAME; a token itself must not stand in a bottle",
		"host: a.example\nauth: {token_ref: \"env:T\", header: Host}":                 "error: dev.md:5: egress.routes[0].auth.header: \"host\" is not a header field in lower case that can carry a credential",
		"host: a.example\nauth: {token_ref: \"env:T\"}\ncredentials: [Authorization]": "error: dev.md:6: egress.routes[0].credentials: \"authorization\" is the field that auth sets, the agent's own can't pass as well",

		"host: a.example\naddresses: [10.0.0.0/33]":    "error: dev.md:5: egress.routes[0].addresses[0]: \"10.0.0.0/33\" is not a range of addresses\nhint: write an address, or a range such as 10.1.2.0/24",
		"host: a.example\naddresses: [10.1.2.3/8]":     "error: dev.md:5: egress.routes[0].addresses[0]: \"10.1.2.3/8\" has bits behind its mask, write \"10.0.0.0/8\"",
		"host: a.example\naddresses: [0.0.0.0/0]":      "error: dev.md:5: egress.routes[0].addresses[0]: \"0.0.0.0/0\" holds more than any private network",
		"host: a.example\naddresses: [169.254.0.0/16]": "error: dev.md:5: egress.routes[0].addresses[0]: allowing \"169.254.0.0/16\": no policy can allow it, it is link-local, where clouds serve credentials (RFC 3927)",
		"host: a.example\nconnect_to: internal":        "error: dev.md:5: egress.routes[0].connect_to: reading authority \"internal\": it has no port\nhint: write host:port",
		"host: a.example\nconnect_to: 127.0.0.1:80": "error: dev.md:5: egress.routes[0].connect_to: connecting to \"127.0.0.1\": it is loopback (RFC 1122) and the route's addresses don't hold it\n" +
			"hint: write host:port; a non-public address has to be listed in `addresses`",
		"host: a.example\nca_file: \"\"":                         "error: dev.md:5: egress.routes[0].ca_file: it is empty",
		"host: a.example\ndlp: {outbound_on_match: ask}":         "error: dev.md:5: egress.routes[0].dlp.outbound_on_match: \"ask\" is none\nhint: write one of supervise, redact, block",
		"host: a.example\ndlp: {outbound_detectors: [patterns]}": "error: dev.md:5: egress.routes[0].dlp.outbound_detectors: \"patterns\" is no detector\nhint: write some of known_secrets, token_patterns, entropy, or false for none",
		"host: a.example\ndlp: {outbound_detectors: []}":         "error: dev.md:5: egress.routes[0].dlp.outbound_detectors: it is empty\nhint: write false for none",
		"host: a.example\ndlp: {outbound_detectors: true}":       "error: dev.md:5: egress.routes[0].dlp.outbound_detectors: true is not a list of detectors\nhint: remove the key for the usual ones",
	}
	yamls := map[string]string{}
	for lines, want := range cases {
		yamls[route(lines)] = want
	}
	messages(t, manifest.Bottles, yamls)
}

func TestWhatIsWrongInALimit(t *testing.T) {
	const time = "hint: write a positive time such as 30m or 1h30m; there is no unlimited one"
	const size = "hint: write a whole number and a unit, such as 512MiB or 2GiB"
	const none = "hint: remove the key for the default; there is no unlimited one"
	const money = "hint: write US dollars in plain decimal, such as 5.00"
	messages(t, manifest.Bottles, map[string]string{
		"limits: {timeout: 0s}":          "error: dev.md:2: limits.timeout: \"0s\" is not positive\n" + time,
		"limits: {timeout: 0}":           "error: dev.md:2: limits.timeout: 0 has no unit\n" + time,
		"limits: {timeout: -5m}":         "error: dev.md:2: limits.timeout: \"-5m\" is not positive\n" + time,
		"limits: {timeout: soon}":        "error: dev.md:2: limits.timeout: \"soon\" is not a time\n" + time,
		"limits: {timeout: 1ms}":         "error: dev.md:2: limits.timeout: 1ms is not from 1s to 720h0m0s",
		"limits: {timeout: }":            "error: dev.md:2: limits.timeout: it is empty, not text\nhint: give it a value, or remove the key",
		"limits: {memory: 2}":            "error: dev.md:2: limits.memory: 2 has no unit\n" + size,
		"limits: {memory: 2G}":           "error: dev.md:2: limits.memory: \"2G\" is not a size\n" + size,
		"limits: {memory: 1.5GiB}":       "error: dev.md:2: limits.memory: \"1.5GiB\" is not a size\n" + size,
		"limits: {memory: 0GiB}":         "error: dev.md:2: limits.memory: 0 is no limit\n" + size,
		"limits: {memory: -1GiB}":        "error: dev.md:2: limits.memory: \"-1GiB\" is not a size\n" + size,
		"limits: {disk: 9999999999TiB}":  "error: dev.md:2: limits.disk: \"9999999999TiB\" is not a size\n" + size,
		"limits: {memory: 1MiB}":         "error: dev.md:2: limits.memory: 1048576 is not from 67108864 to 70368744177664 bytes",
		"limits: {cpus: 0}":              "error: dev.md:2: limits.cpus: 0 is no limit\n" + none,
		"limits: {pids: -1}":             "error: dev.md:2: limits.pids: -1 is no limit\n" + none,
		"limits: {cpus: 0.5}":            "error: dev.md:2: limits.cpus: it is a number, not a whole number",
		"limits: {best_effort: \"yes\"}": "error: dev.md:2: limits.best_effort: it is text, not true or false\nhint: remove the quotes if there are any",
		"limits: {requests: 0}":          "error: dev.md:2: limits.requests: 0 is no limit\n" + none,
		"limits: {egress_bytes: 5}":      "error: dev.md:2: limits.egress_bytes: 5 has no unit\n" + size,
		"limits: {tokens: 0}":            "error: dev.md:2: limits.tokens: 0 is no limit\n" + none,
		"limits: {tokens: 1.5}":          "error: dev.md:2: limits.tokens: it is a number, not a whole number",
		"limits: {cost: 0.00}":           "error: dev.md:2: limits.cost: 0 is no limit\nhint: remove the key to bound no cost",
		"limits: {cost: -1}":             "error: dev.md:2: limits.cost: \"-1\" is no amount\n" + money,
		"limits: {cost: 5e2}":            "error: dev.md:2: limits.cost: \"5e2\" is no amount\n" + money,
		"limits: {cost: 0.0000001}":      "error: dev.md:2: limits.cost: \"0.0000001\" is no amount\n" + money,
		"limits: {cost: $5}":             "error: dev.md:2: limits.cost: \"$5\" is no amount\n" + money,
		"limits: {cost: .5}":             "error: dev.md:2: limits.cost: \".5\" is no amount\n" + money,
		"limits: {cost: 9999999}":        "error: dev.md:2: limits.cost: 9999999000000 is not from 0 to 1000000000000 millionths of a US dollar",
		"limits: {cost: [5]}":            "error: dev.md:2: limits.cost: it is a list, not an amount in US dollars\nhint: give a single value",
		"limits: {memroy: 2GiB}":         "error: dev.md:2: limits.memroy: unknown key\nhint: did you mean \"memory\"?",
	})
}

func TestWhatIsWrongElsewhereInABottle(t *testing.T) {
	const remove = "\nhint: remove the key; what isn't enforced must not look as if it were"
	const image = "\nhint: write `image: host-tools`, `{rootfs: /folder}`, `{archive: /file.tar}` or `{ref: NAME:TAG}`"
	messages(t, manifest.Bottles, map[string]string{
		"isolation: chroot":                    "error: dev.md:2: isolation: \"chroot\" is none of vm, gvisor, container\nhint: write vm, gvisor or container",
		"isolation: [vm]":                      "error: dev.md:2: isolation: it is a list, not text\nhint: give a single value",
		"image: debian":                        "error: dev.md:2: image: \"debian\" is no image: it has neither a tag nor a digest" + image,
		"image: host-tool":                     "error: dev.md:2: image: \"host-tool\" is no image: it has neither a tag nor a digest" + image,
		"image: Debian:12":                     "error: dev.md:2: image: \"Debian:12\" is no image: \"Debian\" is not the name of an image" + image,
		"image: /srv/thing":                    "error: dev.md:2: image: \"/srv/thing\" can be a folder or an archive" + image,
		"image: thing.tar":                     "error: dev.md:2: image: \"thing.tar\" is not an absolute path" + image,
		"image: ./thing":                       "error: dev.md:2: image: \"./thing\" is not an absolute path" + image,
		"image: /a/../b.tar":                   "error: dev.md:2: image.archive: \"/a/../b.tar\" is not an absolute path without dot segments",
		"image: [a]":                           "error: dev.md:2: image: it is a list, not keys and values\nhint: give a single value",
		"image: {rootfs: srv}":                 "error: dev.md:2: image.rootfs: \"srv\" is not an absolute path\nhint: write the path from the root on",
		"image: {archive: a.tar}":              "error: dev.md:2: image.archive: \"a.tar\" is not an absolute path\nhint: write the path from the root on",
		"image:\n  ref: debian":                "error: dev.md:3: image.ref: it has neither a tag nor a digest\nhint: write it as NAME:TAG, REGISTRY/NAME:TAG or, better, REGISTRY/NAME@sha256:DIGEST",
		"image: {}":                            "error: dev.md:2: image: it names no image" + image,
		"image: {rootfs: /a, archive: /b.tar}": "error: dev.md:2: image: it is rootfs and archive at once" + image,
		"image: {nix: tools}":                  "error: dev.md:2: image.nix: this build can't enforce images from Nix yet" + remove,
		"egres: {}":                            "error: dev.md:2: egres: unknown key\nhint: did you mean \"egress\"?",
		"wholly_other: 1":                      "error: dev.md:2: wholly_other: unknown key\nhint: known here: agent_provider, egress, env, extends, for, git-gate, image, isolation, limits, supervise",
		"env: {A: 1}":                          "error: dev.md:2: env.A: it is a number, not text\nhint: put the value in quotes if it is meant as text",
		"env: {A: true}":                       "error: dev.md:2: env.A: it is true or false, not text\nhint: put the value in quotes if it is meant as text",
		"env: {1A: x}":                         "error: dev.md:2: env.1A: \"1A\" is not the name of an environment variable",
		"env: {A: \"x${B}\"}":                  "error: dev.md:2: env.A: a host variable has to be the whole value\nhint: write \"${NAME}\" and nothing around it",
		"env: {A: \"${B}${C}\"}":               "error: dev.md:2: env.A: a host variable has to be the whole value\nhint: write \"${NAME}\" and nothing around it",
		"env: [A]":                             "error: dev.md:2: env: it is a list, not keys and values\nhint: give a single value",
		"env:\n  A: x\n  B: y\n  A: z":         "error: dev.md:5: env.A: the key stands here a second time, first on line 3",
		"isolation: vm\n\"isolation\": gvisor": "error: dev.md:3: isolation: the key stands here a second time, first on line 2",
		"1: 2":                                 "error: dev.md:2: a key here is not plain text",
		"a: &x 1\nb: *x":                       "error: dev.md:2: a: unknown key\n       dev.md:3: b: unknown key\nhint: known here: agent_provider, egress, env, extends, for, git-gate, image, isolation, limits, supervise",
		"isolation: &x vm":                     "error: dev.md:2: isolation: it is a YAML anchor, not text\nhint: write the value out",
		"isolation: !!str vm":                  "error: dev.md:2: isolation: it is a YAML tag, not text\nhint: write the value out",
		"- a":                                  "error: dev.md:2: it is a list, not keys and values\nhint: give a single value",
		"just text":                            "error: dev.md:2: it is text, not keys and values\nhint: remove the quotes if there are any",
		"isolation: [":                         "error: dev.md:2: the front matter is not YAML: sequence end token ']' not found",
		"isolation: vm\n...\nenv: {}":          "error: dev.md:1: the front matter holds 2 YAML documents in place of one",
		"env: " + strings.Repeat("[", 50):      "error: dev.md:2: brackets are nested more than 32 deep",
	})
}

func TestAllFaultsOfAFileAreNamedInItsOrder(t *testing.T) {
	path := write(t, manifest.Bottles, "dev", "limits: {timeout: 0s, cpus: 0}\nextends: X\negress:\n  routes:\n    - host: a b\n    - port: x\nisolation: y")
	_, err := manifest.LoadBottle(path)
	var places []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		place := strings.SplitN(strings.TrimPrefix(line, filepath.Dir(path)+"/"), ": ", 3)
		places = append(places, strings.Join(place[:2], " "))
	}
	want := []string{
		"dev.md:2 limits.timeout", "dev.md:2 limits.cpus", "dev.md:3 extends", "dev.md:6 egress.routes[0].host",
		"dev.md:7 egress.routes[1].port", "dev.md:7 egress.routes[1].host", "dev.md:8 isolation",
	}
	if !reflect.DeepEqual(places, want) {
		t.Errorf("the faults are at %q", places)
	}
}

func TestALimitOfTokensNeedsAnAgentWhoseCallsAreCounted(t *testing.T) {
	const claude = "agent_provider: {template: claude, auth_token: \"env:T\"}\n"
	for yaml, ok := range map[string]bool{
		"limits: {tokens: 5}":  false,
		"limits: {cost: 5.00}": false,
		"agent_provider: {template: command}\nlimits: {cost: 5.00}": false,
		claude + "limits: {tokens: 5, cost: 5.00}":                  true,
		"limits: {tokens: 5, cost: 5.00, best_effort: true}":        true,
		"limits: {requests: 5}":                                     true,
	} {
		_, _, err := manifest.Resolve(bottle(t, yaml), environment("T", "t0ken"))
		if (err == nil) != ok || err != nil && !strings.Contains(explain("", err), "nothing holds it") {
			t.Errorf("%q: %v", yaml, err)
		}
	}
}
