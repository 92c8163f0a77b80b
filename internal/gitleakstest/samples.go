// Package gitleakstest has the samples by which gitleaks tests its own rules, and texts
// made of them, for tests that compare what is found.
//
// The samples are no part of this repository: gitleaks makes them when its rules are
// generated. Samples runs that generator, of the version that go.mod has, with its check
// of a rule replaced by one that tells what it was given. Many are random, and so
// differ from run to run.
package gitleakstest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Sample is a text by which a rule is tested.
type Sample struct {
	Rule   string `json:"rule"` // gitleaks' id
	Text   string `json:"text"`
	Secret bool   `json:"secret"` // the rule has to find it, and not to overlook it
}

const module = "github.com/zricethezav/gitleaks/v8"

// tells replaces the generator's check.
const tells = `package utils

import (
	"encoding/json"
	"os"

	"github.com/zricethezav/gitleaks/v8/config"
)

var out = json.NewEncoder(os.Stderr)

func tell(r config.Rule, text string, secret bool) {
	out.Encode(map[string]any{"rule": r.RuleID, "text": text, "secret": secret})
}

func Validate(r config.Rule, yes, no []string) *config.Rule {
	for _, text := range yes {
		tell(r, text, true)
	}
	for _, text := range no {
		tell(r, text, false)
	}
	return &r
}

func ValidateWithPaths(r config.Rule, yes, no map[string]string) *config.Rule {
	for _, text := range yes {
		tell(r, text, true)
	}
	for _, text := range no {
		tell(r, text, false)
	}
	return &r
}
`

// Samples gives all of them. The first time on a machine, this builds the generator.
func Samples(t testing.TB) []Sample {
	t.Helper()
	found, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("looking for gitleaks' module: %v", err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(strings.TrimSpace(string(found)))); err != nil {
		t.Fatalf("copying gitleaks: %v", err)
	}
	check := filepath.Join(dir, "cmd/generate/config/utils/validate.go")
	if err := errors.Join(os.Remove(check), os.WriteFile(check, []byte(tells), 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", ".", filepath.Join(dir, "gitleaks.toml"))
	cmd.Dir, cmd.Env = filepath.Join(dir, "cmd/generate/config"), append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -trimpath")
	var told bytes.Buffer
	cmd.Stderr = &told
	if err := cmd.Run(); err != nil {
		t.Fatalf("making gitleaks' samples: %v\n%s", err, told.String()[max(0, told.Len()-2000):])
	}
	return read(t, &told)
}

func read(t testing.TB, told *bytes.Buffer) (samples []Sample) {
	t.Helper()
	lines := bufio.NewScanner(told)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s Sample
		if json.Unmarshal(lines.Bytes(), &s) == nil && s.Rule != "" { // the go command speaks there, too
			samples = append(samples, s)
		}
	}
	if err := lines.Err(); err != nil || len(samples) < 500 {
		t.Fatalf("reading gitleaks' samples: %d, %v", len(samples), err)
	}
	return samples
}
