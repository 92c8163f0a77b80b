package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/bot-bottle/action/internal/term"
)

// Fault is one thing that is wrong in a file.
type Fault struct {
	Path string
	Line int    // from 1; 0 is the file as a whole
	Key  string // such as "egress.routes[0].host"; empty: it is not about a key
	Err  error  // never nil
	Hint string // what helps; may be empty
}

// Error gives the key, where there is one, and the cause. The place is the
// subject of the *term.Error around it.
func (f *Fault) Error() string {
	if f.Key == "" {
		return f.Err.Error()
	}
	return f.Key + ": " + f.Err.Error()
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }

// FaultsIn gives every Fault in err's tree, in the order in which it is printed.
func FaultsIn(err error) []Fault {
	var all []Fault
	switch e := err.(type) {
	case nil:
		return nil
	case *Fault:
		return []Fault{*e}
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			all = append(all, FaultsIn(one)...)
		}
		return all
	}
	return FaultsIn(errors.Unwrap(err))
}

// asError gives faults in the order of files and lines, as one *term.Error or
// several that are joined; nil if there are none. A hint that the one before has
// given is not repeated.
func asError(faults []Fault) error {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
	var errs []error
	var lastHint string
	for _, f := range faults {
		e := f.asError()
		if f.Hint != "" && f.Hint != lastHint {
			e.WithHint("%s", f.Hint)
			lastHint = f.Hint
		}
		errs = append(errs, e)
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

func (f Fault) asError() *term.Error {
	e := &term.Error{Stage: term.StageManifest, Subject: f.Path, Err: &f}
	if f.Line > 0 {
		e.Subject = fmt.Sprintf("%s:%d", f.Path, f.Line)
	}
	return e
}
