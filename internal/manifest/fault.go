package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/bot-bottle/action/internal/term"
)

// fault is one thing that is wrong in a file.
type fault struct {
	line int // from 1; 0 is the file as a whole
	key  string
	err  error
	hint string // may be empty
}

// asError gives the faults of one file in the order of its lines, as one
// *term.Error or several that are joined; nil if there are none.
func asError(path string, faults []fault) error {
	slices.SortStableFunc(faults, func(a, b fault) int { return cmp.Compare(a.line, b.line) })
	var errs []error
	var lastHint string
	for _, f := range faults {
		e := f.asError(path)
		if f.hint != "" && f.hint != lastHint {
			e.WithHint("%s", f.hint)
			lastHint = f.hint
		}
		errs = append(errs, e)
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

func (f fault) asError(path string) *term.Error {
	e := &term.Error{Stage: term.StageManifest, Subject: path, Err: f.err}
	if f.line > 0 {
		e.Subject = fmt.Sprintf("%s:%d", path, f.line)
	}
	if f.key != "" {
		e.Err = fmt.Errorf("%s: %w", f.key, f.err)
	}
	return e
}
