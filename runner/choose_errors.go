package runner

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/preflight"
)

// CheckBackend finds out whether name is Auto or one of known.
func CheckBackend(name string, known []backends.Backend) error {
	if name == Auto || slices.ContainsFunc(known, func(b backends.Backend) bool { return b.Name() == name }) {
		return nil
	}
	names := []string{Auto}
	for _, b := range known {
		names = append(names, b.Name())
	}
	return term.Errorf(term.StageUsage, "--backend", "choosing a backend: this build has none called %q", name).
		WithHint("known are: %s", strings.Join(names, ", "))
}

// notes are what the report says of the choice: why stronger backends were passed
// over, and what preflight warned of.
func (c chosen) notes() (notes []string) {
	for _, name := range slices.Sorted(maps.Keys(c.rejected)) {
		var why []string
		for _, f := range c.rejected[name] {
			why = append(why, f.Subject+": "+f.Found)
		}
		notes = append(notes, fmt.Sprintf("The backend %s was passed over (%s).", name, strings.Join(why, "; ")))
	}
	for _, f := range c.findings {
		if f.Status == preflight.Warn {
			notes = append(notes, fmt.Sprintf("Preflight warned (%s): %s: %s.", f.ID, f.Subject, f.Found))
		}
	}
	return notes
}

// noBackend says of each backend why not, with the remedies as hints.
func noBackend(rejected map[string][]preflight.Finding) error {
	var why []string
	var remedies []string
	for _, name := range slices.Sorted(maps.Keys(rejected)) {
		for _, f := range rejected[name] {
			why = append(why, fmt.Sprintf("%s: %s: %s", name, f.Subject, f.Found))
			if f.Remedy != "" && !slices.Contains(remedies, f.Remedy) {
				remedies = append(remedies, f.Remedy)
			}
		}
	}
	err := term.Errorf(term.StagePreflight, "", "choosing a backend: this host can't run this bottle\n%s", strings.Join(why, "\n"))
	for _, r := range remedies {
		err.WithHint("%s", r)
	}
	return err
}
