package manifest

import (
	"embed"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/term"
)

// Bounds of what is merged: people get by with three.
const (
	maxLineage = 16 // bottles that extend each other
	maxBottles = 16 // bottles that are named at launch
)

// ReadBottles reads the named bottles with all that they extend. Bottles come
// from dirs, the first that has one wins, and last from those that are built in.
// Each has its own lineage merged into it; Merge makes one of them.
func ReadBottles(dirs, names []string) ([]Bottle, error) {
	if len(names) > maxBottles {
		return nil, term.Errorf(term.StageManifest, "", "reading bottles: %d are named, more than %d", len(names), maxBottles).
			WithHint("write one that extends another")
	}
	var bottles []Bottle
	var errs []error
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			errs = append(errs, term.Errorf(term.StageManifest, "", "reading bottles: %q is named twice: %s", name, strings.Join(names, " -> ")).
				WithHint("name each bottle once; the last that sets a key wins"))
			continue
		}
		b, err := readWithParents(dirs, name)
		bottles, errs = append(bottles, b), append(errs, err)
	}
	return bottles, errors.Join(errs...)
}

// readWithParents reads a bottle and, one by one, those that it is built on.
func readWithParents(dirs []string, name string) (Bottle, error) {
	b, err := findBottle(dirs, name)
	if err != nil {
		return Bottle{}, err
	}
	files := []Bottle{b}
	for b.Extends != "" {
		parent, err := readParent(dirs, files)
		if err != nil {
			return Bottle{}, err
		}
		b = parent
		files = append(files, b)
	}
	merged := files[len(files)-1]
	for _, over := range slices.Backward(files[:len(files)-1]) {
		merged = overlay(merged, over)
	}
	merged.Extends = ""
	return merged, nil
}

// readParent reads the bottle that the last of files extends. What is wrong is
// told with the whole chain, at the key that led there.
func readParent(dirs []string, files []Bottle) (Bottle, error) {
	last := files[len(files)-1]
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	chain := strings.Join(append(names, last.Extends), " extends ")
	wrong := func(hint string, err error) error {
		where := last.places["extends"]
		return asError([]Fault{{Path: where.path, Line: where.line, Key: "extends", Err: err, Hint: hint}})
	}
	if slices.Contains(names, last.Extends) {
		return Bottle{}, wrong("remove one of these keys", fmt.Errorf("the bottles go in a circle: %s", chain))
	}
	if len(files) >= maxLineage {
		return Bottle{}, wrong("", fmt.Errorf("more than %d bottles extend each other: %s", maxLineage, chain))
	}
	b, err := findBottle(dirs, last.Extends)
	if missing, ok := errors.AsType[*missingError](err); ok {
		hint := missing.hint
		if isAgent(dirs, last.Extends) {
			hint = fmt.Sprintf("%q is an agent; a bottle can only extend a bottle", last.Extends)
		}
		return Bottle{}, wrong(hint, fmt.Errorf("%w: %s", missing, chain))
	}
	return b, err
}

// isAgent looks beside the folders of bottles for an agent of that name.
func isAgent(dirs []string, name string) bool {
	for _, dir := range dirs {
		if slices.Contains(List([]string{filepath.Join(filepath.Dir(dir), string(Agents))}), name) {
			return true
		}
	}
	return false
}

// findBottle reads one file of the host, or a bottle that is built in.
func findBottle(dirs []string, name string) (Bottle, error) {
	file, err := Find(dirs, Bottles, name)
	if err == nil {
		return LoadBottle(file)
	}
	if _, isMissing := errors.AsType[*missingError](err); !isMissing {
		return Bottle{}, err
	}
	content, builtInErr := builtIn.ReadFile(path.Join("builtin", name+extension))
	if builtInErr != nil {
		return Bottle{}, err
	}
	d, err := takeApart(builtInPath+name+extension, content)
	if err != nil {
		return Bottle{}, err
	}
	return readBottle(d)
}

// builtIn are the bottles that every host has: one for each agent CLI, with the
// provider's least routes and nothing else.
//
//go:embed builtin/*.md
var builtIn embed.FS

// builtInPath stands for the folder of the built-in bottles in messages.
const builtInPath = "(built in)/"

// BuiltIn lists the names of the built-in bottles, sorted.
func BuiltIn() []string {
	entries, err := builtIn.ReadDir("builtin")
	if err != nil { // it is part of the binary
		panic(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), extension))
	}
	return names
}
