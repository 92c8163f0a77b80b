//go:build !linux

package lifeline

import (
	"context"
	"os"
	"time"
)

// parentPoll is how often the parent is looked at where there are no pidfds.
const parentPoll = 100 * time.Millisecond

// watchParent closes dead when the process pid is no longer our parent.
func watchParent(ctx context.Context, pid int, dead chan<- struct{}) error {
	go func() {
		tick := time.NewTicker(parentPoll)
		defer tick.Stop()
		for os.Getppid() == pid {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		close(dead)
	}()
	return nil
}
