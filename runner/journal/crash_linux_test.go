//go:build mutation

package journal

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"

	"github.com/bot-bottle/action/runner/internal/child"
)

// killed runs a child that is to kill itself at point, and checks that it did.
func killed(t *testing.T, w world, name, point string) {
	t.Helper()
	out, err := w.command(name, CrashVariable+"="+point).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the %s was not killed at %s: %v: %s", name, point, err, out)
	}
}

func TestMutationAJobKilledAnywhereLeavesNothingAfterReap(t *testing.T) {
	for _, point := range CrashPoints() {
		for _, at := range pointsOf(point) {
			t.Run(at, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				killed(t, w, "job", at)
				if report := w.reap(t); len(report.Remainders) > 0 {
					t.Errorf("remainders: %+v", report.Remainders)
				}
				w.nothingLeft(t)
			})
		}
	}
}

func TestMutationAReapKilledAnywhereIsFinishedByTheNext(t *testing.T) {
	for _, point := range []CrashPoint{BeforeUndo, AfterUndo, AfterDrop, BeforeClose, AfterSettled} {
		for _, at := range pointsOf(point) {
			t.Run(at, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				p := child.Start(t, w.command("live"))
				p.MustLine(t)
				p.Kill(t)
				killed(t, w, "reap", at)
				w.reap(t)
				w.nothingLeft(t)
			})
		}
	}
}

// pointsOf gives the point at each effect of the small job, or alone where it
// lies in none.
func pointsOf(point CrashPoint) []string {
	if point == BeforeClose || point == AfterSettled {
		return []string{string(point)}
	}
	var all []string
	for _, kind := range []string{"alias", "folder", "guest"} {
		all = append(all, string(point)+"@"+kind)
	}
	return all
}

func TestMutationAnUnknownCrashPointKillsNothing(t *testing.T) {
	w := newWorld(t)
	if out, err := w.command("job", CrashVariable+"=nowhere").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w.nothingLeft(t)
}
