package e2e

import (
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/modeltest"
	"github.com/bot-bottle/action/internal/report"
)

// A model that goes on for ever is stopped by the bottle, not by the agent: Claude
// Code is refused its next call, and ends.
func TestARunEndsWhenItsTokensAreUsedUp(t *testing.T) {
	const limit, each, calls = 150_000, 40_010, 20
	cli := claudeCLI
	cli.limits = "tokens: 150000"
	script := modeltest.Script{Final: "all of it is done", Input: 40_000}
	for range calls {
		script.Calls = append(script.Calls, cli.shell("echo again >>again.txt"))
	}
	w := newWorld(t, true)
	j := w.employ(cli, script)
	if j.code != 1 || strings.Contains(j.stdout, script.Final) || !strings.Contains(j.stdout+j.stderr, "limits.tokens") {
		t.Errorf("%s\n%s", j.result, w.decisions(j))
	}
	if log := w.decisions(j); !strings.Contains(log, `"verdict":"refuse","rule":"limits.tokens"`) {
		t.Errorf("the log has no refusal: %s", log)
	}
	r, err := report.ReadDir(j.report)
	w.must(err)
	u := r.Usage
	if u == nil || u.Calls == 0 || u.Calls >= calls || u.Estimated != 0 || u.Total() != u.Calls*each || u.Total() > limit || u.Unpriced != 0 || u.Cost == 0 {
		t.Errorf("the report has the usage %+v", u)
	}
	if brief := w.read(j.report, "report.md"); !strings.Contains(brief, "**model**: ") || !strings.Contains(brief, "| `limits.tokens` |") {
		t.Errorf("the report does not tell: %s", brief)
	}
	w.nothingLeft()
}
