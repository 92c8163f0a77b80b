//go:build mutation

package journal

import (
	"os"
	"syscall"
	"time"
)

// crash kills this process if it was asked to die here, as nothing else does:
// no deferred call and no signal handler runs.
func crash(at CrashPoint, kind string) {
	wanted := os.Getenv(CrashVariable)
	if wanted != string(at) && wanted != string(at)+"@"+kind {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until the signal is delivered
}

// landing is landsIn, or what a test wants in its place.
func landing(landsIn time.Duration) time.Duration {
	if wanted, err := time.ParseDuration(os.Getenv(LandsVariable)); err == nil && landsIn > 0 {
		return wanted
	}
	return landsIn
}
