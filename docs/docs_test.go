// Package docs_test holds the pages to their word: links lead somewhere, each command
// and each piece of YAML says by what it is held, and no refusal goes unexplained.
package docs_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/parser"

	"github.com/bot-bottle/action/internal/pages"
)

// root is the repository, as seen from this folder.
const root = ".."

func all(t *testing.T) []pages.Page {
	t.Helper()
	list, err := pages.All(root)
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	return list
}

func blocks(t *testing.T) (list []pages.Block) {
	t.Helper()
	for _, p := range all(t) {
		found, _, err := p.Blocks()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, found...)
	}
	return list
}

// ours tells whether a link leads into the repository.
func ours(link string) bool {
	return !strings.Contains(link, "://") && !strings.HasPrefix(link, "mailto:")
}

func TestLinksBetweenPagesResolve(t *testing.T) {
	for _, p := range all(t) {
		links, err := p.Links()
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			if ours(link) {
				checkLink(t, p, link)
			} else if strings.HasPrefix(link, "file:") || strings.Contains(link, "://localhost") || strings.Contains(link, "://127.") {
				t.Errorf("%s: nobody else can follow %q", p.Path, link)
			}
		}
	}
}

func checkLink(t *testing.T, p pages.Page, link string) {
	t.Helper()
	path, anchor, _ := strings.Cut(link, "#")
	target := p.Path
	if path != "" {
		target = filepath.Join(filepath.Dir(p.Path), path)
	}
	if below, err := filepath.Rel(root, target); filepath.IsAbs(path) || err != nil || strings.HasPrefix(below, "..") {
		t.Errorf("%s: the link %q leads out of the repository", p.Path, link)
		return
	}
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s: the link %q leads nowhere", p.Path, link)
	} else if anchor != "" && !slices.Contains(anchors(t, target), anchor) {
		t.Errorf("%s: %s has no heading for the link %q", p.Path, target, link)
	}
}

func anchors(t *testing.T, path string) (list []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		return nil // a folder has no headings
	}
	words, err := pages.Page{Path: path, Text: string(text)}.Headings()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range words {
		list = append(list, pages.Anchor(w))
	}
	return list
}

// A page that no other leads to is one that nobody reads.
func TestEveryPageIsReachedFromTheStart(t *testing.T) {
	byPath := map[string]pages.Page{}
	for _, p := range all(t) {
		byPath[p.Path] = p
	}
	seen := map[string]bool{}
	next := []string{filepath.Join(root, "README.md"), filepath.Join(root, "docs/README.md")}
	for len(next) > 0 {
		path := next[0]
		next = next[1:]
		p, known := byPath[path]
		if !known || seen[path] {
			continue
		}
		seen[path] = true
		links, err := p.Links()
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			target, _, _ := strings.Cut(link, "#")
			target = filepath.Join(filepath.Dir(path), target)
			next = append(next, target, filepath.Join(target, "README.md"))
		}
	}
	for path := range byPath {
		if strings.HasPrefix(path, "../docs/") && !seen[path] {
			t.Errorf("no page leads to %s", path)
		}
	}
}

// held are the ways in which a block of a language may be held to be true. A language
// with none shows what no program of ours reads, such as output.
var held = map[string][]string{
	"sh":      {"run", "tested", "not run"},
	"console": {"run", "tested", "not run"},
	"yaml":    {"bottle", "agent", "host", "workflow", "line", "not ours"},
	"text":    nil,
	"ini":     nil,
	"nix":     nil,
}

// reasoned are the marks that are worth nothing without what follows the colon.
var reasoned = []string{"tested", "not run", "not ours"}

func TestEveryBlockSaysHowItIsHeld(t *testing.T) {
	for _, b := range blocks(t) {
		ways, known := held[b.Language]
		if !known {
			t.Errorf("%s: the block is of language %q, which is none of %v", b, b.Language, held)
			continue
		}
		if len(ways) == 0 {
			continue
		}
		way := slices.IndexFunc(ways, func(word string) bool { _, says := b.Says(word); return says })
		if way < 0 {
			t.Errorf("%s: the line before a block of %s has to be a comment with one of %q", b, b.Language, ways)
		} else if what, _ := b.Says(ways[way]); what == "" && slices.Contains(reasoned, ways[way]) {
			t.Errorf("%s: %q says nothing without a reason", b, ways[way])
		}
	}
}

