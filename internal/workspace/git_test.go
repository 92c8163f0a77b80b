package workspace

import (
	"os/exec"
	"strings"
	"testing"
)

// A repository may make git say a lot, in words of its own choice.
func TestWhatGitSaysIsOneBoundedLineOfAnError(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", `printf 'fatal: \033[31m\nbad' >&2; head -c 1000000 /dev/zero | tr '\0' 'x' >&2; exit 3`)
	err := run(cmd)
	if exitCode(err) != 3 || len(err.Error()) > 2*maxGitMessage || !strings.Contains(err.Error(), "fatal: [31m badxxx") {
		t.Errorf("got %d bytes: %.200q", len(err.Error()), err)
	}
	if strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Error("control characters are left")
	}
}
