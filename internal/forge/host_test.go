package forge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func hostFile(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "forges.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func nothing(string) (string, bool) { return "", false }

func TestTheHostsCredentialIsForItsServerAlone(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := hostFile(t, `{"forges": [{"url": "https://gitea.example/", "token": "file:`+token+`"}]}`, 0o644)
	for server, want := range map[string]string{
		"https://gitea.example": "s3cret", "https://GITEA.example/": "s3cret", "http://gitea.example": "", "https://gitea.example:8443": "",
		"https://gitea.example/sub": "", "https://gitea.example.evil": "", "https://gitea.example@evil": "", "": "",
	} {
		got, err := hostCredential(path, server, nothing, os.Getuid())
		if err != nil || got.Reveal() != want {
			t.Errorf("%q: %q, %v", server, got.Reveal(), err)
		}
	}
	if _, err := hostCredential(path, "https://gitea.example", nothing, os.Getuid()+1); err == nil || !strings.Contains(err.Error(), "others than root can change it") {
		t.Errorf("somebody else's file: %v", err)
	}
	if got, err := HostCredential(path+".missing", "https://gitea.example", nothing); err != nil || !got.IsEmpty() {
		t.Errorf("without a file: %v, %v", got, err)
	}
}

func TestWhatIsWrongInTheHostsForges(t *testing.T) {
	for content, want := range map[string]string{
		``:                           "EOF",
		`{"forges": []} x`:           "something follows",
		`{"forge": []}`:              "unknown field",
		`{"forges": [{"url": "x"}]}`: "is not that of a server",
		`{"forges": [{"url": "https://u:p@x", "token": "file:/x"}]}`: "is not that of a server",
		`{"forges": [{"url": "https://x", "token": "ghp_secret"}]}`:  "none of env:NAME",
		`{"forges": [{"url": "https://x", "token": "env:TOKEN"}]}`:   "would be the job's under a runner",
		strings.Repeat(" ", maxHostFile+1):                           "more than",
	} {
		_, err := hostCredential(hostFile(t, content, 0o644), "https://x", nothing, os.Getuid())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "ghp_secret") {
			t.Errorf("%.40q: %v", content, err)
		}
	}
	if _, err := hostCredential(hostFile(t, `{}`, 0o666), "https://x", nothing, os.Getuid()); err == nil {
		t.Error("a file that all can write was taken")
	}
	missing := hostFile(t, `{"forges": [{"url": "https://x", "token": "file:/nonexistent"}]}`, 0o644)
	if _, err := hostCredential(missing, "https://x", nothing, os.Getuid()); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
}

func FuzzHostFile(f *testing.F) {
	f.Add([]byte(`{"forges": [{"url": "https://gitea.example", "token": "credential:gitea"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		config, err := parseHostFile(b)
		for _, forge := range config.Forges {
			if err == nil && strings.HasPrefix(string(forge.Token), "env:") {
				t.Errorf("a token from the environment was taken: %q", b)
			}
		}
	})
}
