package e2e

import (
	"bytes"
	"os"
	"syscall"
	"testing"

	"github.com/bot-bottle/action/internal/testenv"
)

func TestRootOfAContainerWithFewUserIDsIsToldSo(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Skip(t, "it takes root to map more than one id")
	}
	w := newWorld(t, false)
	few := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}
	cmd := w.command(t.Context(), "run", "--quiet", "--", "true")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: few, GidMappings: few,
		Credential: &syscall.Credential{Uid: 0, Gid: 0},
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	r := result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	refuses(t, r, 3, "gvisor: user namespaces: Root of this container has no user id to give to a guest.", "hint: start bot-bottle as an ordinary user", "give this container the ids from 1900000000 on")
	w.neverBegan()
}
