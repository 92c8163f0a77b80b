package action

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// waiting says that it is up, and then that its lifeline has ended.
const waiting = `#!/bin/sh
if [ "$1" = version ]; then echo '{"schema": 1, "version": "1.2.3"}'; exit; fi
echo up; cat <&3 > /dev/null; echo over
`

// A runner that is killed ends none of its steps (kill(2) is for one process alone):
// the step has to notice.
func TestTheShimEndsWithTheRunnerThatWasKilled(t *testing.T) {
	w := newShim(t)
	binary := write(t, filepath.Join(w.dir, "bin/bot-bottle"), waiting)
	if err := exec.Command("chmod", "755", binary).Run(); err != nil {
		t.Fatal(err)
	}
	runner := exec.CommandContext(t.Context(), "sh", "-c", `node "$0"; true`, w.script("main.js")) // "; true" so that sh stays
	for name, value := range w.vars {
		runner.Env = append(runner.Env, name+"="+value)
	}
	runner.WaitDelay = time.Minute
	out, err := runner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "up" {
		t.Fatalf("it said %q", lines.Text())
	}
	if err := runner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || !strings.Contains(lines.Text(), "over") {
		t.Errorf("the binary was not told: %q, %v", lines.Text(), lines.Err())
	}
	runner.Wait()
}
