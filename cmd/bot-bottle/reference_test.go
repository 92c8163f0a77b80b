package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/backends/docker"
	"github.com/bot-bottle/action/backends/guestroot"
	"github.com/bot-bottle/action/backends/gvisor"
	"github.com/bot-bottle/action/backends/smolmachines"
	"github.com/bot-bottle/action/preflight"
	"github.com/bot-bottle/action/runner"
	"github.com/bot-bottle/action/runner/ledger"
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
		{"Backends", slices.Concat(gvisor.Entries(), guestroot.CheckEntries())},
		{"Docker", docker.Entries()},
		{"smolmachines", smolmachines.Entries()},
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
	same(t, "findings.md", b.String())
}

// same compares with the page in docs/reference, or writes it.
func same(t *testing.T, page, want string) {
	t.Helper()
	path := filepath.Join("../../docs/reference", page)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("%s is not what it is made from (%v): go test ./cmd/bot-bottle -run Reference -update", path, err)
	}
}

func TestReferenceOfFlagsIsUpToDate(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Verbs and flags\n\nMade from what `--help` prints. What the environment can set is at the end.\n")
	root := rootCommand(console{})
	for _, cmd := range root.Commands() {
		if cmd.Hidden {
			continue
		}
		if cmd.Short == "" {
			t.Errorf("%s says nothing of itself", cmd.Name())
		}
		fmt.Fprintf(&b, "\n## bot-bottle %s\n\n%s\n\n<!-- tested: cmd/bot-bottle TestTheExamplesOfEachVerbAreTaken -->\n```sh\n%s\n```\n", cmd.Use, cmp.Or(cmd.Long, cmd.Short+"."), cmp.Or(cmd.Example, "  bot-bottle "+cmd.Use))
		if flags := cmd.NonInheritedFlags().FlagUsages(); flags != "" {
			fmt.Fprintf(&b, "\n```text\n%s```\n", flags)
		}
	}
	b.WriteString("\n## Environment\n\n| variable | default | |\n|---|---|---|\n")
	for _, v := range environmentVariables {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.name, v.standard, v.meaning)
	}
	same(t, "flags.md", b.String())
}

// environmentVariables are those of settings, which TestEveryVariableIsExplained
// compares, and the state folder's.
var environmentVariables = []struct{ name, standard, meaning string }{
	{"BOT_BOTTLE_BACKEND", "`auto`", "the backend where `--backend` names none"},
	{"BOT_BOTTLE_LOG_LEVEL", "`warn`", "trace, debug, info, warn or error"},
	{ledger.StateVariable, "root: `/var/lib/bot-bottle`; else `$XDG_STATE_HOME/bot-bottle`, `~/.local/state/bot-bottle`", "the state folder; refused under a runner"},
}

func TestEveryVariableIsExplained(t *testing.T) {
	explained := map[string]bool{}
	for _, v := range environmentVariables {
		explained[v.name] = true
	}
	for f := range reflect.TypeFor[settings]().Fields() {
		if name := envPrefix + f.Tag.Get("env"); !explained[name] {
			t.Errorf("%s is not explained", name)
		}
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
