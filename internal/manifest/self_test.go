package manifest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/policy"
)

// selfOf resolves a bottle whose repository `self` has more, for a job of acme/web.
func selfOf(t *testing.T, more, configuration string) (policy.GitRemote, error) {
	t.Helper()
	c, err := manifest.LoadConfigOf(config(t, configuration), os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	b := bottle(t, "git-gate: {repos: {self: {"+more+"}}}")
	p, _, err := manifest.Resolve(b, manifest.Host{Self: c.Self("https://gitea.example:3000/", "acme/web")})
	if err != nil {
		return policy.GitRemote{}, err
	}
	return p.Git[0], nil
}

func TestSelfIsTheJobsRepository(t *testing.T) {
	const forge = "forges: [{url: \"https://gitea.example:3000\", token: \"file:/x\""
	for name, c := range map[string]struct{ bottle, config, url, hostKey string }{
		"the host's words":    {"key: {provider: gitea}", forge + ", ssh: \"git@ssh.example:2222\", host_key: \"" + hostKey + "\"}]", "ssh://git@ssh.example:2222/acme/web.git", hostKey},
		"the server's name":   {"key: {provider: gitea}, host_key: " + hostKey, forge + "}]", "ssh://git@gitea.example/acme/web.git", hostKey},
		"another forge's key": {"key: {provider: gitea}, host_key: " + hostKey, strings.Replace(forge, "gitea.example", "other.example", 1) + ", ssh: \"git@other.example\"}]", "ssh://git@gitea.example/acme/web.git", hostKey},
	} {
		g, err := selfOf(t, c.bottle, c.config)
		if err != nil || g.URL != c.url || g.HostKey != c.hostKey || g.Server != "https://gitea.example:3000/" || g.Forge != "gitea" || len(g.Push) != 1 {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
	}
}

func TestSelfThatCantBe(t *testing.T) {
	if _, err := selfOf(t, "key: {provider: gitea}", ""); err == nil || !strings.Contains(err.Error(), "nothing pins the server's host key") {
		t.Errorf("without a host key: %v", err)
	}
	b := bottle(t, "git-gate: {repos: {self: {key: {provider: gitea}, host_key: "+hostKey+"}}}")
	if _, _, err := manifest.Resolve(b, manifest.Host{}); err == nil || !strings.Contains(err.Error(), "there is no job") {
		t.Errorf("without a job: %v", err)
	}
	if (manifest.Config{}).Self("", "acme/web") != nil || (manifest.Config{}).Self("https://gitea.example", "") != nil {
		t.Error("a job of nothing")
	}
}
