package provider

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/term"
)

// find gives the path of the program on this host: from PATH, or from where its
// installers put it.
func (c cli) find(lookup func(string) (string, bool)) (string, error) {
	var unusable string
	for _, dir := range places(lookup) {
		path := filepath.Join(dir, c.name)
		info, err := os.Stat(path)
		if err != nil || info.IsDir() {
			continue
		}
		if info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
		if unusable == "" {
			unusable = path
		}
	}
	if unusable != "" {
		return "", term.Errorf(term.StagePreflight, unusable, "looking for %s: it is not executable", c.title).
			WithHint("chmod a+rx %s, or install it anew: %s", unusable, c.install)
	}
	return "", term.Errorf(term.StagePreflight, c.name, "looking for %s: it is neither on PATH nor where its installers put it", c.title).
		WithHint("install it on this host: %s; or give the bottle an image that has it", c.install)
}

// places are the folders that are searched, in order. Relative ones of PATH are
// left out: what they mean depends on where one stands.
func places(lookup func(string) (string, bool)) []string {
	var dirs []string
	path, _ := lookup("PATH")
	for _, dir := range filepath.SplitList(path) {
		if filepath.IsAbs(dir) {
			dirs = append(dirs, filepath.Clean(dir))
		}
	}
	if prefix, ok := lookup("NPM_CONFIG_PREFIX"); ok && filepath.IsAbs(prefix) {
		dirs = append(dirs, filepath.Join(prefix, "bin"))
	}
	if home, ok := lookup("HOME"); ok && filepath.IsAbs(home) {
		dirs = append(dirs, homePlaces(home)...)
	}
	return append(dirs, "/usr/local/bin", "/usr/bin")
}

// homePlaces are those of the installers: native ones, npm's prefix, and nvm's
// versions of Node.js, newest first.
func homePlaces(home string) []string {
	dirs := []string{filepath.Join(home, ".local/bin"), filepath.Join(home, ".claude/local")}
	if prefix := npmPrefix(home); prefix != "" {
		dirs = append(dirs, filepath.Join(prefix, "bin"))
	}
	dirs = append(dirs, filepath.Join(home, ".npm-global/bin"))
	nvm, _ := filepath.Glob(filepath.Join(home, ".nvm/versions/node/v*/bin"))
	slices.SortFunc(nvm, func(a, b string) int {
		return parseVersion(filepath.Base(filepath.Dir(b))).compare(parseVersion(filepath.Base(filepath.Dir(a))))
	})
	return append(dirs, nvm...)
}

// npmPrefix reads `prefix` from ~/.npmrc (npmrc(5)), or gives "".
func npmPrefix(home string) string {
	b, err := readBounded(filepath.Join(home, ".npmrc"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		name, value, found := strings.Cut(line, "=")
		if !found || strings.TrimSpace(name) != "prefix" {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		value = strings.ReplaceAll(strings.Replace(value, "~/", home+"/", 1), "${HOME}", home)
		if filepath.IsAbs(value) {
			return filepath.Clean(value)
		}
	}
	return ""
}

// imagePlaces is the PATH of a guest.
var imagePlaces = []string{"usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"}

// inImage gives the program's path in a guest whose root is the folder rootfs.
// Links are taken as they stand: they mean something else here than there.
func (c cli) inImage(rootfs string) (string, error) {
	for _, dir := range imagePlaces {
		path := filepath.Join(dir, c.name)
		info, err := os.Lstat(filepath.Join(rootfs, path))
		if err != nil {
			continue
		}
		if info.Mode()&fs.ModeSymlink != 0 || info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return "/" + path, nil
		}
		return "", term.Errorf(term.StagePreflight, rootfs, "looking for %s in the image: \"/%s\" is not executable", c.title, path).
			WithHint("install it in the image anew: %s", c.install)
	}
	return "", term.Errorf(term.StagePreflight, rootfs, "looking for %s in the image: there is no %q on its PATH", c.title, c.name).
		WithHint("install it in the image: %s; nothing of the host is put into an image", c.install)
}

// maxTree bounds what is looked through. The Gemini CLI has some 500 files.
const maxTree = 100_000

// checkTree makes sure that there is nothing at path, a file or a folder, that is
// not for everybody's eyes: the guest gets all of it.
func checkTree(path string) error {
	seen := 0
	err := filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
		if seen++; seen > maxTree {
			return fmt.Errorf("it has more than %d files", maxTree)
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return checkShared(at, info)
	})
	if err == nil {
		return nil
	}
	return term.Errorf(term.StagePreflight, path, "checking what the guest would get: %w", err).
		WithHint("the guest's user is another than yours: chmod -R o+rX %s", path)
}

func checkShared(path string, info fs.FileInfo) error {
	mode := info.Mode()
	switch {
	case mode&fs.ModeSymlink != 0:
		return nil // it is followed in the guest
	case mode.IsDir() && mode&0o005 != 0o005, mode.IsRegular() && mode&0o004 == 0:
		return fmt.Errorf("not everybody may read %q", path)
	case !mode.IsDir() && !mode.IsRegular():
		return fmt.Errorf("%q is neither a file nor a folder", path)
	}
	return nil
}
