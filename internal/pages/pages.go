// Package pages reads the Markdown of this repository as its tests look at it: links,
// headings, and fenced blocks with what is said of each. It knows the Markdown that the
// pages here are written in, not all of it.
//
// What is said of a block is an HTML comment in the line before it, which no reader
// sees. It is how a block is held to be true:
//
//	<!-- run -->                  e2e runs it, as a user would, in an empty folder for each page
//	<!-- run: exit 3 -->          the same, and it ends with that exit code
//	<!-- tested: FOLDER TEST -->  a test of that name, in that folder, does what it says
//	<!-- not run: WHY -->         nothing does
//	<!-- bottle -->, agent, host, workflow
//	                              YAML of such a file, whole or the part that matters, that its own reader takes
//	<!-- not ours: WHOSE -->      YAML that somebody else reads
package pages

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Page is a Markdown file. Path is as the root that was given to All is.
type Page struct {
	Path string
	Text string
}

// Block is what stands between two lines of three backticks.
type Block struct {
	Page     string
	Line     int    // of the opening backticks, from 1
	Language string // empty: none is named
	Mark     string // what the comment in the line before says; empty: there is none
	Text     string // lines, without the indentation of the opening one
}

// String says where the block is.
func (b Block) String() string { return fmt.Sprintf("%s:%d", b.Page, b.Line) }

// Says gives what stands behind the word in the block's mark, and whether the mark is
// that word, alone or with a colon.
func (b Block) Says(word string) (what string, ok bool) {
	if b.Mark == word {
		return "", true
	}
	what, ok = strings.CutPrefix(b.Mark, word+":")
	return strings.TrimSpace(what), ok
}

// skipped are folders that hold no page of ours.
var skipped = map[string]bool{"testdata": true, "bin": true, "node_modules": true, "dist": true}

// All reads every Markdown file at or below root.
func All(root string) (list []Page, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (skipped[d.Name()] || path != root && strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".md") {
			return nil
		}
		text, err := os.ReadFile(path)
		list = append(list, Page{Path: path, Text: string(text)})
		return err
	})
	return list, err
}

var (
	fence   = regexp.MustCompile("^( *)(`{3,})([^`]*)$")
	comment = regexp.MustCompile(`^ *<!-- (.*) -->$`)
)

// Blocks gives the page's fenced blocks, and what is left of the page without them.
func (p Page) Blocks() (blocks []Block, rest string, err error) {
	var open *Block
	var prose strings.Builder
	indent, ticks, before := "", "", ""
	for i, line := range strings.Split(p.Text, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case open == nil && m != nil:
			indent, ticks = m[1], m[2]
			open = &Block{Page: p.Path, Line: i + 1, Language: strings.TrimSpace(m[3])}
			if c := comment.FindStringSubmatch(before); c != nil {
				open.Mark = c[1]
			}
		case open != nil && m != nil && m[2] == ticks && strings.TrimSpace(m[3]) == "":
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.Text += strings.TrimPrefix(line, indent) + "\n"
		default:
			prose.WriteString(line + "\n")
		}
		before = line
	}
	if open != nil {
		return nil, "", fmt.Errorf("reading %s: the block has no end", open)
	}
	return blocks, prose.String(), nil
}

// Marked gives the blocks of all pages at or below root whose mark is the word.
func Marked(root, word string) (found []Block, err error) {
	all, err := All(root)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		blocks, _, err := p.Blocks()
		if err != nil {
			return nil, err
		}
		for _, b := range blocks {
			if _, ok := b.Says(word); ok {
				found = append(found, b)
			}
		}
	}
	return found, nil
}

var (
	inlineLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	unanchored = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// Links gives the targets of the page's links and pictures, those in blocks left out.
func (p Page) Links() (targets []string, err error) {
	_, prose, err := p.Blocks()
	for _, m := range inlineLink.FindAllStringSubmatch(prose, -1) {
		targets = append(targets, m[1])
	}
	return targets, err
}

// Headings gives the words of the page's headings, without what marks them.
func (p Page) Headings() (words []string, err error) {
	_, prose, err := p.Blocks()
	for _, m := range heading.FindAllStringSubmatch(prose, -1) {
		words = append(words, m[1])
	}
	return words, err
}

// Anchor is what a forge, and the site, call a heading in an address.
func Anchor(heading string) string {
	return strings.ReplaceAll(unanchored.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}
