package image

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// What of the variables that an image sets a guest is given. All of them are a
// stranger's words. PATH says where the image has its programs, and the others
// how they write and what time it is; anything else (a proxy, an option of a
// loader or a runtime, a credential that somebody left) is left out: a bottle's
// own `env` says it.
var environmentNames = []string{"LANG", "LANGUAGE", "LC_ALL", "PATH", "TZ"}

// plainValue is what locales and time zones are made of.
var plainValue = regexp.MustCompile(`^[A-Za-z0-9_.@:/+-]{1,64}$`)

// Bounds of a PATH: far above what tool images have.
const (
	maxPathBytes   = 4096
	maxPathFolders = 64
)

// environment gives, sorted, those variables of an image's that a guest gets. The
// last of a name counts.
func environment(image []string) []string {
	values := map[string]string{}
	for _, v := range image {
		name, value, ok := strings.Cut(v, "=")
		if ok && slices.Contains(environmentNames, name) {
			values[name] = value
		}
	}
	var env []string
	for _, name := range environmentNames {
		value := values[name]
		if name == "PATH" {
			value = searchPath(value)
		} else if !plainValue.MatchString(value) {
			value = ""
		}
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// searchPath keeps the absolute folders of a PATH, in order.
func searchPath(list string) string {
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
