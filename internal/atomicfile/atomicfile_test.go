package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestWriteReplacesWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "record")
	for _, content := range []string{"first", "second, longer", "3"} {
		if err := Write(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		info, statErr := os.Stat(path)
		if err != nil || statErr != nil || string(got) != content || info.Mode().Perm() != 0o600 {
			t.Errorf("holds %q, %v %v, mode %v", got, err, statErr, info.Mode())
		}
	}
	if all := names(t, dir); len(all) != 1 {
		t.Errorf("there is %q", all)
	}
}

func TestWriteThatFailsLeavesNothingBeside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "record")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil { // can't be replaced by a file
		t.Fatal(err)
	}
	if err := Write(path, []byte("x"), 0o600); err == nil {
		t.Error("it passed")
	}
	if all := names(t, dir); len(all) != 1 {
		t.Errorf("there is %q", all)
	}
}

func TestOfManyThatCreateAtOnceOneWins(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "id")
	errs := make([]error, 20)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = Create(path, fmt.Append(nil, "number ", i), 0o600) })
	}
	wg.Wait()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range errs {
		won := string(got) == fmt.Sprint("number ", i)
		if won && err != nil || !won && !errors.Is(err, fs.ErrExist) {
			t.Errorf("%d: %v, but the file holds %q", i, err, got)
		}
	}
	if all := names(t, dir); len(all) != 1 {
		t.Errorf("there is %q", all)
	}
}
