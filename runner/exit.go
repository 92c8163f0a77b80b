package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/bot-bottle/action/internal/term"
)

// ExitCode is how `bot-bottle run` ends. It is decided here and nowhere else.
type ExitCode int

// The exit codes, from docs/reference.
const (
	ExitOK          ExitCode = 0
	ExitAgent       ExitCode = 1 // the agent ended with an error, or its result was refused
	ExitUsage       ExitCode = 2
	ExitPreflight   ExitCode = 3 // this host can't
	ExitUnproven    ExitCode = 4 // confinement could not be proven; no agent code ran
	ExitEscape      ExitCode = 5
	ExitPost        ExitCode = 6
	ExitSettle      ExitCode = 7 // something could not be undone; the ledger keeps it
	ExitBroken      ExitCode = 8 // the bottle or a door broke in mid-run
	ExitTimeLimit   ExitCode = 124
	ExitInterrupted ExitCode = 130
	ExitTerminated  ExitCode = 143
)

// precedence is the order in which codes count when a job has several.
var precedence = []ExitCode{
	ExitUsage, ExitPreflight, ExitUnproven, ExitEscape, ExitTimeLimit, ExitInterrupted, ExitTerminated,
	ExitBroken, ExitAgent, ExitSettle, ExitPost,
}

// ErrBroken is wrapped by what went wrong with the bottle or a door while the
// agent ran.
var ErrBroken = errors.New("the bottle broke")

// ErrStarterGone is the cause of a job's end when its starter has died.
var ErrStarterGone = errors.New("the process that started this job is gone")

// TimeLimitError is the cause of a job's end at its time limit.
type TimeLimitError struct{ Limit time.Duration }

// Error names the limit.
func (e TimeLimitError) Error() string { return fmt.Sprintf("time limit of %v reached", e.Limit) }

// SignalError is the cause of a job's end by a signal.
type SignalError struct{ Signal os.Signal }

// Error names the signal.
func (e SignalError) Error() string { return fmt.Sprintf("stopped by signal: %v", e.Signal) }

// AgentError tells that the agent ended by itself, and not well, or could not be
// started.
type AgentError struct {
	Code   int    // the agent's own, or as shells have it: 126, 127
	Reason string // why it could not be started, in the guest's words; may be empty
}

// Error gives the agent's own exit code, or the reason.
func (e AgentError) Error() string {
	if e.Reason != "" {
		return "starting the agent in the guest: " + e.Reason
	}
	return fmt.Sprintf("the agent ended with code %d", e.Code)
}

// CodeOf gives the exit code of a job with these errors, nil ones left out. Of failures
// each counts for itself.
func CodeOf(errs ...error) ExitCode {
	seen := map[ExitCode]bool{}
	for _, err := range parts(errs...) {
		seen[codeOf(err)] = true
	}
	for _, code := range precedence {
		if seen[code] {
			return code
		}
	}
	return ExitOK
}

// failures are errors of one job that arose side by side. Unlike a joined error's,
// each one's code counts.
type failures []error

// together gives what isn't nil of errs as one error, or nil.
func together(errs ...error) error {
	if all := parts(errs...); len(all) > 0 {
		return failures(all)
	}
	return nil
}

// Error gives one line for each.
func (f failures) Error() string { return errors.Join(f...).Error() }

// Unwrap gives each.
func (f failures) Unwrap() []error { return f }

// parts takes failures apart and leaves nil ones out.
func parts(errs ...error) []error {
	var all []error
	for _, err := range errs {
		if f, ok := err.(failures); ok { // not errors.As: one that is wrapped is one error
			all = append(all, f...)
		} else if err != nil {
			all = append(all, err)
		}
	}
	return all
}

func codeOf(err error) ExitCode {
	var limit TimeLimitError
	var signal SignalError
	var agent AgentError
	switch {
	case errors.As(err, &limit):
		return ExitTimeLimit
	case errors.As(err, &signal) && signal.Signal != syscall.SIGINT:
		return ExitTerminated
	case errors.As(err, &signal), errors.Is(err, context.Canceled):
		return ExitInterrupted
	case errors.Is(err, ErrStarterGone):
		return ExitTerminated
	case term.StageOf(err, "") == term.StageLaunch, term.StageOf(err, "") == term.StageProve:
		return ExitUnproven // whatever broke: no agent code ran
	case errors.As(err, &agent):
		return ExitAgent
	case errors.Is(err, ErrBroken):
		return ExitBroken
	}
	return map[term.Stage]ExitCode{
		term.StageUsage:     ExitUsage,
		term.StageManifest:  ExitUsage,
		term.StagePreflight: ExitPreflight,
		term.StageLedger:    ExitPreflight,
		term.StageLaunch:    ExitUnproven,
		term.StageProve:     ExitUnproven,
		term.StageEscape:    ExitEscape,
		term.StageWork:      ExitBroken,
		term.StageCollect:   ExitAgent,
		term.StagePost:      ExitPost,
		term.StageSettle:    ExitSettle,
	}[term.StageOf(err, term.StageWork)]
}
