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
	kindAlias     = "alias"
	kindRunFolder = "run-folder"
	kindDisk      = "disk"
	kindSidecar   = "sidecar"
	kindGuest     = "guest"
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
		kindAlias:     undoAlias{d.Ledger},
		kindRunFolder: undoFolder{d.Places.Runtime},
		kindDisk:      undoFolder{d.Places.disks()},
		kindSidecar:   undoSidecar{d.Places},
		kindGuest:     undoGuest{d.Backends},
	}
}

type undoAlias struct{ ledger *ledger.Ledger }

// Undo gives the alias of the run back.
func (u undoAlias) Undo(ctx context.Context, _ int, args json.RawMessage) error {
	run, err := decodeRun(args)
	if err != nil {
		return err
	}
	return u.ledger.ReleaseAlias(ctx, run)
}

type undoFolder struct{ parent string }

// Undo removes the run's folder below the parent, following no link, and sees it
// gone.
func (u undoFolder) Undo(_ context.Context, _ int, args json.RawMessage) error {
	run, err := decodeRun(args)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(u.parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening %q: %w", u.parent, err)
	}
	defer root.Close()
	if err := root.RemoveAll(run); err != nil {
		return fmt.Errorf("removing %q: %w", filepath.Join(u.parent, run), err)
	}
	if _, err := root.Lstat(run); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing %q: it is still there", filepath.Join(u.parent, run))
	}
	return nil
}

// sidecarRecord, in the run's folder, names the sidecar's process.
const sidecarRecord = "sidecar.json"

type undoSidecar struct{ places Places }

// Undo ends the recorded sidecar. One that was started and not yet recorded ends
// by itself: its config socket closed with the supervisor.
func (u undoSidecar) Undo(ctx context.Context, _ int, args json.RawMessage) error {
	run, err := decodeRun(args)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(u.places.runFolder(run), sidecarRecord))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the sidecar's process: %w", err)
	}
	var r confine.Record
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("reading the sidecar's process: %w", err)
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
