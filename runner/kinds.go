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
	"github.com/bot-bottle/action/internal/forge/deploykey"
	"github.com/bot-bottle/action/runner/journal"
	"github.com/bot-bottle/action/runner/ledger"
)

// The kinds of effects that a job has on its host. They stand in the ledger.
const (
	kindAlias      = "alias"
	kindWorkFolder = "work-folder"
	kindRunFolder  = "run-folder"
	kindDisk       = "disk"
	kindMirrors    = "mirrors"
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
		kindWorkFolder: undoFolder{parent: d.Places.work()},
		kindRunFolder:  undoRunFolder{places: d.Places},
		kindDisk:       undoFolder{parent: d.Places.disks()},
		deploykey.Kind: undoDeployKey{connect: d.KeyForge},
		kindMirrors:    undoFolder{parent: d.Places.mirrors()},
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
	parent string
}

// Undo removes the run's folder below the parent.
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
	return errors.Join(removeBelow(root, run), root.Close())
}

// removeBelow removes a folder in root, following no link, and sees it gone.
func removeBelow(root *os.Root, name string) error {
	path := filepath.Join(root.Name(), name)
	if err := root.RemoveAll(name); err != nil {
		return fmt.Errorf("removing %q: %w", path, err)
	}
	if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing %q: it is still there", path)
	}
	return nil
}

// runFolderArgs say in which root the run has its folder.
type runFolderArgs struct {
	runArgs
	rootRef
}

type undoRunFolder struct {
	afterGuest
	places Places
}

// Version is 2: the first form did not say in which root the folder is.
func (undoRunFolder) Version() int { return 2 }

// Undo removes the run's folder from the root that it was made in. From one that
// can't be seen it is gone after a boot; before that nobody knows.
func (u undoRunFolder) Undo(_ context.Context, version int, args json.RawMessage) error {
	run, err := decodeRun(args)
	if err != nil {
		return err
	}
	if version < 2 {
		return u.everywhere(run)
	}
	var a runFolderArgs
	if err := json.Unmarshal(args, &a); err != nil {
		return fmt.Errorf("reading the obligation: %w", err)
	}
	root, err := a.open(u.places)
	if errors.Is(err, errNotThatRoot) {
		return a.unseen(err)
	}
	if err != nil {
		return err
	}
	return errors.Join(removeBelow(root, run), root.Close())
}

// everywhere removes the run's folder from each root that there is.
func (u undoRunFolder) everywhere(run string) error {
	var errs []error
	for kind := range u.places.Roots {
		root, err := u.places.openRoot(kind)
		if errors.Is(err, errNotThatRoot) {
			continue
		}
		if err == nil {
			err = errors.Join(removeBelow(root, run), root.Close())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// sidecarRecords, in the run's work folder, name the sidecars' processes: the doors'
// own, and the git-gate's.
var sidecarRecords = []string{"sidecar.json", "git-gate.json"}

type undoSidecar struct{ places Places }

// Undo ends the recorded sidecars. One that was started and not yet recorded ends
// by itself: its config socket closed with the supervisor.
func (u undoSidecar) Undo(ctx context.Context, _ int, args json.RawMessage) error {
	run, err := decodeRun(args)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range sidecarRecords {
		r, err := confine.ReadRecord(filepath.Join(u.places.workFolder(run), name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = confine.End(ctx, r)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
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
