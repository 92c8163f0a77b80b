package runner

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/action/internal/atomicfile"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/internal/term"
)

// rootMark, in a root, holds the root's random id. A root lies on memory: what is
// at the same path in another mount namespace, or after another login, is another
// one, and says nothing about what is in the first.
const rootMark = ".root-id"

// rootIDLength is that of rand.Text.
const rootIDLength = 26

// rootRef is one root, as the ledger has it.
type rootRef struct {
	Kind RootKind `json:"root"`
	ID   string   `json:"root_id"`
	Boot string   `json:"boot"` // of the host, when the root was seen (random(4))
}

// errNotThatRoot says that the root that is meant is not to be seen from here.
var errNotThatRoot = errors.New("the folder for sockets of that run is not there")

// ref gives the root that new runs take, marking it first where it is new.
func (p Places) ref() (rootRef, error) {
	boot, err := confine.BootID()
	if err != nil {
		return rootRef{}, err
	}
	root, err := p.openRoot(p.Runtime)
	if err != nil {
		return rootRef{}, err
	}
	defer root.Close()
	id, err := readMark(root)
	if errors.Is(err, errNotThatRoot) {
		id, err = mark(root)
	}
	return rootRef{Kind: p.Runtime, ID: id, Boot: boot}, err
}

// mark gives a new root its id, which may be another process's that was faster.
func mark(root *os.Root) (string, error) {
	path := filepath.Join(root.Name(), rootMark)
	err := atomicfile.Create(path, []byte(strings.ToLower(rand.Text())), 0o600)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("marking %q: %w", root.Name(), err)
	}
	return readMark(root)
}

// openRoot opens a root that is ours alone.
func (p Places) openRoot(kind RootKind) (*os.Root, error) {
	dir, known := p.Roots[kind]
	if !known {
		return nil, fmt.Errorf("opening the folder for sockets: %q is no kind of it", kind)
	}
	err := checkOwn(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening %q: %w", dir, errNotThatRoot)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the folder for sockets: %w", err)
	}
	return os.OpenRoot(dir)
}

// readMark reads the id of a root.
func readMark(root *os.Root) (string, error) {
	f, err := root.Open(rootMark)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the mark of %q: %w", root.Name(), errNotThatRoot)
	}
	if err != nil {
		return "", fmt.Errorf("reading the mark of %q: %w", root.Name(), err)
	}
	defer f.Close()
	id, err := io.ReadAll(io.LimitReader(f, rootIDLength+1))
	if err != nil || len(id) != rootIDLength {
		return "", fmt.Errorf("reading the mark of %q: it has %d bytes, not %d (%v)", root.Name(), len(id), rootIDLength, err)
	}
	return string(id), nil
}

// open opens the root that ref means, and no other.
func (ref rootRef) open(p Places) (*os.Root, error) {
	root, err := p.openRoot(ref.Kind)
	if err != nil {
		return nil, err
	}
	id, err := readMark(root)
	if err == nil && id != ref.ID {
		err = fmt.Errorf("looking at %q: %w: another one is", root.Name(), errNotThatRoot)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// unseen judges a root that is not to be seen: what was in it is gone if the host
// has booted since, and nobody knows if it hasn't.
func (ref rootRef) unseen(cause error) error {
	boot, err := confine.BootID()
	if err != nil {
		return err
	}
	if boot != ref.Boot {
		return nil
	}
	return term.Errorf(term.StageSettle, "", "removing the run's folder: %w", cause).
		WithHint("run bot-bottle reap where the run was started (same login, same container), or after the next boot of the host")
}
