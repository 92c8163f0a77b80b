package workspace

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// world is a folder with three files, planned to be changed, removed, and
// accompanied by a new one.
func world(t *testing.T) (*os.Root, []step) {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	for _, name := range []string{"changed", "removed", "last"} {
		if err := root.WriteFile(name, []byte(name), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) *state {
		state, err := readState(root, name)
		if err != nil {
			t.Fatal(err)
		}
		return state
	}
	return root, []step{
		{path: "changed", before: read("changed"), after: &state{content: []byte("new"), mode: 0o640}},
		{path: "removed", before: read("removed")},
		{path: "a/b/added", after: &state{content: []byte("new"), mode: 0o666}},
		{path: "last", before: read("last"), after: &state{content: []byte("new"), mode: 0o640}},
	}
}

// contents lists each file and folder with its content and mode.
func contents(t *testing.T, root *os.Root) []string {
	t.Helper()
	var all []string
	err := fs.WalkDir(root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			all = append(all, path+"/")
			return err
		}
		content, err := fs.ReadFile(root.FS(), path)
		info, statErr := entry.Info()
		if statErr == nil {
			all = append(all, path+" "+string(content)+" "+info.Mode().String())
		}
		return errors.Join(err, statErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWhatWasReplacedIsPutBackWhenTheNextCannotBe(t *testing.T) {
	disturb := map[string]func(root *os.Root) error{
		"changed meanwhile":  func(root *os.Root) error { return root.WriteFile("last", []byte("somebody else's"), 0o640) },
		"removed meanwhile":  func(root *os.Root) error { return root.Remove("last") },
		"replaced meanwhile": func(root *os.Root) error { return errors.Join(root.Remove("last"), root.Symlink("changed", "last")) },
	}
	for name, change := range disturb {
		t.Run(name, func(t *testing.T) {
			root, steps := world(t)
			if err := change(root); err != nil {
				t.Fatal(err)
			}
			before := contents(t, root)
			err := perform(t.Context(), root, steps)
			if err == nil || !strings.Contains(err.Error(), `replacing "last"`) {
				t.Errorf("got %v", err)
			}
			if after := contents(t, root); !slices.Equal(after, before) {
				t.Errorf("left\n%q\nwant\n%q", after, before)
			}
		})
	}
}

func TestWhatWasWrittenGoesWhenTheNextCannotBeWritten(t *testing.T) {
	root, steps := world(t)
	if err := root.WriteFile("a", []byte("in the way of the folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := contents(t, root)
	err := perform(t.Context(), root, steps)
	if err == nil || !strings.Contains(err.Error(), `writing "a/b/added"`) {
		t.Errorf("got %v", err)
	}
	if after := contents(t, root); !slices.Equal(after, before) {
		t.Errorf("left\n%q\nwant\n%q", after, before)
	}
}

func TestEndedContextLeavesNoTemporaryFile(t *testing.T) {
	root, steps := world(t)
	before := contents(t, root)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := perform(ctx, root, steps); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if after := contents(t, root); !slices.Equal(after, before) {
		t.Errorf("left\n%q\nwant\n%q", after, before)
	}
}

func TestFileMadeMeanwhileIsNotOverwritten(t *testing.T) {
	root, steps := world(t)
	err := errors.Join(root.MkdirAll("a/b", 0o755), root.WriteFile("a/b/added", []byte("somebody else's"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	before := contents(t, root)
	if err := perform(t.Context(), root, steps); err == nil {
		t.Error("it is replaced")
	}
	if after := contents(t, root); !slices.Equal(after, before) {
		t.Errorf("left\n%q\nwant\n%q", after, before)
	}
}

// A patch's path that the rules didn't judge still stays beneath the root.
func TestStepsStayBeneathTheRoot(t *testing.T) {
	outer := t.TempDir()
	inner := filepath.Join(outer, "inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(inner)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, path := range []string{"../out", "a/../../out", "/out", filepath.Join(outer, "out")} {
		out := step{path: path, after: &state{content: []byte("x"), mode: 0o666}}
		if err := perform(t.Context(), root, []step{out}); err == nil {
			t.Errorf("%q is made", path)
		}
	}
	entries, err := os.ReadDir(outer)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder around holds %v, %v", entries, err)
	}
}
