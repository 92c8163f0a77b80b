package manifest_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
)

var update = flag.Bool("update", false, "write the reference anew")

func TestReferenceIsWhatTheTableSays(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "reference", "manifest.md")
	if *update {
		if err := os.WriteFile(path, []byte(manifest.Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != manifest.Reference() {
		t.Errorf("%s is not what the table says (%v): go test ./internal/manifest -run Reference -update", path, err)
	}
}

var knownHere = regexp.MustCompile(`known here: (.*)`)

// The reader itself is asked which keys it knows, in every mapping that the table
// has.
func TestReferenceListsTheKeysThatAreRead(t *testing.T) {
	for kind, keys := range map[manifest.Kind][]manifest.KeyDoc{manifest.Bottles: manifest.BottleKeys(), manifest.Agents: manifest.AgentKeys()} {
		below := map[string][]string{} // mapping → its keys
		for _, k := range keys {
			i := strings.LastIndexByte(k.Key, '.')
			below[k.Key[:max(i, 0)]] = append(below[k.Key[:max(i, 0)]], k.Key[i+1:])
		}
		for mapping, want := range below {
			if slices.Equal(want, []string{"NAME"}) { // the file chooses these names
				continue
			}
			path := write(t, kind, "dev", nested(mapping))
			var err error
			if kind == manifest.Agents {
				_, err = manifest.LoadAgent(path)
			} else {
				_, err = manifest.LoadBottle(path)
			}
			found := knownHere.FindStringSubmatch(explain(path, err))
			if found == nil {
				t.Errorf("%s %q: %s", kind, mapping, explain(path, err))
				continue
			}
			slices.Sort(want)
			if got := strings.Split(found[1], ", "); !slices.Equal(got, want) {
				t.Errorf("%s %q: the keys are %q, the table has %q", kind, mapping, got, want)
			}
		}
	}
}

// nested gives YAML in which the mapping holds a key that nobody knows.
func nested(mapping string) string {
	const unknown = "qqqqqqqqqqqq: 1"
	if mapping == "" {
		return unknown
	}
	yaml := "{" + unknown + "}"
	parts := strings.Split(mapping, ".")
	for _, part := range slices.Backward(parts) {
		name, isList := strings.CutSuffix(part, "[]")
		if isList {
			yaml = "[" + yaml + "]"
		}
		yaml = fmt.Sprintf("{%s: %s}", name, yaml)
	}
	return yaml
}

func TestDefaultsOfTheReferenceHold(t *testing.T) {
	yaml, err := manifest.YAML(bottle(t, "").Effective())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range manifest.BottleKeys() {
		name, isLimit := strings.CutPrefix(k.Key, "limits.")
		line := "\n  " + name + ": "
		value := strings.Trim(k.Default, "`")
		if value == "none" && strings.Contains(yaml, line) {
			t.Errorf("%s is not %s:\n%s", k.Key, value, yaml)
		}
		if isLimit && value != "none" && !strings.Contains(yaml, line+value) {
			t.Errorf("%s is not %s:\n%s", k.Key, value, yaml)
		}
	}
}
