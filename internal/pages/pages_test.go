package pages_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/bot-bottle/action/internal/pages"
)

const page = "# A `page` (of ours)\n\n[over](there.md#here) ![drawn](a.svg)\n\n<!-- run: exit 3 -->\n```console\n$ one \\\n    more\ntwo\n# install /x <<'END'\nthree\nEND\nfour\n```\n\n- in a list\n\n  ```text\n  [no](link)\n  # no heading\n  ```\n\n## Ünï and 2\n"

func TestAPageIsTakenApart(t *testing.T) {
	p := pages.Page{Path: "x.md", Text: page}
	blocks, _, err := p.Blocks()
	if err != nil || len(blocks) != 2 {
		t.Fatalf("%+v, %v", blocks, err)
	}
	b := blocks[0]
	if b.Language != "console" || b.Line != 6 || b.String() != "x.md:6" || b.Script() != "one \\\n    more\ninstall /x <<'END'\nthree\nEND\n" || !reflect.DeepEqual(b.Output(), []string{"two", "four"}) {
		t.Errorf("%+v: %q %q", b, b.Script(), b.Output())
	}
	if what, ok := b.Says("run"); !ok || what != "exit 3" {
		t.Errorf("it says %q, %v", what, ok)
	}
	if _, ok := b.Says("ru"); ok {
		t.Error("the beginning of a word is taken for it")
	}
	if blocks[1].Mark != "" || blocks[1].Text != "[no](link)\n# no heading\n" {
		t.Errorf("%+v", blocks[1])
	}
	if links, err := p.Links(); err != nil || !slices.Equal(links, []string{"there.md#here", "a.svg"}) {
		t.Errorf("%q, %v", links, err)
	}
	words, err := p.Headings()
	if err != nil || !slices.Equal(words, []string{"A `page` (of ours)", "Ünï and 2"}) {
		t.Errorf("%q, %v", words, err)
	}
	if a := pages.Anchor(words[0]); a != "a-page-of-ours" {
		t.Errorf("its anchor is %q", a)
	}
}

func TestABlockWithoutAnEndIsTold(t *testing.T) {
	if _, _, err := (pages.Page{Path: "x.md", Text: "```sh\ntrue\n"}).Blocks(); err == nil || err.Error() != "reading x.md:1: the block has no end" {
		t.Error(err)
	}
}

func TestWhatIsNoPageOfOursIsLeftOut(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"a.md", "docs/b.md", "node_modules/c.md", ".git/d.md", "x/testdata/e.md", "f.txt"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("<!-- run -->\n```sh\ntrue\n```\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list, err := pages.All(root)
	if err != nil || len(list) != 2 || list[0].Path != filepath.Join(root, "a.md") || list[1].Path != filepath.Join(root, "docs/b.md") {
		t.Errorf("%+v, %v", list, err)
	}
	if found, err := pages.Marked(root, "run"); err != nil || len(found) != 2 {
		t.Errorf("%+v, %v", found, err)
	}
}
