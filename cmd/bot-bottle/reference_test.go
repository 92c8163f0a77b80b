package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/backends/gvisor"
	"github.com/bot-bottle/action/preflight"
	"github.com/bot-bottle/action/runner"
)

var update = flag.Bool("update", false, "write the pages of docs/reference that are made from code")

func TestReferenceOfFindingsIsUpToDate(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Findings\n\nWhat `bot-bottle preflight`, the action's `preflight-only` and the start of a job can find. `fail`: no job can run\nthis way; `warn`: it can, and somebody should look. A check that has nothing to say gives `ok` and its own id. Words in\nbraces stand for what the host says.\n")
	seen := map[string]bool{}
	for _, part := range []struct {
		title   string
		entries []preflight.Entry
	}{
		{"The host", preflight.Catalog()},
		{"Policy and workflows", runner.PreflightEntries()},
		{"Backends", gvisor.Entries()},
	} {
		fmt.Fprintf(&b, "\n## %s\n", part.title)
		for _, e := range part.entries {
			if seen[e.ID] {
				t.Errorf("two entries are called %s", e.ID)
			}
			seen[e.ID] = true
			fmt.Fprintf(&b, "\n### `%s` (%s)\n\n%s\n\n", e.ID, e.Status, e.Meaning)
			for _, r := range e.Remedies {
				fmt.Fprintf(&b, "- %s%s\n", onDistribution(r, e.Remedies), r.Text)
			}
		}
	}
	const path = "../../docs/reference/findings.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if page, err := os.ReadFile(path); err != nil || string(page) != b.String() {
		t.Errorf("%s is not what it is made from (%v): go test ./cmd/bot-bottle -run Reference -update", path, err)
	}
}

// onDistribution names where r helps; where it is the only one, everywhere.
func onDistribution(r preflight.Remedy, all []preflight.Remedy) string {
	names := map[string]string{"nixos": "NixOS: ", "debian": "Debian and Ubuntu: "}
	switch {
	case r.Distro != "":
		return names[r.Distro]
	case slices.ContainsFunc(all, func(r preflight.Remedy) bool { return r.Distro != "" }):
		return "Elsewhere: "
	}
	return ""
}
