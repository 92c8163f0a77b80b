package forge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/secret"
)

func nothing(string) (string, bool) { return "", false }

func TestTheHostsCredentialIsForItsServerAlone(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	forges := []manifest.HostForge{{URL: "https://gitea.example/", Token: secret.Ref("file:" + token)}}
	for server, want := range map[string]string{
		"https://gitea.example": "s3cret", "https://GITEA.example/": "s3cret", "http://gitea.example": "", "https://gitea.example:8443": "",
		"https://gitea.example/sub": "", "https://gitea.example.evil": "", "https://gitea.example@evil": "", "": "",
	} {
		got, err := HostCredential(forges, server, nothing)
		if err != nil || got.Reveal() != want {
			t.Errorf("%q: %q, %v", server, got.Reveal(), err)
		}
	}
	forges[0].Token = "file:/nonexistent"
	if _, err := HostCredential(forges, "https://gitea.example", nothing); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
}
