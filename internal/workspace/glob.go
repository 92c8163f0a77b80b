package workspace

import (
	"github.com/bot-bottle/action/internal/gitpath"
	"github.com/bot-bottle/action/internal/term"
)

// compileAllow reads the patterns of Rules.Allow.
func compileAllow(patterns []string) ([]gitpath.Glob, error) {
	var globs []gitpath.Glob
	for _, pattern := range patterns {
		compiled, err := gitpath.CompileGlob(pattern)
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
