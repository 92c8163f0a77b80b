package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
)

// verb runs a verb as a person without a runner would, and gives stdout and the
// error as it is printed.
func verb(t *testing.T, args ...string) (stdout, errors string, code runner.ExitCode) {
	t.Helper()
	for _, name := range []string{"CI", "GITHUB_ACTIONS", "GITEA_ACTIONS", "FORGEJO_ACTIONS"} {
		t.Setenv(name, "")
	}
	var out, notes bytes.Buffer
	root := rootCommand(newConsole())
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&notes)
	err := root.ExecuteContext(t.Context())
	if err == nil {
		return out.String(), "", runner.ExitOK
	}
	return out.String(), term.Explain(err), runner.CodeOf(err)
}

func initFlagsOf(dir string, more ...string) []string {
	return append([]string{"init", "--dir", dir, "--name", "claude-dev", "--provider", "claude", "--repository", "acme/web,acme/lib", "--preset", "npm,go"}, more...)
}

func TestInitWritesABottleThatIsTaken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "bottles")
	out, errors, _ := verb(t, initFlagsOf(dir)...)
	path := filepath.Join(dir, "claude-dev.md")
	if out != path+"\n" {
		t.Fatalf("it printed %q\n%s", out, errors)
	}
	bottles, err := manifest.ReadBottles([]string{dir}, []string{"claude-dev"})
	if err != nil {
		t.Fatal(err)
	}
	b := bottles[0]
	if b.Provider.Template != "claude" || strings.Join(b.For[0].Repositories, " ") != "acme/web acme/lib" || strings.Join(b.Presets, " ") != "npm go" {
		t.Errorf("the bottle is %+v", b)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}

// Its help says that an empty flag means none.
func TestInitWritesABottleForCommandsAlone(t *testing.T) {
	for preset, rest := range map[string]string{"": "", "npm": "npm"} {
		dir := t.TempDir()
		if _, errors, code := verb(t, "init", "--dir", dir, "--name", "plain", "--provider", "", "--repository", "", "--preset", preset); code != runner.ExitOK {
			t.Fatalf("%d: %s", code, errors)
		}
		bottles, err := manifest.ReadBottles([]string{dir}, []string{"plain"})
		if err != nil {
			t.Fatal(err)
		}
		if b := bottles[0]; b.Provider != nil || len(b.For) != 0 || strings.Join(b.Presets, " ") != rest {
			t.Errorf("the bottle is %+v", b)
		}
	}
}

func TestInitNeverWritesOverAFile(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"claude-dev.md", "Claude-Dev.md"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, errors, code := verb(t, initFlagsOf(dir)...)
		if want := "error: " + path + ": writing the bottle: there is a file already\nhint: choose another name, or edit the file\n"; errors != want || code != runner.ExitUsage {
			t.Errorf("it says %d\n%s", code, errors)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
			t.Errorf("the file holds %q, %v", b, err)
		}
		os.Remove(path)
	}
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "claude-dev.md")); err != nil {
		t.Fatal(err)
	}
	if _, errors, _ := verb(t, initFlagsOf(dir)...); !strings.Contains(errors, "there is a file already") {
		t.Errorf("behind a link it says %s", errors)
	}
	if _, err := os.Lstat(filepath.Join(dir, "elsewhere")); err == nil {
		t.Error("a link was followed")
	}
}

func TestInitTakesNothingThatNoBottleCanHave(t *testing.T) {
	for want, change := range map[string][]string{
		`"Web" is not a name of lower-case letters`:           {"--name", "Web"},
		`there is no provider "pi"`:                           {"--provider", "pi"},
		`there is no preset "nmp"`:                            {"--preset", "nmp"},
		`"web" is not a repository's owner and name`:          {"--repository", "web"},
		"it is none of env:NAME, file:/path, credential:NAME": {"--token", "sk-ant-hunter2"},
		"\"acme/web\\\"]}\\nenv: {A\" is no pattern":          {"--repository", "\"acme/web\"\"]}\nenv: {A\""},
	} {
		dir := t.TempDir()
		_, errors, code := verb(t, initFlagsOf(dir, change...)...)
		if !strings.Contains(errors, want) || code != runner.ExitUsage || strings.Contains(errors, "hunter2") {
			t.Errorf("%q says %d\n%s", change, code, errors)
		}
		if files, _ := os.ReadDir(dir); len(files) != 0 {
			t.Errorf("%q wrote %v", change, files)
		}
	}
}

// chat is a terminal on which somebody answers.
type chat struct {
	*strings.Reader
	bytes.Buffer
}

func (c *chat) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func TestInitAsksForWhatNoFlagSays(t *testing.T) {
	var f initFlags
	tty := &chat{Reader: strings.NewReader("\n\nacme/web  acme/lib\nnpm, go\n")}
	if err := answer(tty, f.questions(), &f); err != nil {
		t.Fatal(err)
	}
	if f.provider != "claude" || f.name != "claude-dev" || strings.Join(f.repositories, "|") != "acme/web|acme/lib" || strings.Join(f.presets, "|") != "npm|go" {
		t.Errorf("the answers are %+v", f)
	}
	if got := tty.Buffer.String(); !strings.HasPrefix(got, "Agent CLI (claude, codex, gemini) [claude]: Name of the bottle [claude-dev]: ") {
		t.Errorf("it asked %q", got)
	}
	if err := answer(&chat{Reader: strings.NewReader("codex\n")}, f.questions(), &f); err == nil {
		t.Error("it went on without answers")
	}
	if err := answer(&chat{Reader: strings.NewReader(strings.Repeat("x", maxAnswer+1))}, f.questions(), &f); err == nil {
		t.Error("an endless answer was taken")
	}
}

