package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"github.com/bot-bottle/action/internal/term"
)

// ApplyOptions say how a patch is put on a checkout.
type ApplyOptions struct {
	Check bool // only find out whether it would go
}

// Conflict is one file that a patch doesn't fit on.
type Conflict struct {
	Path   string
	Reason string
}

// ConflictError is a patch that doesn't fit on a folder. Nothing was changed.
type ConflictError struct {
	Conflicts []Conflict // at least one, in the order of the patch
}

// Error lists the first conflicts.
func (e *ConflictError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the patch doesn't fit: %d conflicts, nothing was changed", len(e.Conflicts))
	for i, conflict := range e.Conflicts {
		if i == maxRefusalsShown {
			fmt.Fprintf(&b, "\nand %d more", len(e.Conflicts)-i)
			break
		}
		fmt.Fprintf(&b, "\n%q: %s", conflict.Path, conflict.Reason)
	}
	return b.String()
}

// maxTreeBytes bounds what the files of one patch may hold, before and after
// together: they are kept in memory until all of them are known to fit.
const maxTreeBytes = 1 << 30

// Apply puts a patch on the files in dir: all of it, or nothing. It never runs
// git and doesn't touch the repository, so the changes are there as after
// editing.
//
// A file must be what the patch was made from: by its object id, or, for text,
// by all context and removed lines in their place. Files that are kept with
// CRLF although git stores LF are compared and written accordingly. No symbolic
// link is followed, not even one that stays in dir; a link, a folder or a
// device in the way is a conflict. Each file is replaced whole by a rename;
// permissions other than the execute bits, and the owner, stay.
//
// Errors are of stage collect; a *ConflictError says that the patch doesn't fit.
// After any other error what was changed has been put back, unless the error
// says otherwise. Ending ctx is heeded until the first file is replaced.
func Apply(ctx context.Context, dir string, p *Patch, opts ApplyOptions) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return term.Errorf(term.StageCollect, "", "opening folder %q: %w", dir, err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	steps, err := plan(ctx, root, p)
	if err != nil {
		return &term.Error{Stage: term.StageCollect, Subject: fmt.Sprintf("folder %q", dir), Err: err}
	}
	if opts.Check {
		return nil
	}
	if err := perform(ctx, root, steps); err != nil {
		return &term.Error{Stage: term.StageCollect, Subject: fmt.Sprintf("folder %q", dir), Err: err}
	}
	return nil
}

// step is what happens to one file.
type step struct {
	path   string
	before *state // nil: the file isn't there
	after  *state // nil: the file goes
}

// state is a file's content and permissions.
type state struct {
	content []byte
	mode    fs.FileMode
	info    fs.FileInfo // of the file that was read; nil for one that is to be made
}

// plan works out all steps without changing anything.
func plan(ctx context.Context, root *os.Root, p *Patch) ([]step, error) {
	var steps []step
	var conflicts []Conflict
	var total int64
	siblings := siblings{}
	for _, file := range p.files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		planned, err := planFile(root, file, siblings)
		if conflict, ok := errors.AsType[*conflictError](err); ok {
			conflicts = append(conflicts, Conflict{pathOf(file), conflict.Error()})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", pathOf(file), err)
		}
		if total += planned.size(); total > maxTreeBytes {
			return nil, fmt.Errorf("reading files: they hold more than %d bytes", maxTreeBytes)
		}
		steps = append(steps, planned)
	}
	if len(conflicts) > 0 {
		return nil, &ConflictError{Conflicts: conflicts}
	}
	return steps, nil
}

func (s step) size() int64 {
	var n int64
	for _, state := range []*state{s.before, s.after} {
		if state != nil {
			n += int64(len(state.content))
		}
	}
	return n
}

// conflictError is a reason for which one file doesn't fit.
type conflictError struct{ reason string }

func (e *conflictError) Error() string { return e.reason }

func conflictf(format string, args ...any) error {
	return &conflictError{fmt.Sprintf(format, args...)}
}

// planFile works out one step.
func planFile(root *os.Root, file *gitdiff.File, siblings siblings) (step, error) {
	path := pathOf(file)
	dir, rest, err := openToward(root, path)
	if err != nil {
		return step{}, err
	}
	defer dir.root.Close()
	if file.IsNew {
		if err := siblings.checkAbsent(dir, rest[0]); err != nil {
			return step{}, err
		}
		return planNew(file, path)
	}
	if len(rest) > 1 {
		return step{}, conflictf("it isn't there")
	}
	before, err := readState(dir.root, rest[0])
	if err != nil {
		return step{}, err
	}
	after, err := changed(file, before)
	return step{path: path, before: before, after: after}, err
}

func planNew(file *gitdiff.File, path string) (step, error) {
	after, err := changed(file, &state{})
	return step{path: path, after: after}, err
}

// readState reads a file that a patch changes.
func readState(folder *os.Root, name string) (*state, error) {
	info, err := folder.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, conflictf("it isn't there")
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, conflictf("it isn't a plain file here")
	}
	if info.Size() > maxTreeBytes {
		return nil, conflictf("it is larger than %d bytes", maxTreeBytes)
	}
	content, opened, err := readFile(folder, name)
	if err != nil {
		return nil, err
	}
	if !os.SameFile(info, opened) {
		return nil, conflictf("it is being changed")
	}
	return &state{content: content, mode: opened.Mode().Perm(), info: opened}, nil
}
