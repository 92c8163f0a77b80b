package e2e

import (
	"context"
	"os/exec"
	"testing"

	"github.com/bot-bottle/action/backends/backendtest"
)

func TestGVisorPassesTheBackendKit(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		backendtest.Run(t, backendtest.Options{
			Backend:     "gvisor",
			Command:     func(ctx context.Context, args ...string) *exec.Cmd { return w.command(ctx, args...) },
			NothingLeft: func(testing.TB) { w.nothingLeft() },
		})
	})
}
