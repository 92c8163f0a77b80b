package gitpath

import (
	"path"
	"strings"
)

// Glob is a pattern over paths: "*", "?" and "[a-z]" stay within one component
// (see path.Match), "**" stands for any number of components.
type Glob []globPart

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

// CompileGlob reads a pattern. Without a slash it means a name at any depth.
func CompileGlob(pattern string) (Glob, error) {
	var compiled Glob
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
		compiled = append(Glob{anyDepth}, compiled...)
	}
	return compiled, nil
}

// Match tells whether the whole of parts matches.
func (g Glob) Match(parts []string) bool {
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
		if g[1:].Match(parts[skip:]) {
			return true
		}
	}
	return false
}

// Covers tells whether parts, or a folder that they lie in, matches.
func (g Glob) Covers(parts []string) bool {
	for n := 1; n <= len(parts); n++ {
		if g.Match(parts[:n]) {
			return true
		}
	}
	return false
}
