package image

import (
	"path"
	"slices"
	"strings"
)

// Bounds of a PATH: far above what tool images have.
const (
	maxPathBytes   = 4096
	maxPathFolders = 64
)

// searchPath gives the absolute folders of the PATH that an image sets, in order,
// or "". It is all that counts of an image's variables, which are a stranger's
// words: without it the image's own programs aren't found; a proxy, an option of a
// loader or a runtime, or a credential that somebody left are a bottle's to say.
func searchPath(env []string) string {
	list := ""
	for _, v := range env { // the last counts
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			list = value
		}
	}
	if len(list) > maxPathBytes {
		return ""
	}
	var dirs []string
	for _, dir := range strings.Split(list, ":") {
		odd := strings.ContainsFunc(dir, func(c rune) bool { return c <= ' ' || c > '~' })
		if path.IsAbs(dir) && !odd && !slices.Contains(dirs, path.Clean(dir)) && len(dirs) < maxPathFolders {
			dirs = append(dirs, path.Clean(dir))
		}
	}
	return strings.Join(dirs, ":")
}
