package workspace

import (
	"path"
	"strings"

	"github.com/bot-bottle/action/internal/term"
)

// glob is a pattern over paths: "*", "?" and "[a-z]" stay within one component
// (see path.Match), "**" stands for any number of components.
type glob []globPart

// globPart is one component of a pattern.
type globPart struct {
	text    string
	literal bool // without special characters: most are, and compare faster
}

// anyDepth is the component "**".
var anyDepth = globPart{text: "**"}

func (p globPart) match(name string) bool {
	if p.literal {
		return p.text == name
	}
	ok, _ := path.Match(p.text, name) // the only error is a bad pattern
	return ok
}

// compileGlob reads a pattern. Without a slash it means a name at any depth.
func compileGlob(pattern string) (glob, error) {
	var compiled glob
	for text := range strings.SplitSeq(pattern, "/") {
		if text == "" || text == "." || text == ".." {
			return nil, path.ErrBadPattern
		}
		if _, err := path.Match(text, ""); err != nil {
			return nil, err
		}
		if text == anyDepth.text && len(compiled) > 0 && compiled[len(compiled)-1] == anyDepth {
			continue // twice means no more than once, but takes longer
		}
		compiled = append(compiled, globPart{text, !strings.ContainsAny(text, `*?[\`)})
	}
	if !strings.Contains(pattern, "/") {
		compiled = append(glob{anyDepth}, compiled...)
	}
	return compiled, nil
}

// match tells whether the whole of parts matches.
func (g glob) match(parts []string) bool {
	for len(g) > 0 && g[0] != anyDepth {
		if len(parts) == 0 || !g[0].match(parts[0]) {
			return false
		}
		g, parts = g[1:], parts[1:]
	}
	if len(g) == 0 {
		return len(parts) == 0
	}
	for skip := range len(parts) + 1 {
		if g[1:].match(parts[skip:]) {
			return true
		}
	}
	return false
}

// covers tells whether parts, or a folder that they lie in, matches.
func (g glob) covers(parts []string) bool {
	for n := 1; n <= len(parts); n++ {
		if g.match(parts[:n]) {
			return true
		}
	}
	return false
}

// compileAllow reads the patterns of Rules.Allow.
func compileAllow(patterns []string) ([]glob, error) {
	var globs []glob
	for _, pattern := range patterns {
		compiled, err := compileGlob(pattern)
		if err != nil {
			return nil, term.Errorf(term.StageUsage, "--allow", "reading pattern %q: %w", pattern, err).
				WithHint("write a name (.gitignore), a folder (.github) or a path from the top (docs/**/*.md), without . and ..")
		}
		globs = append(globs, compiled)
	}
	return globs, nil
}

// ValidateAllow checks the syntax of Rules.Allow, so that a mistake is known
// before a job and not after it. The error is of stage usage.
func ValidateAllow(patterns []string) error {
	_, err := compileAllow(patterns)
	return err
}
