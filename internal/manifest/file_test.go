package manifest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/manifest"
)

func TestByteOrderMarkAndCRLFAreTaken(t *testing.T) {
	a, err := manifest.LoadAgent(writeRaw(t, manifest.Agents, "dev", "\ufeff--- \r\nprovider: command\r\ncommand: |\r\n  a\r\n  b\r\n---\r\n\r\nBe\r\nbrief.\r\n"))
	if err != nil || a.Prompt != "Be\nbrief." || a.Command[2] != "a\nb\n" {
		t.Errorf("the agent is %+v, %v", a, err)
	}
}

func TestAFileWithoutBodyIsTaken(t *testing.T) {
	if a, err := manifest.LoadAgent(writeRaw(t, manifest.Agents, "dev", "---\nprovider: command\n---")); err != nil || a.Prompt != "" {
		t.Errorf("the agent is %+v, %v", a, err)
	}
}

func TestWhatIsWrongWithAFile(t *testing.T) {
	for content, want := range map[string]string{
		"":                         "dev.md:1: there is no front matter",
		"provider: command":        "dev.md:1: there is no front matter",
		"\n---\n---\n":             "dev.md:1: there is no front matter",
		"---\nprovider: command\n": "dev.md:1: the front matter has no end",
		"---":                      "dev.md:1: the front matter has no end",
		"---\na: \xff\n---\n":      "dev.md:2: it is not in UTF-8",
		"---\n---\n\n\xc3(":        "dev.md:4: it is not in UTF-8",
		"---\na: \x00\n---\n":      "dev.md:2: it has the control character U+0000",
		"---\n---\nx\x1b[2J":       "dev.md:3: it has the control character U+001B",
		"---\na: \u202ebad\n---\n": "dev.md:2: it has the control character U+202E",
		"---\na: b\rc: d\n---\n":   "dev.md:2: it has the control character U+000D",
		"---\n#" + strings.Repeat("x", 70_000) + "\n---\n": "dev.md:1: the front matter has more than 65536 bytes",
		"---\n---\n" + strings.Repeat("x", 2<<20):          "dev.md: it has more than 1048576 bytes",
	} {
		path := writeRaw(t, manifest.Agents, "dev", content)
		_, err := manifest.LoadAgent(path)
		if got := explain(path, err); !strings.HasPrefix(got, "error: "+want+"\n") {
			t.Errorf("%.40q says\n%s", content, got)
		}
	}
}

func TestOnlyRegularFilesWithAProperNameAreRead(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo.md")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	shouting := filepath.Join(dir, "LOUD.md")
	text := filepath.Join(dir, "agent.txt")
	for _, path := range []string{shouting, text} {
		if err := os.WriteFile(path, []byte("---\nprovider: command\n---\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		dir:                             "it is not a regular file",
		fifo:                            "it is not a regular file",
		filepath.Join(dir, "absent.md"): "no such file",
		shouting:                        `"LOUD" is not a name of lower-case letters`,
		text:                            `its name doesn't end with ".md"`,
	} {
		if _, err := manifest.LoadAgent(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestABottleOfTenMegabytesIsRefusedUnread(t *testing.T) {
	path := writeRaw(t, manifest.Bottles, "dev", "---\n---\n"+strings.Repeat("x", 10<<20))
	_, err := manifest.LoadBottle(path)
	if got, want := explain(path, err), "error: dev.md: it has more than 1048576 bytes\n"; got != want {
		t.Errorf("it says\n%s", got)
	}
}

// Each level would be nine times the one before.
func TestAnchorsThatWouldExplodeAreRefusedAtOnce(t *testing.T) {
	yaml := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 20; i++ {
		yaml += fmt.Sprintf("a%d: &a%[1]d [%s]\n", i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "))
	}
	path := write(t, manifest.Bottles, "dev", yaml+"env: *a19\negress: {routes: *a19}")
	began := time.Now()
	_, err := manifest.LoadBottle(path)
	got := explain(path, err)
	for _, want := range []string{"env: it is a YAML alias, not keys and values", "egress.routes: it is a YAML alias, not a list"} {
		if !strings.Contains(got, want) {
			t.Errorf("it says\n%s", got)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestLinesCountWithAByteOrderMarkAndCRLF(t *testing.T) {
	path := writeRaw(t, manifest.Bottles, "dev", "\ufeff---\r\nenv:\r\n  A: b\r\nisolatoin: vm\r\n---\r\n")
	_, err := manifest.LoadBottle(path)
	if got, want := explain(path, err), "error: dev.md:4: isolatoin: unknown key\nhint: did you mean \"isolation\"?\n"; got != want {
		t.Errorf("it says\n%s", got)
	}
}

// FuzzLoad looks for panics and for time that grows out of bounds; what is taken
// has to be valid, and what is shown of it has to be taken as the same.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		whole, "a: [", "? [a]\n: b", "a: &x *x", "{a: {b: c}}", "- - - a", "a: |\n  b", "a: 'x", "\"\\uD800\"", "!!map {}", "%YAML 1.2\n---\na: b",
		"extends: base\nfor: {repositories: [a/*]}\nsupervise: true\nagent_provider: {template: claude, allow: [\"beta:x\"]}",
		"git-gate:\n  user: {name: a}\n  repos:\n    " + repo("r"), "env: {A: ?x, B: \"${C}\"}\negress: {presets: [npm]}",
	} {
		f.Add([]byte(seed))
	}
	path := filepath.Join(f.TempDir(), "dev.md")
	f.Fuzz(func(t *testing.T, yaml []byte) {
		content := append(append([]byte("---\n"), yaml...), "\n---\n"...)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := manifest.LoadBottle(path); err == nil {
			if err := b.Policy.Validate(); err != nil {
				t.Fatalf("a bottle was taken whose policy is wrong: %v", err)
			}
			_ = b.CheckFor(manifest.Job{Repository: "a/b", Event: "push", Ref: "refs/heads/main"})
			shownAgain(t, path, b)
		}
		_, _ = manifest.ParseAgent("0:dev.md", content)
	})
}

func shownAgain(t *testing.T, path string, b manifest.Bottle) {
	shown, err := manifest.YAML(manifest.Merge(b, b).Effective())
	if err != nil {
		t.Fatal(err)
	}
	if len(b.For) > 0 { // two of them are shown as a list
		if shown, err = manifest.YAML(b.Effective()); err != nil {
			t.Fatal(err)
		}
	}
	if len(shown) > 60<<10 { // more than front matter may have
		return
	}
	if err := os.WriteFile(path, []byte("---\n"+shown+"\n---\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := manifest.LoadBottle(path)
	if err != nil {
		t.Fatalf("what is shown is not taken: %v\n%s", err, shown)
	}
	if len(again.Policy.Egress.Routes) < len(b.Policy.Egress.Routes) || again.Policy.Isolation != b.Policy.Isolation || len(again.Env) != len(b.Env) {
		t.Fatalf("what is shown is another bottle:\n%s", shown)
	}
}
