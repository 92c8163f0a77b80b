package provider_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/provider"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
)

// home is a user's home folder with programs in it.
type home struct {
	t   *testing.T
	dir string
	env map[string]string
}

func newHome(t *testing.T) *home {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &home{t, dir, map[string]string{"HOME": dir, "ANTHROPIC_API_KEY": "sk-ant-api03-real", "OPENAI_API_KEY": "sk-real", "GEMINI_API_KEY": "gm-real-key"}}
}

const (
	elf       = "\x7fELF…"
	nodeFirst = "#!/usr/bin/env -S node --no-warnings\n"
)

// file makes a file for everybody to execute.
func (h *home) file(name, content string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	h.must(os.MkdirAll(filepath.Dir(path), 0o755))
	h.must(os.WriteFile(path, []byte(content), 0o755))
	return path
}

func (h *home) link(name, to string) {
	h.t.Helper()
	h.must(os.MkdirAll(filepath.Dir(filepath.Join(h.dir, name)), 0o755))
	h.must(os.Symlink(to, filepath.Join(h.dir, name)))
}

func (h *home) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) lookup(name string) (string, bool) {
	v, ok := h.env[name]
	return v, ok
}

func (h *home) prepare(template string, change ...func(*provider.Input)) (provider.Prepared, error) {
	in := provider.Input{Template: template, Prompt: "the task", Lookup: h.lookup}
	for _, f := range change {
		f(&in)
	}
	return provider.Prepare(context.Background(), in)
}

// fails wants an error of the stage whose text and hints have the words.
func (h *home) fails(stage term.Stage, template string, words ...string) {
	h.t.Helper()
	_, err := h.prepare(template)
	if term.StageOf(err, "") != stage {
		h.t.Errorf("%s: stage %q of %v", template, term.StageOf(err, ""), err)
		return
	}
	for _, w := range append(words, "hint: ") {
		if text := term.Explain(err); !strings.Contains(text, w) {
			h.t.Errorf("%s: it says\n%swithout %q", template, text, w)
		}
	}
}

func platform() string { return "linux-" + strings.Replace(runtime.GOARCH, "amd64", "x64", 1) }

func triple() string {
	return map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + "-unknown-linux-musl"
}

func manifestOf(pkg, version, node string) string {
	return fmt.Sprintf(`{"name":%q,"version":%q,"engines":{"node":%q}}`, pkg, version, node)
}