func TestValidateListsEveryFaultOfEveryFile(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"bottles/good.md":  "---\nextends: claude\n---\n",
		"bottles/bad.md":   "---\nisolation: chroot\nenvv: {}\nextends: gone\n---\n",
		"bottles/child.md": "---\nextends: gone\n---\n",
		"bottles/ask.md":   "---\nsupervise: true\n---\n",
		"bottles/Good.md":  "---\n---\n",
		"agents/a.md":      "---\nbottle: relase\n---\n",
		"agents/b.md":      "---\nbottle: good\nskills: [x]\n---\n",
		"agents/c.md":      "---\nbottle: gemini\n---\n",
		"README.md":        "# not ours\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"agents/a.md bottle", "agents/b.md skills", "bottles/Good.md ", "bottles/ask.md supervise", "bottles/bad.md isolation", "bottles/bad.md envv",
		"bottles/child.md extends", "bottles/good.md ",
	}
	out, errors, code := verb(t, "validate", dir, "--bottles-dir", filepath.Join(dir, "none"), "--json")
	var doc validateDocument
	if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Schema != 1 || len(doc.Files) != 8 || code != runner.ExitUsage {
		t.Fatalf("%v, %d\n%s", err, code, out)
	}
	found := map[string]bool{}
	for _, f := range doc.Faults {
		rel, _ := filepath.Rel(dir, f.File)
		found[rel+" "+f.Key] = true
		if !strings.Contains(errors, f.Message) {
			t.Errorf("%q is not printed:\n%s", f.Message, errors)
		}
	}
	for _, w := range want {
		if !found[w] {
			t.Errorf("%s is not found in\n%s", w, out)
		}
	}
	if out, errors, _ := verb(t, "validate", filepath.Join(dir, "agents", "c.md")); out != "files: 1, faults: 0\n" {
		t.Errorf("a good file: %s%s", out, errors)
	}
	if _, errors, code := verb(t, "validate", filepath.Join(dir, "absent")); code != runner.ExitUsage || !strings.Contains(errors, "looking for files") {
		t.Errorf("no file: %d %s", code, errors)
	}
}

func TestHostkeyWantsAnAddress(t *testing.T) {
	for _, args := range [][]string{{"hostkey"}, {"hostkey", "git@host:x/y"}} {
		if _, errors, code := verb(t, args...); !strings.Contains(errors, "HOST") {
			t.Errorf("%q: %d %s", args, code, errors)
		}
	}
}

func TestTheTaskComesFromOnePlace(t *testing.T) {
	dir := t.TempDir()
	file, empty, latin, big, fifo := filepath.Join(dir, "task"), filepath.Join(dir, "empty"), filepath.Join(dir, "latin"), filepath.Join(dir, "big"), filepath.Join(dir, "fifo")
	for path, content := range map[string]string{file: "Mend it.\n", empty: " \n", latin: "caf\xe9"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	sparse, err := os.Create(big) // 200 MB that take no room
	if err == nil {
		err = sparse.Truncate(200 << 20)
		sparse.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flags runFlags
		want  string // the task, or after "error: " a part of the error
	}{
		{runFlags{}, ""},
		{runFlags{prompt: "Say it"}, "Say it"},
		{runFlags{promptFile: file}, "Mend it.\n"},
		{runFlags{promptFile: "-"}, "from stdin"},
		{runFlags{prompt: "a", promptFile: file}, "error: --prompt: reading the task: it is given twice, by --prompt and by --prompt-file"},
		{runFlags{promptFile: filepath.Join(dir, "absent")}, "error: --prompt-file: opening the task \"" + dir + "/absent\": open "},
		{runFlags{promptFile: dir}, "it is not a regular file"},
		{runFlags{promptFile: fifo}, "it is not a regular file"},
		{runFlags{promptFile: empty}, "it is empty"},
		{runFlags{promptFile: latin}, "it is not in UTF-8"},
		{runFlags{promptFile: big}, "it has more than 1048576 bytes"},
	} {
		got, err := promptOf(c.flags, strings.NewReader("from stdin"))
		if err != nil {
			got = term.Explain(err)
			if !strings.Contains(got, "\nhint: ") {
				t.Errorf("%+v has no hint: %s", c.flags, got)
			}
		}
		if err == nil && got != c.want || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q", c.flags, got)
		}
	}
}

func TestADryRunsTaskIsNoCommandOfTheRunners(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		req := runner.Request{Bottles: []string{"claude"}, Prompt: "Look:\n::add-mask::x\n##[error]y\n", Lookup: os.LookupEnv}
		err := dryRun(t.Context(), &out, req, asJSON)
		if runner.CodeOf(err) != runner.ExitUsage || !strings.Contains(out.String(), "Look:") {
			t.Errorf("%v\n%s", err, &out)
		}
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "::") || strings.Contains(line, "##[") {
				t.Errorf("a runner would act on %q", line)
			}
		}
	}
}
