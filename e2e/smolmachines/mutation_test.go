//go:build mutation

package smolmachines

import (
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/bot-bottle/action/internal/escape"
	"github.com/bot-bottle/action/internal/smolvmtest"
)

// leaky is what a smolvm that gives its guest a network has to turn red, at least.
const leaky = 10

// With the proof off, and the VMM's own network not taken, a smolvm that gives its
// guest a network is noticed by the suite, as it would be by the proof.
func TestMutationTheSuiteSeesTheNetworkOfAMachine(t *testing.T) {
	w := newWorld(t, true, smolvmtest.Config{Version: "1.9.3", Misbehaviours: []smolvmtest.Misbehaviour{smolvmtest.GuestNetwork}})
	w.mutate("given-unread,proof-negative")
	out, err := w.command(t.Context(), "escape", "--backend", "smolmachines", "--tier", "quick", "--json").Output()
	if e, is := err.(*exec.ExitError); is {
		t.Logf("%s", e.Stderr)
	}
	var report escape.Report
	if jerr := json.Unmarshal(out, &report); jerr != nil {
		t.Errorf("%v, %v: %s", jerr, err, out)
		return
	}
	var red []string
	for _, c := range report.Cases {
		if c.Verdict == escape.Leaked || c.Verdict == escape.Inconclusive {
			red = append(red, c.ID+" "+string(c.Verdict))
		}
	}
	t.Logf("red: %v; %s", red, report.Error)
	if len(red) < leaky {
		t.Errorf("%d cases are red, wanted %d: %v", len(red), leaky, red)
	}
	w.nothingLeft(t)
}