func TestEachInstallersPlaceIsFoundAndOnlyItsTreeMounted(t *testing.T) {
	claudeFile := func(path string) []policy.Program {
		return []policy.Program{{Host: path, Guest: "/opt/bot-bottle/agents/claude/claude"}}
	}
	for name, c := range map[string]struct {
		template string
		install  func(h *home) []policy.Program
		argv0    string
	}{
		"claude's own installer": {"claude", func(h *home) []policy.Program {
			native := h.file(".local/share/claude/versions/2.1.197", elf)
			h.link(".local/bin/claude", native)
			return claudeFile(native)
		}, "/opt/bot-bottle/agents/claude/claude"},
		"npm with its script run": {"claude", func(h *home) []policy.Program {
			h.env["NPM_CONFIG_PREFIX"] = filepath.Join(h.dir, "npm")
			native := h.file("npm/lib/node_modules/@anthropic-ai/claude-code/bin/claude.exe", elf)
			h.file("npm/lib/node_modules/@anthropic-ai/claude-code/package.json", manifestOf("@anthropic-ai/claude-code", "2.1.197", ">=18.0.0"))
			h.link("npm/bin/claude", "../lib/node_modules/@anthropic-ai/claude-code/bin/claude.exe")
			return claudeFile(native)
		}, "/opt/bot-bottle/agents/claude/claude"},
		"npm without its script run": {"claude", func(h *home) []policy.Program {
			h.file(".npmrc", "# mine\nprefix = ~/.npm-packages\n")
			pkg := ".npm-packages/lib/node_modules/@anthropic-ai/claude-code"
			h.file(pkg+"/bin/claude.exe", "echo not installed\n")
			h.file(pkg+"/package.json", manifestOf("@anthropic-ai/claude-code", "2.1.197", ""))
			h.link(".npm-packages/bin/claude", "../lib/node_modules/@anthropic-ai/claude-code/bin/claude.exe")
			return claudeFile(h.file(pkg+"/node_modules/@anthropic-ai/claude-code-"+platform()+"/claude", elf))
		}, "/opt/bot-bottle/agents/claude/claude"},
		"codex of npm, below nvm": {"codex", func(h *home) []policy.Program {
			modules := ".nvm/versions/node/v20.1.0/lib/node_modules/@openai"
			h.file(modules+"/codex/bin/codex.js", nodeFirst)
			h.file(modules+"/codex/package.json", manifestOf("@openai/codex", "0.169.0", ">=16"))
			h.file(modules+"/codex-"+platform()+"/vendor/"+triple()+"/bin/codex", elf)
			h.link(".nvm/versions/node/v20.1.0/bin/codex", "../lib/node_modules/@openai/codex/bin/codex.js")
			return []policy.Program{{Host: filepath.Join(h.dir, modules, "codex-"+platform(), "vendor", triple()), Guest: "/opt/bot-bottle/agents/codex"}}
		}, "/opt/bot-bottle/agents/codex/bin/codex"},
		"codex as one file beside others": {"codex", func(h *home) []policy.Program {
			h.file("bin/secret-tool", elf)
			h.env["PATH"] = "relative/bin:" + filepath.Join(h.dir, "bin")
			return []policy.Program{{Host: h.file("bin/codex", elf), Guest: "/opt/bot-bottle/agents/codex/codex"}}
		}, "/opt/bot-bottle/agents/codex/codex"},
		"gemini with the node beside it": {"gemini", func(h *home) []policy.Program {
			old := ".nvm/versions/node/v9.0.0/bin/"
			h.file(old+"gemini", "#!/bin/sh\n")
			top := ".nvm/versions/node/v24.2.0/"
			h.file(top+"lib/node_modules/@google/gemini-cli/bundle/gemini.js", nodeFirst)
			h.file(top+"lib/node_modules/@google/gemini-cli/package.json", manifestOf("@google/gemini-cli", "0.61.0", ">=20"))
			h.link(top+"bin/gemini", "../lib/node_modules/@google/gemini-cli/bundle/gemini.js")
			return []policy.Program{
				{Host: filepath.Join(h.dir, top, "lib/node_modules/@google/gemini-cli"), Guest: "/opt/bot-bottle/agents/gemini"},
				{Host: h.file(top+"bin/node", "#!/bin/sh\necho v24.2.0\n"), Guest: "/opt/bot-bottle/agents/node"},
			}
		}, "/opt/bot-bottle/agents/node"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			want := c.install(h)
			p, err := h.prepare(c.template)
			if err != nil {
				t.Fatal(term.Explain(err))
			}
			if !slices.Equal(p.Programs, want) || p.Argv[0] != c.argv0 {
				t.Errorf("mounts %v, wanted %v; runs %q", p.Programs, want, p.Argv[0])
			}
			valid := policy.Policy{Epoch: 1, Isolation: policy.IsolationGVisor, Image: policy.Image{Programs: p.Programs}, Egress: policy.Egress{Routes: p.Routes}}
			if err := valid.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestACLIThatCannotBeUsedIsToldWithWhatToDo(t *testing.T) {
	t.Run("missing", func(t *testing.T) {
		newHome(t).fails(term.StagePreflight, "gemini", "neither on PATH", "npm install -g @google/gemini-cli")
	})
	t.Run("not executable", func(t *testing.T) {
		h := newHome(t)
		h.must(os.Chmod(h.file(".local/bin/claude", elf), 0o644))
		h.fails(term.StagePreflight, "claude", "not executable", "chmod a+rx")
	})
	t.Run("too old", func(t *testing.T) {
		h := newHome(t)
		h.file(".npm-global/lib/node_modules/@openai/codex/bin/codex.js", nodeFirst)
		h.file(".npm-global/lib/node_modules/@openai/codex/package.json", manifestOf("@openai/codex", "0.20.0", ""))
		h.link(".npm-global/bin/codex", "../lib/node_modules/@openai/codex/bin/codex.js")
		h.fails(term.StagePreflight, "codex", "0.20.0 is older than 0.100.0", "npm install -g @openai/codex")
	})
	t.Run("for a newer Node.js", func(t *testing.T) {
		h := newHome(t)
		h.file(".npm-global/lib/node_modules/@google/gemini-cli/gemini.js", nodeFirst)
		h.file(".npm-global/lib/node_modules/@google/gemini-cli/package.json", manifestOf("@google/gemini-cli", "0.61.0", ">=9000"))
		h.link(".npm-global/bin/gemini", "../lib/node_modules/@google/gemini-cli/gemini.js")
		h.fails(term.StagePreflight, "gemini", "Node.js 9000.0.0 or newer", "install Node.js")
	})
	t.Run("neither native nor of its package", func(t *testing.T) {
		h := newHome(t)
		h.file(".local/bin/claude", "#!/bin/sh\nexec something\n")
		h.fails(term.StagePreflight, "claude", "neither a program of this system", "install it anew")
	})
	t.Run("not for everybody", func(t *testing.T) {
		h := newHome(t)
		h.must(os.Chmod(h.file(".local/bin/claude", elf), 0o700))
		h.fails(term.StagePreflight, "claude", "not everybody may read", "chmod -R o+rX")
	})
	t.Run("with a pipe in it", func(t *testing.T) {
		h := newHome(t)
		h.file("lib/gemini.js", nodeFirst)
		h.file("lib/package.json", manifestOf("@google/gemini-cli", "0.61.0", ""))
		h.file(".local/bin/node", "#!/bin/sh\necho v24.2.0\n")
		h.must(syscall.Mkfifo(filepath.Join(h.dir, "lib/fifo"), 0o666))
		h.link(".local/bin/gemini", "../../lib/gemini.js")
		h.fails(term.StagePreflight, "gemini", "neither a file nor a folder")
	})
}

func TestInAnImageNothingOfTheHostIsMounted(t *testing.T) {
	h := newHome(t)
	h.file(".local/bin/claude", elf)
	h.link("image/usr/local/bin/claude", "/opt/elsewhere/claude")
	in := func(rootfs string) func(*provider.Input) {
		return func(in *provider.Input) { in.Image.Rootfs = filepath.Join(h.dir, rootfs) }
	}
	p, err := h.prepare("claude", in("image"))
	if err != nil || p.Programs != nil || p.Argv[0] != "/usr/local/bin/claude" {
		t.Errorf("%v, mounts %v, runs %q", err, p.Programs, p.Argv)
	}
	h.must(os.Chmod(h.file("broken/usr/bin/claude", elf), 0o644))
	for rootfs, want := range map[string]string{"empty": "no \"claude\" on its PATH", "broken": "not executable"} {
		_, err := h.prepare("claude", in(rootfs))
		if term.StageOf(err, "") != term.StagePreflight || !strings.Contains(err.Error(), want) || len(term.Hints(err)) == 0 {
			t.Errorf("%s: %v", rootfs, err)
		}
	}
}

func TestTheCredentialStaysOutOfWhatEntersTheGuest(t *testing.T) {
	h := newHome(t)
	for _, name := range []string{"claude", "codex"} {
		h.file(".local/bin/"+name, elf)
	}
	h.file("lib/gemini.js", nodeFirst)
	h.file("lib/package.json", manifestOf("@google/gemini-cli", "0.61.0", ""))
	h.file(".local/bin/node", "#!/bin/sh\necho v24.2.0\n")
	h.link(".local/bin/gemini", "../../lib/gemini.js")
	h.file("token", "sk-from-a-file\n")
	for _, c := range []struct {
		template    string
		env         map[string]string
		ref         secret.Ref
		name        string // of the reference that is used
		value       string
		auth        policy.Auth
		placeholder string
	}{
		{"claude", nil, "", "env:ANTHROPIC_API_KEY", "sk-ant-api03-real", policy.Auth{Header: "x-api-key"}, "ANTHROPIC_API_KEY="},
		{"claude", map[string]string{"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-real"}, "", "env:CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-real", policy.Auth{Scheme: "Bearer"}, "CLAUDE_CODE_OAUTH_TOKEN="},
		{"codex", nil, "", "env:OPENAI_API_KEY", "sk-real", policy.Auth{Scheme: "Bearer"}, "OPENAI_API_KEY="},
		{"codex", nil, secret.Ref("file:" + filepath.Join(h.dir, "token")), "file:" + filepath.Join(h.dir, "token"), "sk-from-a-file", policy.Auth{Scheme: "Bearer"}, "OPENAI_API_KEY="},
		{"gemini", nil, "", "env:GEMINI_API_KEY", "gm-real-key", policy.Auth{Header: "x-goog-api-key"}, "GEMINI_API_KEY="},
	} {
		for name, value := range c.env {
			h.env[name] = value
		}
		p, err := h.prepare(c.template, func(in *provider.Input) { in.Token = c.ref })
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		auth := *p.Routes[0].Auth
		if p.Secrets[c.name].Reveal() != c.value || auth.TokenName != c.name || auth.Header != c.auth.Header || auth.Scheme != c.auth.Scheme {
			t.Errorf("%s: secrets %v, auth %+v", c.template, p.Secrets, auth)
		}
		guest := strings.Join(append(append(p.Argv, p.Env...), string(p.Stdin)), "\n")
		if strings.Contains(guest, c.value) || !strings.Contains(guest, c.placeholder) || !strings.Contains(guest, "placeholder") {
			t.Errorf("%s: the guest is given %q", c.template, guest)
		}
		if strings.Contains(strings.Join(p.Argv, " "), "the task") || !strings.Contains(string(p.Stdin), "the task") {
			t.Errorf("%s: the prompt is in %q, standard input is %q", c.template, p.Argv, p.Stdin)
		}
	}
}

func TestAMissingCredentialNamesItsPlaces(t *testing.T) {
	h := newHome(t)
	h.file(".local/bin/claude", elf)
	delete(h.env, "ANTHROPIC_API_KEY")
	h.fails(term.StageManifest, "claude", "env:ANTHROPIC_API_KEY or env:CLAUDE_CODE_OAUTH_TOKEN", "auth_token")
	h.env["ANTHROPIC_API_KEY"] = "sk-ant-\nInjected: x"
	_, err := h.prepare("claude")
	if err == nil || strings.Contains(term.Explain(err), "Injected") {
		t.Errorf("a token with a line break: %v", err)
	}
	if missing := (*secret.MissingError)(nil); errors.As(err, &missing) {
		t.Errorf("it is said to be missing: %v", err)
	}
}

func TestWhatTheBottleAllowsReachesTheJudgeAndTheCLI(t *testing.T) {
	h := newHome(t)
	h.file(".local/bin/claude", elf)
	h.file(".local/bin/codex", elf)
	search := func(in *provider.Input) {
		in.Allow, in.Model, in.System = []string{"web_search"}, "the-model", "Be thorough."
	}
	for template, words := range map[string][2]string{
		"claude": {"--disallowed-tools WebSearch", "--append-system-prompt Be thorough."},
		"codex":  {`web_search="disabled"`, `web_search="live"`},
	} {
		least, err := h.prepare(template)
		h.must(err)
		more, err := h.prepare(template, search)
		h.must(err)
		if without, with := strings.Join(least.Argv, " "), strings.Join(more.Argv, " "); !strings.Contains(without, words[0]) || strings.Contains(with, words[0]) ||
			!strings.Contains(with, words[1]) || !strings.Contains(with, "--model the-model") {
			t.Errorf("%s: %q and %q", template, without, with)
		}
		if m := least.Routes[0].Model; m == nil || len(m.Allow) != 0 {
			t.Errorf("%s: the least is judged by %+v", template, m)
		}
		if m := more.Routes[0].Model; m == nil || !slices.Equal(m.Allow, []string{"web_search"}) {
			t.Errorf("%s: more is judged by %+v", template, m)
		}
	}
}

func TestABottlesRouteSaysWhereTheProviderIsAndOpensNothing(t *testing.T) {
	theirs := []policy.Route{{Host: "api.example.com", Port: 443, Matches: []policy.Match{{}}, Model: &policy.ModelAPI{Wire: policy.WireOpenAI}}}
	leads := policy.Route{Host: "api.example.com", Port: 443, ConnectTo: "10.0.0.1:443", CAs: "pem", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	wide := leads
	wide.Matches = []policy.Match{{}}
	other := policy.Route{Host: "*.example.com", Port: 443}

	got := provider.AddRoutes([]policy.Route{other, leads}, theirs)
	if len(got) != 2 || got[0].ConnectTo != leads.ConnectTo || got[0].CAs != "pem" || got[0].Model == nil || got[0].Addresses == nil || got[1].Host != other.Host {
		t.Errorf("got %+v", got)
	}
	got = provider.AddRoutes([]policy.Route{wide, other}, theirs)
	if len(got) != 3 || got[0].Model == nil || got[0].ConnectTo != leads.ConnectTo || got[1].Matches == nil {
		t.Errorf("got %+v", got)
	}
	if theirs[0].ConnectTo != "" {
		t.Error("the provider's own were changed")
	}
}

func TestACommandNeedsNothing(t *testing.T) {
	p, err := newHome(t).prepare("command")
	if err != nil || p.Routes != nil || p.Programs != nil || p.Argv != nil || string(p.Stdin) != "the task" {
		t.Errorf("%v %+v", err, p)
	}
	newHome(t).fails(term.StageManifest, "cursor", "claude, codex, gemini or command")
}
