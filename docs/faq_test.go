package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/pages"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/report"
)

// chapters are those of faq.md, with the folders whose rules they explain.
var chapters = map[string][]string{
	"The egress door":    {"internal/policy", "internal/doors/egress", "internal/doors/dlp"},
	"The git-gate":       {"internal/doors/gitgate", "internal/doors/closed"},
	"The supervise door": {"internal/doors/closed"},
	"The patch":          {"internal/workspace"},
}

// shared are the rules of a folder that two chapters explain a part of.
var shared = map[string]string{"no-git-remote": "The git-gate", "no-approver": "The supervise door"}

// source is what the FAQ needs to know of the code: the rules by which something is
// refused, and every text in it.
type source struct {
	rules map[string]bool
	texts []string
}

// read looks for rules in the code at or below folder: constants called Rule…, and the
// values of fields called Rule.
func (s *source) read(t *testing.T, folder string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err == nil {
			ast.Inspect(file, s.look)
		}
		return err
	})
	if err != nil || len(s.rules) == 0 {
		t.Fatalf("reading the rules of %s: %v, %v", folder, s.rules, err)
	}
}

func (s *source) look(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ValueSpec:
		for i, name := range n.Names {
			if strings.HasPrefix(name.Name, "Rule") && i < len(n.Values) {
				s.rule(n.Values[i])
			}
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Rule" {
			s.rule(n.Value)
		}
	case *ast.BasicLit:
		if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
			s.texts = append(s.texts, text)
		}
	}
	return true
}

func (s *source) rule(value ast.Expr) {
	literal, ok := value.(*ast.BasicLit)
	if !ok {
		return
	}
	if text, err := strconv.Unquote(literal.Value); err == nil && text != policy.RuleRoute { // by which it is allowed
		s.rules[text] = true
	}
}

// says tells whether each part of a message, between what differs, stands in the code.
func (s *source) says(message string) bool {
	for part := range strings.SplitSeq(message, "…") {
		part = strings.TrimSpace(part)
		if len(part) > 6 && !slices.ContainsFunc(s.texts, func(text string) bool { return strings.Contains(text, part) }) {
			return false
		}
	}
	return true
}

// entry is what faq.md says of one rule.
type entry struct {
	message string // empty: the agent is told nothing
	own     bool   // it has a heading of its own, and so a line that allows it
	lines   []string
}

var (
	ruleHeading = regexp.MustCompile("^### `([^`]+)`$")
	ruleRow     = regexp.MustCompile("^\\| `([^`]+)` \\|([^|]*)\\|")
	codeSpan    = regexp.MustCompile("`([^`]+)`")
)

// entries reads faq.md, chapter by chapter.
func entries(t *testing.T) map[string]map[string]*entry {
	t.Helper()
	text, err := os.ReadFile("faq.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]*entry{}
	chapter, open, block := "", (*entry)(nil), false
	add := func(rule string, e *entry) *entry {
		if found[chapter] == nil {
			found[chapter] = map[string]*entry{}
		}
		if found[chapter][rule] != nil {
			t.Errorf("%s has %q twice", chapter, rule)
		}
		found[chapter][rule] = e
		return e
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			block = !block
		case block && open != nil:
			open.lines = append(open.lines, line)
		case block:
		case strings.HasPrefix(line, "## "):
			chapter, open = strings.TrimPrefix(line, "## "), nil
		case ruleHeading.MatchString(line):
			open = add(ruleHeading.FindStringSubmatch(line)[1], &entry{own: true})
		case strings.HasPrefix(line, "### "):
			open = nil
		case ruleRow.MatchString(line):
			m := ruleRow.FindStringSubmatch(line)
			e := add(m[1], &entry{})
			if span := codeSpan.FindStringSubmatch(m[2]); span != nil {
				e.message = span[1]
			}
		case open != nil && open.message == "" && codeSpan.MatchString(line):
			open.message = codeSpan.FindStringSubmatch(line)[1]
		}
	}
	return found
}

func TestEachRefusalHasAnAnswer(t *testing.T) {
	said := entries(t)
	for chapter, folders := range chapters {
		code := source{rules: map[string]bool{}}
		for _, folder := range folders {
			code.read(t, folder)
		}
		maps.DeleteFunc(code.rules, func(rule string, _ bool) bool { return shared[rule] != "" && shared[rule] != chapter })
		for rule := range code.rules {
			e := said[chapter][rule]
			if e == nil {
				t.Errorf("faq.md says nothing of %q, of %q", rule, chapter)
				continue
			}
			if !code.says(e.message) {
				t.Errorf("%s: nobody is told %q", rule, e.message)
			}
			if e.own && (e.message == "" || len(e.lines) == 0) {
				t.Errorf("%s has neither a message nor a line that allows it: %+v", rule, e)
			}
		}
		for rule := range said[chapter] {
			if !code.rules[rule] {
				t.Errorf("faq.md explains %q in %q, where nothing is refused by it", rule, chapter)
			}
		}
	}
	for chapter := range said {
		if chapters[chapter] == nil {
			t.Errorf("faq.md has a chapter %q, whose rules nobody looks for", chapter)
		}
	}
}

// What a report says that would allow it is what stands here; that a bottle takes it is
// tested in runner.
func TestTheFAQHasTheLinesOfTheReport(t *testing.T) {
	all := 0
	for chapter, said := range entries(t) {
		for rule, e := range said {
			line := report.AllowedBy(rule)
			if chapter == "The patch" || line == "" {
				continue
			}
			all++
			if !slices.Contains(e.lines, line) {
				t.Errorf("%s: the report says %q, the page %q", rule, line, e.lines)
			}
		}
	}
	if marked, err := pages.Marked(root, "line"); err != nil || len(marked) != all {
		t.Errorf("%d blocks are lines of a report, %d rules have one: %v", len(marked), all, err)
	}
}
