package defences

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/mutation"
)

var update = flag.Bool("update", false, "write docs/mutations.md")

func TestPageIsWhatTheTableSays(t *testing.T) {
	const path = "../../../docs/mutations.md"
	if *update {
		if err := os.WriteFile(path, []byte(Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != Markdown() {
		t.Errorf("%s is not what the table says (%v): go test ./internal/mutation/defences -update", path, err)
	}
}

// aids are points that no defence stands behind: a test needs them to be able to
// attack at all.
var aids = []mutation.Point{mutation.NoMachine, mutation.AllowlistMode, mutation.DoorDeaf}

func TestEveryPointIsInTheTable(t *testing.T) {
	var listed []mutation.Point
	names := map[string]bool{}
	for _, d := range Table() {
		if names[d.Name] || len(d.Points) == 0 || len(d.Cases)+len(d.Tests) == 0 {
			t.Errorf("%+v", d)
		}
		names[d.Name] = true
		listed = append(listed, d.Points...)
	}
	for name, p := range points(t) {
		if slices.Contains(listed, p) == slices.Contains(aids, p) {
			t.Errorf("%s has to be either in the table or an aid", name)
		}
	}
}

// points reads the constants of package mutation.
func points(t *testing.T) map[string]mutation.Point {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../mutation.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]mutation.Point{}
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if ok && len(v.Values) == 1 && v.Names[0].Name != "Variable" {
			if lit, ok := v.Values[0].(*ast.BasicLit); ok {
				found[v.Names[0].Name] = mutation.Point(strings.Trim(lit.Value, `"`))
			}
		}
		return true
	})
	if len(found) < 20 {
		t.Errorf("found only %v", found)
	}
	return found
}

func TestEveryTestOfTheTableIsThere(t *testing.T) {
	for _, d := range Table() {
		for _, test := range d.Tests {
			dir, name, _ := strings.Cut(test, " ")
			files, _ := filepath.Glob(filepath.Join("../../..", dir, "*_test.go"))
			declared := regexp.MustCompile(`(?m)^func ` + name + `\(t \*testing\.T\)`)
			if !strings.HasPrefix(name, "TestMutation") || !slices.ContainsFunc(files, func(f string) bool {
				b, err := os.ReadFile(f)
				return err == nil && declared.Match(b)
			}) {
				t.Errorf("%s: there is no %s", d.Name, test)
			}
		}
	}
}
