package workspace

import (
	"strings"
	"unicode"
)

// foldedGit is what fold makes of ".git".
const foldedGit = ".GIT"

// fold gives the spelling under which a file system that knows no case takes
// name, one path component, for another: APFS and HFS+ compare without case and
// HFS+ overlooks format characters; NTFS also drops trailing dots and spaces and
// takes what follows a colon for a stream. See git's is_hfs_dot_str and
// is_ntfs_dot_str in path.c and utf8.c.
func fold(name string) string {
	name, _, _ = strings.Cut(name, ":")
	name = strings.TrimRight(name, " .")
	return strings.Map(foldRune, name)
}

// foldRune gives the least of the characters that r equals but for case, or -1
// for one that is overlooked.
func foldRune(r rune) rune {
	if unicode.Is(unicode.Cf, r) {
		return -1
	}
	least := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		least = min(least, other)
	}
	return least
}

// foldPath folds each component of a path.
func foldPath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = fold(part)
	}
	return strings.Join(parts, "/")
}
