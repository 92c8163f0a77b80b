package manifest_test

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
)

// What is shown has to be what holds: put into a file, it makes the same policy.
func TestTheEffectiveBottleIsABottle(t *testing.T) {
	whole := strings.Replace(whole, "connect_to: 127.1:9000", "connect_to: 10.1:9000", 1)
	dir := files(t, map[string]string{
		"base": whole + "\n  presets: [npm, debian]",
		"over": "extends: base\nfor: {repositories: [a/*], refs: [refs/heads/main]}\nagent_provider: {template: codex, auth_token: \"file:/t\", allow: [files]}\n" +
			"env: {ASKED: \"?What is: it\", GREETING: \"- no list\\n\"}\ngit-gate: {user: {name: \"yes\"}}",
	})
	host := environment("HOST_KEY", "k3y", "GITHUB_TOKEN", "t0ken")
	host.Ask = ask
	first := merged(t, dir, "over")
	yaml, err := manifest.YAML(first.Effective())
	if err != nil {
		t.Fatal(err)
	}
	second := bottle(t, yaml)
	want, wantSecrets, err := manifest.Resolve(first, host)
	if err != nil {
		t.Fatal(err)
	}
	got, gotSecrets, err := manifest.Resolve(second, host)
	if err != nil {
		t.Fatalf("%s\n%v", yaml, err)
	}
	got.Bottle = want.Bottle
	if !reflect.DeepEqual(got, want) || len(gotSecrets) != len(wantSecrets) {
		a, _ := json.MarshalIndent(got, "", " ")
		b, _ := json.MarshalIndent(want, "", " ")
		t.Errorf("%s\nmakes\n%s\nnot\n%s", yaml, a, b)
	}
	if !reflect.DeepEqual(second.Provider, first.Provider) || !reflect.DeepEqual(second.For, first.For) || second.Git.User != first.Git.User {
		t.Errorf("%s\nmakes %+v", yaml, second)
	}
}

func TestTheEffectiveBottleShowsReferencesOfWhatIsNotHeldYet(t *testing.T) {
	b := bottle(t, "supervise: true\ngit-gate:\n  repos:\n    "+strings.TrimSuffix(repo("web"), "}")+", host_workflows: [.gitea/workflows/ci.yml]}")
	yaml, err := manifest.YAML(b.Effective())
	if err != nil || !strings.Contains(yaml, "supervise: true") || !strings.Contains(yaml, "git@forge.example:o/web.git") || !strings.Contains(yaml, "path: /keys/web") || !strings.Contains(yaml, "- .gitea/workflows/ci.yml") {
		t.Errorf("%s, %v", yaml, err)
	}
	again := bottle(t, yaml)
	if !reflect.DeepEqual(again.Git, b.Git) || !again.Supervise {
		t.Errorf("%s\nmakes %+v", yaml, again.Git)
	}
}

func TestSecretsAreNamedByWhereTheyGo(t *testing.T) {
	b := bottle(t, "env: {Z: \"${Z}\", A: ?Say, L: literal}\negress:\n  routes:\n"+
		"    - {host: a.example, auth: {token_ref: \"env:T\"}}\n    - {host: b.example, auth: {token_ref: \"env:T\"}}\n    - {host: c.example, auth: {token_ref: \"credential:c\"}}")
	entering, added := b.SecretNames()
	if strings.Join(entering, " ") != "A Z" || len(added) != 2 || added[0] != "credential:c" || added[1] != "env:T" {
		t.Errorf("%q enter, %q are added", entering, added)
	}
}

func TestSizesAreShownAsTheyAreRead(t *testing.T) {
	for _, size := range []string{"1GiB", "500MB", "65536KiB", "100TiB", "123MB", "99999kB"} {
		yaml, err := manifest.YAML(bottle(t, "limits: {egress_bytes: "+size+"}").Effective())
		if err != nil {
			t.Fatal(err)
		}
		b := bottle(t, yaml)
		if want := bottle(t, "limits: {egress_bytes: "+size+"}"); b.Policy.Limits.EgressBytes != want.Policy.Limits.EgressBytes {
			t.Errorf("%s is shown as\n%s", size, yaml)
		}
	}
}

func TestCostsAreShownAsTheyAreRead(t *testing.T) {
	for cost, micros := range map[string]int64{"5": 5_000_000, "5.00": 5_000_000, "0.1": 100_000, "12.345678": 12_345_678, "\"1.05\"": 1_050_000, "0.000001": 1} {
		b := bottle(t, "limits: {cost: "+cost+"}")
		yaml, err := manifest.YAML(b.Effective())
		if err != nil {
			t.Fatal(err)
		}
		if again := bottle(t, yaml); b.Policy.Limits.Cost != micros || again.Policy.Limits.Cost != micros {
			t.Errorf("%s is read as %d and shown as\n%s", cost, b.Policy.Limits.Cost, yaml)
		}
	}
}

func TestAnAgentMayComeFromBytes(t *testing.T) {
	a, err := manifest.ParseAgent("0123456789ab:.bot-bottle/agents/fixer.md", []byte("---\nbottle: dev\n---\nMend it."))
	if err != nil || a.Name != "fixer" || a.Bottle != "dev" || a.Prompt != "Mend it." {
		t.Errorf("%+v, %v", a, err)
	}
	for content, want := range map[string]string{
		"---\nbotle: dev\n---\n":    "0123:agents/fixer.md:2: botle: unknown key",
		strings.Repeat("x", 10<<20): "0123:agents/fixer.md: it has more than 1048576 bytes",
	} {
		if _, err := manifest.ParseAgent("0123:agents/fixer.md", []byte(content)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
	}
}

func TestFaultsAreForProgramsToo(t *testing.T) {
	path := write(t, manifest.Bottles, "dev", "isolation: chroot\nenvv: {}")
	_, err := manifest.LoadBottle(path)
	got := manifest.FaultsIn(err)
	if len(got) != 2 || got[0].Line != 2 || got[0].Key != "isolation" || got[0].Path != path || got[1].Key != "envv" || got[1].Hint != `did you mean "env"?` {
		t.Errorf("the faults are %+v", got)
	}
	if manifest.FaultsIn(nil) != nil || manifest.FaultsIn(filepath.ErrBadPattern) != nil {
		t.Error("there are faults where there are none")
	}
}
