package term

import (
	"errors"
	"fmt"
	"strings"
)

// Stage names the part of a job in which an error arose. The exit code is
// derived from it, in runner, and nowhere else.
type Stage string

// The stages of a job, in the order in which a job passes them.
const (
	StageUsage     Stage = "usage"     // flags, environment, arguments
	StageManifest  Stage = "manifest"  // bottle and agent files
	StagePreflight Stage = "preflight" // what this host can and can't do
	StageLedger    Stage = "ledger"    // the state folder and its database
	StageLaunch    Stage = "launch"    // from the first obligation to the started guest
	StageProve     Stage = "prove"     // the proof of confinement
	StageEscape    Stage = "escape"    // the sandbox-escape suite, before the agent
	StageWork      Stage = "work"      // the agent and the doors while it runs
	StageCollect   Stage = "collect"   // patch, log and report
	StagePost      Stage = "post"      // what goes to the forge
	StageSettle    Stage = "settle"    // the undoing
)

// Error is an error that a person will read: where it arose, on what, why, and
// what to do next. Err is a gerund phrase with its operand quoted and its cause
// wrapped ("opening ledger \"/x\": permission denied"); a secret's value is
// never part of it.
type Error struct {
	Stage   Stage
	Subject string   // the file, host, flag or obligation it is about; may be empty
	Err     error    // the cause; never nil
	Hints   []string // each a whole instruction, without the "hint:" prefix
}

// Errorf makes an Error whose cause is fmt.Errorf(format, args...).
func Errorf(stage Stage, subject, format string, args ...any) *Error {
	return &Error{Stage: stage, Subject: subject, Err: fmt.Errorf(format, args...)}
}

// WithHint adds an instruction and returns e.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hints = append(e.Hints, fmt.Sprintf(format, args...))
	return e
}

// Error gives one line: the subject, where there is one, and the cause.
func (e *Error) Error() string {
	if e.Subject == "" {
		return e.Err.Error()
	}
	return e.Subject + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// StageOf gives the stage of the outermost Error in err's chain, or fallback.
func StageOf(err error, fallback Stage) Stage {
	var e *Error
	if errors.As(err, &e) {
		return e.Stage
	}
	return fallback
}

// Explain renders err as the command line prints it: one "error:" line, then a
// "hint:" line for each hint in the chain. It ends with a newline.
func Explain(err error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "error: %s\n", strings.ReplaceAll(err.Error(), "\n", "\n       "))
	for _, hint := range Hints(err) {
		fmt.Fprintf(&b, "hint: %s\n", hint)
	}
	return b.String()
}

// Hints gives all hints in err's chain, outermost first.
func Hints(err error) []string {
	var all []string
	for err != nil {
		if e, ok := err.(*Error); ok {
			all = append(all, e.Hints...)
		}
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range many.Unwrap() {
				all = append(all, Hints(one)...)
			}
			return all
		}
		err = errors.Unwrap(err)
	}
	return all
}