// Code that is only indented can't say how it is held.
func TestNoCommandIsOnlyIndented(t *testing.T) {
	for _, p := range all(t) {
		_, prose, err := p.Blocks()
		if err != nil {
			t.Fatal(err)
		}
		before := ""
		for line := range strings.SplitSeq(prose, "\n") {
			if strings.HasPrefix(line, "    ") && before == "" {
				t.Errorf("%s: put three backticks around %q", p.Path, line)
			}
			before = line
		}
	}
}

func TestTestedBlocksNameATest(t *testing.T) {
	for _, b := range blocks(t) {
		what, ok := b.Says("tested")
		if !ok {
			continue
		}
		folder, test, _ := strings.Cut(what, " ")
		files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(text), "\nfunc "+test+"(t *testing.T)")
		}
		if !found {
			t.Errorf("%s: %s has no test %q", b, folder, test)
		}
	}
}

// Bottles, agents, the host's configuration and workflows are read by their own readers,
// in internal/manifest and action; of others' files it is seen that they are YAML.
func TestOthersYAMLParses(t *testing.T) {
	for _, b := range blocks(t) {
		if _, ok := b.Says("not ours"); !ok {
			continue
		}
		if _, err := parser.ParseBytes([]byte(b.Text), 0); err != nil {
			t.Errorf("%s: %v", b, err)
		}
	}
}

func TestCommandsAreOfAShell(t *testing.T) {
	for _, b := range blocks(t) {
		if len(held[b.Language]) == 0 || b.Language == "yaml" {
			continue
		}
		cmd := exec.Command("sh", "-n")
		cmd.Stdin = strings.NewReader(b.Script())
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(b.Script()) == "" {
			t.Errorf("%s: %v\n%s", b, err, out)
		}
	}
}

var (
	verbHeading = regexp.MustCompile(`(?m)^## bot-bottle (\S+)`)
	flagLine    = regexp.MustCompile(`(?m)^ +(?:-\w, )?--([\w-]+)`)
	invocation  = regexp.MustCompile(`(?:^|[\s/;&|(])bot-bottle ([a-z](?:[^\n;&|#]|\\\n)*)`)
	givenFlag   = regexp.MustCompile(`(?:^|\s)--([a-z][\w-]*)`)
)

// verbs gives the flags of each verb, as the reference of flags, which is made from the
// program, has them.
func verbs(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("reference/flags.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	starts := verbHeading.FindAllSubmatchIndex(text, -1)
	for i, s := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		verb := string(text[s[2]:s[3]])
		found[verb] = []string{"help"}
		for _, f := range flagLine.FindAllSubmatch(text[s[0]:end], -1) {
			found[verb] = append(found[verb], string(f[1]))
		}
	}
	return found
}

func TestThePagesUseVerbsAndFlagsThatThereAre(t *testing.T) {
	known := verbs(t)
	used := 0
	for _, b := range blocks(t) {
		if b.Language != "sh" && b.Language != "console" {
			continue
		}
		for _, m := range invocation.FindAllStringSubmatch(b.Script(), -1) {
			args, _, _ := strings.Cut(m[1], " -- ")
			verb, _, _ := strings.Cut(strings.TrimSpace(args), " ")
			flags, ok := known[verb]
			if !ok {
				t.Errorf("%s: there is no verb %q", b, verb)
				continue
			}
			used++
			for _, f := range givenFlag.FindAllStringSubmatch(args, -1) {
				if !slices.Contains(flags, f[1]) {
					t.Errorf("%s: %s has no flag %q", b, verb, f[1])
				}
			}
		}
	}
	if used == 0 {
		t.Error("no page runs bot-bottle")
	}
}

var pageName = regexp.MustCompile(`(?:^|[^/\w])(docs/[a-z0-9/-]+\.md)\b`)

// Hints of the program and comments of the code lead to pages, too.
func TestThePagesThatTheCodeNamesAreThere(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "node_modules" {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range pageName.FindAllStringSubmatch(string(text), -1) {
			if _, gone := os.Stat(filepath.Join(root, name[1])); gone != nil {
				t.Errorf("%s names %s, which isn't there", path, name[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
