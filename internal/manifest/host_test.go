package manifest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/testenv"
)

func config(t *testing.T, content string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTheHostNamesItsFolderOfBottles(t *testing.T) {
	for content, want := range map[string]string{"": "", "# nothing\n": "", "bottles_dir: /srv/bottles\n": "/srv/bottles"} {
		if c, err := manifest.LoadConfigOf(config(t, content), os.Getuid()); err != nil || c.BottlesDir != want {
			t.Errorf("%q: %+v, %v", content, c, err)
		}
	}
	if c, err := manifest.LoadConfigOf(filepath.Join(t.TempDir(), "absent"), os.Getuid()); err != nil || !reflect.DeepEqual(c, manifest.Config{}) {
		t.Errorf("without a file: %+v, %v", c, err)
	}
}

func TestWhatIsWrongInTheHostsConfiguration(t *testing.T) {
	for content, want := range map[string]string{
		"bottles_dir: bottles":                   `config.yaml:1: bottles_dir: "bottles" is not an absolute path`,
		"bottle_dir: /x":                         `config.yaml:1: bottle_dir: unknown key`,
		"bottles_dir: &x /x":                     "it is a YAML anchor, not text",
		"[":                                      "is not YAML",
		"forge: []":                              "forge: unknown key",
		"forges: [{url: \"https://x\"}]":         "token",
		"forges: [{url: x, token: \"file:/x\"}]": "config.yaml:1: forges[0].url: it is not the URL of a server",
		"forges: [{url: \"https://u:p@x\", token: \"file:/x\"}]":                  "it is not the URL of a server",
		"forges: [{url: \"https://x/?a=b\", token: \"file:/x\"}]":                 "it is not the URL of a server",
		"forges: [{url: \"https://x\", token: ghp_secret}]":                       "none of env:NAME",
		"forges: [{url: \"https://x\", token: \"env:TOKEN\"}]":                    "would be the job's",
		"forges: [{url: \"https://x\", token: \"file:/x\", ssh: \"git@x/y\"}]":    "is no SSH server",
		"forges: [{url: \"https://x\", token: \"file:/x\", host_key: \"rsa x\"}]": "is not an SSH host key",
		strings.Repeat("#", 2<<20):                                                "it has more than 1048576 bytes",
	} {
		if _, err := manifest.LoadConfigOf(config(t, content), os.Getuid()); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "ghp_secret") {
			t.Errorf("%.60q: %v", content, err)
		}
	}
}

func TestTheHostSetsItsBackends(t *testing.T) {
	digest := strings.Repeat("0a", 32)
	c, err := manifest.LoadConfigOf(config(t, "docker: {runtime: runsc-bottle}\nsmolmachines: {mode: allowlist, strict_version: true, sha256: {smolvm: \""+digest+"\"}}\n"), os.Getuid())
	want := manifest.HostSmolvm{Mode: manifest.SmolvmAllowlist, StrictVersion: true, SHA256: map[string]string{"smolvm": digest}}
	if err != nil || c.Docker.Runtime != "runsc-bottle" || !reflect.DeepEqual(c.Smolvm, want) {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestTheHostNamesItsForges(t *testing.T) {
	c, err := manifest.LoadConfigOf(config(t, "forges:\n  - {url: \"https://gitea.example\", token: \"credential:gitea\"}\n  - {url: http://other:3000/x, token: file:/etc/t}\n"), os.Getuid())
	want := []manifest.HostForge{{URL: "https://gitea.example", Token: "credential:gitea"}, {URL: "http://other:3000/x", Token: "file:/etc/t"}}
	if err != nil || !slices.Equal(c.Forges, want) {
		t.Errorf("got %+v, %v", c, err)
	}
}

// What anybody but root could have written is not the host's configuration.
func TestAConfigurationThatOthersCanChangeIsRefused(t *testing.T) {
	writable, inWritable, linked := config(t, "bottles_dir: /x"), config(t, "bottles_dir: /x"), config(t, "bottles_dir: /x")
	file := filepath.Join(linked, "config.yaml")
	for _, err := range []error{
		os.Chmod(filepath.Join(writable, "config.yaml"), 0o664), os.Chmod(inWritable, 0o775),
		os.Rename(file, file+".real"), os.Symlink(file+".real", file),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{writable, inWritable, linked} {
		if _, err := manifest.LoadConfigOf(dir, os.Getuid()); err == nil || !strings.Contains(err.Error(), "others than root can change") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if _, err := manifest.LoadConfigOf(config(t, "bottles_dir: /x"), os.Getuid()+1); err == nil {
		t.Error("somebody else's file is taken")
	}
}

// writableAs asks as an ordinary user, in a process of its own.
func writableAs(t *testing.T, path string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(testenv.ShortDir(t), "test")
	content, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(copied), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copied, "-test.run=TestMain")
	cmd.Dir = "/"
	cmd.Env = []string{"WRITABLE=" + path}
	if os.Getuid() == 0 {
		testenv.As(testenv.UnprivilegedID, cmd)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestMain(m *testing.M) {
	if path := os.Getenv("WRITABLE"); path != "" {
		os.Stdout.WriteString(manifest.Writable(path))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestWhereARunnersUserCanWriteIsFound(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Skip(t, "it needs root: an ordinary user has no folder that isn't his")
	}
	dir := testenv.ShortDir(t)
	bottles := filepath.Join(dir, "etc", "bottles")
	file := filepath.Join(bottles, "dev.md")
	for _, err := range []error{os.Chmod(dir, 0o755), os.MkdirAll(bottles, 0o755), os.WriteFile(file, nil, 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := writableAs(t, file); got != "" { // the sticky folder of temporary files is above
		t.Fatalf("%q can be written from the beginning", got)
	}
	for _, c := range []struct {
		want       string
		make, undo func() error
	}{
		{file, func() error { return os.Chmod(file, 0o666) }, func() error { return os.Chmod(file, 0o644) }},
		{bottles, func() error { return os.Chmod(bottles, 0o777) }, func() error { return os.Chmod(bottles, 0o755) }},
		{filepath.Join(dir, "etc"), func() error { return os.Chown(filepath.Join(dir, "etc"), testenv.UnprivilegedID, 0) },
			func() error { return os.Chown(filepath.Join(dir, "etc"), 0, 0) }},
		{file, func() error { return os.Chown(file, testenv.UnprivilegedID, 0) }, func() error { return os.Chown(file, 0, 0) }},
	} {
		if err := c.make(); err != nil {
			t.Fatal(err)
		}
		if got := writableAs(t, file); got != c.want {
			t.Errorf("it found %q, not %q", got, c.want)
		}
		if err := c.undo(); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "link.md")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(bottles, 0o777); err != nil {
		t.Fatal(err)
	}
	if got := writableAs(t, link); got != bottles {
		t.Errorf("behind a link it found %q", got)
	}
}
