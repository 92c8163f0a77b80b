package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/runner/journal"
	"github.com/bot-bottle/action/runner/ledger"
)

// The kinds of effects that a job has on its host. They stand in the ledger.
const (
	kindAlias      = "alias"
	kindWorkFolder = "work-folder"
	kindRunFolder  = "run-folder"
	kindDisk       = "disk"
	kindSidecar    = "sidecar"
	kindGuest      = "guest"
)

// ofGuest are the kinds that are undone before anything of the guest's is looked
// at: when they are, nothing of it runs any more.
var ofGuest = []string{kindGuest, kindSidecar}

// runArgs are the arguments of effects that are found by the run's id alone.
type runArgs struct {
	Run string `json:"run"`
}

func decodeRun(args json.RawMessage) (string, error) {
	var a runArgs
	if err := json.Unmarshal(args, &a); err != nil {
		return "", fmt.Errorf("reading the obligation: %w", err)
	}
	if !ledger.ValidRunID(a.Run) {
		return "", fmt.Errorf("reading the obligation: %q is not the id of a run", a.Run)
	}
	return a.Run, nil
}

// registry knows how to undo every kind, in any process.
func (d Deps) registry() journal.Registry {
	return journal.Registry{
		kindAlias:      undoAlias{ledger: d.Ledger},
		kindWorkFolder: undoFolder{parents: []string{d.Places.work()}},
		kindRunFolder:  undoFolder{parents: Runtimes(os.Getuid(), d.Places.State)},
		kindDisk:       undoFolder{parents: []string{d.Places.disks()}},
		kindSidecar:    undoSidecar{d.Places},
		kindGuest:      undoGuest{d.Backends},
	}
}

// afterGuest is for what a guest or sidecar that could not be ended still uses, or
// is found by.
type afterGuest struct{}

// After are the guest and the sidecar.
func (afterGuest) After() []string { return ofGuest }

type undoAlias struct {
	afterGuest
	ledger *ledger.Ledger
}

// Undo gives the alias of the run back.
func (u undoAlias) Undo(ctx context.Context, _ int, args json.RawMessage) error {
	run, err := decodeRun(args)
	if err != nil {
		return err
	}
	return u.ledger.ReleaseAlias(ctx, run)
}

type undoFolder struct {
	afterGuest
	parents []string // the folder is in one of them
}

// Undo removes the run's folder below the parents, following no link, and sees it
// gone.
func (u undoFolder) Undo(_ context.Context, _ int, args json.RawMessage) error {
	run, err := decodeRun(args)
	if err != nil {
		return err
	}
	var errs []error
	for _, parent := range u.parents {
		errs = append(errs, removeBelow(parent, run))
	}
	return errors.Join(errs...)
}

func removeBelow(parent, run string) error {
	root, err := os.OpenRoot(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening %q: %w", parent, err)
	}
	defer root.Close()
	if err := root.RemoveAll(run); err != nil {
		return fmt.Errorf("removing %q: %w", filepath.Join(parent, run), err)
	}
	if _, err := root.Lstat(run); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing %q: it is still there", filepath.Join(parent, run))
	}
	return nil
}

// sidecarRecord, in the run's work folder, names the sidecar's process.
const sidecarRecord = "sidecar.json"

type undoSidecar struct{ places Places }

// Undo ends the recorded sidecar. One that was started and not yet recorded ends
// by itself: its config socket closed with the supervisor.
func (u undoSidecar) Undo(ctx context.Context, _ int, args json.RawMessage) error {
	run, err := decodeRun(args)
	if err != nil {
		return err
	}
	r, err := confine.ReadRecord(filepath.Join(u.places.workFolder(run), sidecarRecord))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return confine.End(ctx, r)
}

type undoGuest struct{ list []backends.Backend }

// Undo removes the guest through its backend.
func (u undoGuest) Undo(ctx context.Context, _ int, args json.RawMessage) error {
	var h backends.Handle
	if err := json.Unmarshal(args, &h); err != nil {
		return fmt.Errorf("reading the obligation: %w", err)
	}
	if !ledger.ValidRunID(h.Run) {
		return fmt.Errorf("reading the obligation: %q is not the id of a run", h.Run)
	}
	for _, b := range u.list {
		if b.Name() == h.Backend {
			return b.Remove(ctx, h)
		}
	}
	return fmt.Errorf("removing the guest: this build has no backend %q", h.Backend)
}
