package runner

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/term"
)

func TestExitCodeIsTheMostTellingOfSeveral(t *testing.T) {
	stage := func(s term.Stage) error { return term.Errorf(s, "", "doing it: %w", context.DeadlineExceeded) }
	for _, c := range []struct {
		name string
		errs []error
		want ExitCode
	}{
		{"nothing", nil, ExitOK},
		{"only nil", []error{nil, nil}, ExitOK},
		{"manifest", []error{stage(term.StageManifest)}, ExitUsage},
		{"ledger", []error{stage(term.StageLedger)}, ExitPreflight},
		{"launch", []error{stage(term.StageLaunch)}, ExitUnproven},
		{"agent before settle", []error{stage(term.StageSettle), AgentError{Code: 3}}, ExitAgent},
		{"settle before post", []error{stage(term.StagePost), stage(term.StageSettle)}, ExitSettle},
		{"time limit before a broken guest", []error{fmt.Errorf("%w", ErrBroken), TimeLimitError{time.Second}}, ExitTimeLimit},
		{"broken while it was proven", []error{term.Errorf(term.StageProve, "", "probing: %w", ErrBroken)}, ExitUnproven},
		{"interrupt", []error{fmt.Errorf("waiting: %w", SignalError{syscall.SIGINT})}, ExitInterrupted},
		{"terminate", []error{SignalError{syscall.SIGTERM}}, ExitTerminated},
		{"starter gone", []error{ErrStarterGone, AgentError{Code: 1}}, ExitTerminated},
		{"unproven before everything that follows", []error{AgentError{Code: 1}, stage(term.StageProve)}, ExitUnproven},
		{"unknown", []error{fmt.Errorf("anything")}, ExitBroken},
	} {
		if got := CodeOf(c.errs...); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
