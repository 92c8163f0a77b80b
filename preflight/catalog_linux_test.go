package preflight_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/preflight"
)

func TestEveryEntryIsInTheCatalogAndWhole(t *testing.T) {
	ids := map[string]bool{}
	for _, e := range preflight.Catalog() {
		if e.ID == "" || ids[e.ID] || e.Status != preflight.Fail && e.Status != preflight.Warn || !strings.HasSuffix(e.Meaning, ".") || len(e.Remedies) == 0 {
			t.Errorf("%+v", e)
		}
		if last := e.Remedies[len(e.Remedies)-1]; last.Distro != "" || last.Text == "" {
			t.Errorf("%s has no remedy for any distribution, or not as its last", e.ID)
		}
		ids[e.ID] = true
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.CompositeLit); ok {
				if id, ok := lit.Type.(*ast.Ident); ok && id.Name == "Entry" {
					declared++
				}
			}
			return true
		})
	}
	if declared != len(ids) {
		t.Errorf("%d entries are declared, %d are in the catalog", declared, len(ids))
	}
}

func TestChecksRunSideBySideAndAreCutOff(t *testing.T) {
	t.Parallel() // most of it is waiting
	met := make(chan int)
	meet := func(send int) func(context.Context) preflight.Finding {
		return func(ctx context.Context) preflight.Finding {
			select {
			case met <- send:
			case <-met:
			case <-ctx.Done():
				return preflight.Finding{Status: preflight.Fail, Found: "alone"}
			}
			return preflight.Passed("met")
		}
	}
	never := func(context.Context) preflight.Finding { select {} }
	start := time.Now()
	found := preflight.Run(t.Context(), []preflight.Check{{ID: "a", Run: meet(1)}, {ID: "b", Run: meet(2)}, {ID: "c", Subject: "s", Run: never}})
	if found[0].Found != "met" || found[1].Found != "met" {
		t.Errorf("got %+v", found)
	}
	wants(t, found[2], "no-answer", "2s")
	if took := time.Since(start); took > 10*preflight.CutOff {
		t.Errorf("it took %v", took)
	}
	if len(preflight.Failed(found)) != 1 {
		t.Errorf("got %+v", preflight.Failed(found))
	}
}
