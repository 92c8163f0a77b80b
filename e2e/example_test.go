package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFirstJobShowsWhatTheReadmeSays runs what `make run` runs, with this
// binary.
func TestFirstJobShowsWhatTheReadmeSays(t *testing.T) {
	w := newWorld(t, false)
	top, err := filepath.Abs("..")
	w.must(err)
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB"} {
		value, err := exec.Command("go", "env", name).Output()
		w.must(err)
		w.env = append(w.env, name+"="+strings.TrimSpace(string(value)))
	}
	w.env = append(w.env, "BOT_BOTTLE="+w.bin)
	cmd := exec.CommandContext(t.Context(), "sh", filepath.Join(top, "examples/first-job/run.sh"))
	cmd.Env, cmd.Dir = w.environment(), w.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"held", "passed (exit 0)", "1 file, +1 −1", "1 allowed, 8 refused", "3 doors saw this boot's nonce"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(string(out), "GOT OUT") || t.Failed() {
		t.Errorf("%s", out)
	}
	if _, err := os.Stat(filepath.Join(w.report(), "report.md")); err != nil {
		t.Error(err)
	}
	w.nothingLeft()
}
