package manifest_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

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

// FuzzLoad looks for panics and for time that grows out of bounds; what is taken
// has to be valid.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{whole, "a: [", "? [a]\n: b", "a: &x *x", "{a: {b: c}}", "- - - a", "a: |\n  b", "a: 'x", "\"\\uD800\"", "!!map {}", "%YAML 1.2\n---\na: b"} {
		f.Add([]byte(seed))
	}
	path := filepath.Join(f.TempDir(), "dev.md")
	f.Fuzz(func(t *testing.T, yaml []byte) {
		if err := os.WriteFile(path, append(append([]byte("---\n"), yaml...), "\n---\n"...), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := manifest.LoadBottle(path); err == nil {
			if err := b.Policy.Validate(); err != nil {
				t.Fatalf("a bottle was taken whose policy is wrong: %v", err)
			}
		}
		_, _ = manifest.LoadAgent(path)
	})
}
