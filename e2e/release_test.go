package e2e

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/mutation/defences"
	"github.com/bot-bottle/action/internal/testenv"
)

// The binary that users get has no switch for any defence, nor the variable that
// throws them: neither's name is in it. The test build has them.
func TestReleaseHasNoSwitches(t *testing.T) {
	names := map[string]bool{mutation.Variable: true}
	for _, d := range defences.Table() {
		for _, p := range d.Points {
			names[string(p)] = true
		}
	}
	for tag, there := range map[string]bool{"": false, "mutation": true} {
		b, err := os.ReadFile(testenv.Binary(t, "github.com/bot-bottle/action/cmd/bot-bottle", strings.Fields(tag)...))
		if err != nil {
			t.Fatal(err)
		}
		for name := range names {
			if at := bytes.Index(b, []byte(name)); (at >= 0) != there {
				t.Errorf("%q in the build with tags %q: at %d", name, tag, at)
			}
		}
	}
}
