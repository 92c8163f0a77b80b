package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/term"
)

// maxFiles bounds what Validate looks at: a host has some dozens.
const maxFiles = 10_000

// Validate checks files and folders and lists everything that is wrong in them,
// also what lies between files: a parent or a bottle that isn't there, names that
// differ in case alone, keys that this build can't hold. A file is an agent if its
// folder is called "agents", and a bottle otherwise. Bottles that are referred to
// are looked for beside the file and in bottleDirs. It returns the files it
// looked at; the error is of a path that can't be looked at.
func Validate(paths, bottleDirs []string) (files []string, faults []Fault, err error) {
	for _, path := range paths {
		below, err := markdownBelow(path)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, below...)
	}
	slices.Sort(files)
	files = slices.Compact(files)
	for _, file := range files {
		faults = append(faults, validateFile(file, bottleDirs)...)
	}
	return files, dedupe(append(faults, twins(files)...)), nil
}

// markdownBelow gives path itself, or the bottles and agents in a folder: its
// Markdown files, and those of its folders of these names.
func markdownBelow(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, term.Errorf(term.StageUsage, path, "looking for files: %w", err).
			WithHint("name a bottle, an agent, or a folder of them")
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	for _, dir := range []string{path, filepath.Join(path, string(Bottles)), filepath.Join(path, string(Agents))} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, term.Errorf(term.StageUsage, dir, "looking for files: %w", err)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), extension) && (dir != path || isKindFolder(path)) {
				files = append(files, filepath.Join(dir, e.Name()))
			}
		}
	}
	if len(files) == 0 || len(files) > maxFiles {
		return nil, term.Errorf(term.StageUsage, path, "looking for files: the folder has %d", len(files)).
			WithHint("name a folder that is called bottles or agents, or one that has them")
	}
	return files, nil
}

// isKindFolder keeps the README of a repository from being taken for a bottle.
func isKindFolder(path string) bool {
	abs, err := filepath.Abs(path)
	base := Kind(filepath.Base(abs))
	return err == nil && (base == Bottles || base == Agents)
}

func validateFile(file string, bottleDirs []string) []Fault {
	abs, err := filepath.Abs(file)
	if err != nil {
		return []Fault{{Path: file, Err: err}}
	}
	if Kind(filepath.Base(filepath.Dir(abs))) == Agents {
		return validateAgent(file, abs, bottleDirs)
	}
	return validateBottle(file, bottleDirs)
}

func validateBottle(file string, bottleDirs []string) []Fault {
	b, err := LoadBottle(file)
	if err != nil {
		return FaultsIn(err)
	}
	r := &reader{file: b.Path, places: b.places}
	r.refuseUnenforced(b)
	if b.Extends != "" {
		_, err := readWithParents(append([]string{filepath.Dir(file)}, bottleDirs...), b.Name)
		r.faults = append(r.faults, orWhole(file, err)...)
	}
	return r.faults
}

func validateAgent(file, abs string, bottleDirs []string) []Fault {
	a, err := LoadAgent(file)
	if err != nil || a.Bottle == "" {
		return FaultsIn(err)
	}
	beside := filepath.Join(filepath.Dir(filepath.Dir(abs)), string(Bottles))
	if _, err := findBottle(append([]string{beside}, bottleDirs...), a.Bottle); IsMissing(err) {
		missing, _ := errors.AsType[*missingError](err)
		return []Fault{{Path: file, Key: "bottle", Err: err, Hint: missing.hint}}
	}
	return nil // what is wrong in the bottle is told of the bottle
}

// orWhole gives the faults in err, or err itself as one of the file.
func orWhole(file string, err error) []Fault {
	if faults := FaultsIn(err); err == nil || len(faults) > 0 {
		return faults
	}
	return []Fault{{Path: file, Err: err, Hint: strings.Join(term.Hints(err), "; ")}}
}

// twins finds files of one folder whose names differ in case alone.
func twins(files []string) []Fault {
	var faults []Fault
	for i, file := range files {
		for _, other := range files[:i] {
			if strings.EqualFold(file, other) && filepath.Dir(file) == filepath.Dir(other) {
				faults = append(faults, Fault{Path: file, Err: fmt.Errorf("its name differs from %q in case alone", filepath.Base(other)), Hint: "rename or remove one of the two"})
			}
		}
	}
	return faults
}

func dedupe(faults []Fault) []Fault {
	var unique []Fault
	for _, f := range faults {
		same := func(u Fault) bool {
			return u.Path == f.Path && u.Line == f.Line && u.Key == f.Key && u.Err.Error() == f.Err.Error()
		}
		if !slices.ContainsFunc(unique, same) {
			unique = append(unique, f)
		}
	}
	return unique
}

// AsError gives faults as an error that prints them by file and line.
func AsError(faults []Fault) error { return asError(faults) }
