// Package action_test holds the rules of the repository itself: who may import
// whom, and that everything exported is explained.
package action_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/bot-bottle/action"

// layers, from the top: a package may import from rooms of lower layers, and
// within its own room. What is not listed is a leaf; the
// last are what even leaves speak with.
var layers = []struct {
	rooms []string
	depth int
}{
	{[]string{"cmd", "e2e", "tools", "examples", "bench"}, 7},
	{[]string{"action"}, 6},
	{[]string{"internal/escape", "internal/operator", "internal/post"}, 5},
	{[]string{"runner"}, 4},
	{[]string{"backends", "internal/doors", "internal/forge", "internal/workspace", "internal/report", "internal/provider", "internal/guest", "internal/collector"}, 3},
	{[]string{"internal/manifest", "preflight"}, 2},
	{[]string{"internal/policy", "internal/scan", "internal/guest/wire", "internal/guest/probe"}, 1},
	{[]string{"internal/doors/decision"}, 0},
	{[]string{"internal/term", "internal/mutation", "internal/secret", "internal/atomicfile", "internal/sshserver", "internal/testenv"}, -1},
}

// onlyFrom lists what may be imported by the named rooms alone.
var onlyFrom = map[string][]string{
	"gvisor.dev/gvisor":                      {"backends/gvisor/runsc"},
	module + "/backends/gvisor/runsc":        {"cmd"},
	"github.com/goccy/go-yaml":               {"internal/manifest", "internal/workflow"},
	"modernc.org/sqlite":                     {"runner/ledger", "backends/smolmachines", "internal/smolvmtest"},
	"github.com/google/go-containerregistry": {"internal/image"},
	"github.com/spf13/cobra":                 {"cmd"},
	"github.com/bluekeyes/go-gitdiff":        {"internal/workspace"},
	"github.com/docker/docker":               {"backends/docker"},
	"github.com/moby/profiles":               nil, // tests only
	"github.com/rhysd/actionlint":            nil, // tests only
	"github.com/elastic/go-seccomp-bpf":      {"internal/doors"},
	"github.com/elazarl/goproxy":             {"bench"},
	"github.com/zricethezav/gitleaks":        {"internal/scan"}, // and tests, to compare with it
	"github.com/andybalholm/brotli":          {"internal/dlp/decode", "internal/escape/attack"},
	"github.com/klauspost/compress":          {"internal/dlp/decode", "internal/escape/attack"},
}

type goPackage struct {
	path    string // below the module; "" is the root
	imports []string
}

// packages lists the packages of the module with the imports of their code and
// tests, without regard to build constraints.
func packages(t *testing.T) []goPackage {
	t.Helper()
	var list []goPackage
	for _, dir := range sourceFolders(t) {
		p := goPackage{path: strings.TrimPrefix(filepath.ToSlash(dir), "./")}
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue // tests may reach for anything but what onlyFrom keeps
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range f.Imports {
				p.imports = append(p.imports, strings.Trim(i.Path.Value, `"`))
			}
		}
		list = append(list, p)
	}
	return list
}

func sourceFolders(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || path != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "bin") {
			return fs.SkipDir
		}
		if dir := filepath.Dir(path); strings.HasSuffix(path, ".go") && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// roomOf gives the longest listed room that holds path, and its depth.
func roomOf(path string) (room string, depth int) {
	for _, l := range layers {
		for _, r := range l.rooms {
			if within(path, r) && len(r) > len(room) {
				room, depth = r, l.depth
			}
		}
	}
	if room == "" {
		return path, 0
	}
	return room, depth
}

func within(path, room string) bool { return path == room || strings.HasPrefix(path, room+"/") }

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		room, depth := roomOf(p.path)
		for _, imported := range p.imports {
			below, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				continue
			}
			other, otherDepth := roomOf(below)
			if other == room || otherDepth < depth || sameTop(room, other) {
				continue
			}
			t.Errorf("%s imports %s, which is not below it", p.path, below)
		}
	}
}

// sameTop lets a folder and the rooms inside it import each other: guest, wire
// and probe are one subject in three layers.
func sameTop(a, b string) bool { return (within(a, b) || within(b, a)) && a != b }

func TestSomeImportsBelongToOneRoom(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.imports {
			for guarded, rooms := range onlyFrom {
				if within(imported, guarded) && !slices.ContainsFunc(rooms, func(r string) bool { return within(p.path, r) }) {
					t.Errorf("%s imports %s, which only %v may", p.path, imported, rooms)
				}
			}
		}
	}
}

func TestEverythingExportedIsExplained(t *testing.T) {
	for _, dir := range sourceFolders(t) {
		fset := token.NewFileSet()
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		var parsed []*ast.File
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, f)
		}
		if len(parsed) == 0 {
			continue
		}
		pkg, err := doc.NewFromFiles(fset, parsed, module+"/"+filepath.ToSlash(dir))
		if err != nil {
			t.Fatal(err)
		}
		checkDocs(t, dir, pkg)
	}
}

func checkDocs(t *testing.T, dir string, pkg *doc.Package) {
	t.Helper()
	missing := func(name, text string) {
		if strings.TrimSpace(text) == "" {
			t.Errorf("%s: %s has no doc comment", dir, name)
		}
	}
	missing("package "+pkg.Name, pkg.Doc)
	values := func(list []*doc.Value) {
		for _, v := range list {
			if v.Doc == "" && !eachSpecExplained(v.Decl) {
				t.Errorf("%s: %v have no doc comment", dir, v.Names)
			}
		}
	}
	functions := func(list []*doc.Func) {
		for _, f := range list {
			missing(f.Recv+" "+f.Name, f.Doc)
		}
	}
	values(pkg.Consts)
	values(pkg.Vars)
	functions(pkg.Funcs)
	for _, typ := range pkg.Types {
		missing(typ.Name, typ.Doc)
		values(typ.Consts)
		values(typ.Vars)
		functions(typ.Funcs)
		functions(typ.Methods)
	}
}

// eachSpecExplained tells whether every exported name of a group has a comment of
// its own.
func eachSpecExplained(decl *ast.GenDecl) bool {
	for _, s := range decl.Specs {
		if v, ok := s.(*ast.ValueSpec); ok && v.Doc == nil && v.Comment == nil && v.Names[0].IsExported() {
			return false
		}
	}
	return true
}

func TestOtherSystemsCompileWithoutTheSandbox(t *testing.T) {
	cmd := exec.Command("go", "build", "-o", os.DevNull, "./...")
	cmd.Env = append(os.Environ(), "GOOS=darwin", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("compiling for darwin: %v\n%s", err, out)
	}
}

func TestLicenceIsApache(t *testing.T) {
	b, err := os.ReadFile("LICENSE")
	if err != nil || !strings.Contains(string(b), "Apache License") {
		t.Errorf("LICENSE: %v", err)
	}
}
