package workspace

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/bot-bottle/action/internal/gitpath"
)

// folder is an open folder beneath the root. os.Root alone keeps everything
// inside, but follows links that stay there; here none is followed.
type folder struct {
	root *os.Root
	path string // "" for the root itself
}

// openParent opens the folder that path lies in, and gives path's last name.
func openParent(root *os.Root, path string) (_ *folder, name string, err error) {
	dir, rest, err := openToward(root, path)
	if err != nil {
		return nil, "", err
	}
	if len(rest) > 1 {
		return nil, "", errors.Join(&fs.PathError{Op: "open", Path: rest[0], Err: fs.ErrNotExist}, dir.root.Close())
	}
	return dir, rest[0], nil
}

// openToward opens the last folder on the way to path that is there, and gives
// the names that are left: one, if that is the folder which path lies in.
func openToward(root *os.Root, path string) (_ *folder, rest []string, err error) {
	parts := strings.Split(path, "/")
	current, err := root.OpenRoot(".")
	if err != nil {
		return nil, nil, err
	}
	for i, part := range parts {
		here := &folder{current, strings.Join(parts[:i], "/")}
		if err := checkNoRepository(current, part); err != nil {
			return nil, nil, errors.Join(err, current.Close())
		}
		if i == len(parts)-1 {
			return here, parts[i:], nil
		}
		next, err := openFolder(current, part)
		if errors.Is(err, fs.ErrNotExist) {
			return here, parts[i:], nil
		}
		if err := errors.Join(err, current.Close()); err != nil {
			return nil, nil, err
		}
		current = next
	}
	panic("workspace: a path without a name") // Split gives one part at least
}

// openFolder opens a folder in dir. What is opened is what was looked at, so a
// link put there in between isn't followed.
func openFolder(dir *os.Root, name string) (*os.Root, error) {
	seen, err := dir.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !seen.IsDir() {
		return nil, conflictf("%q on the way to it isn't a folder here", name)
	}
	opened, err := dir.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	info, err := opened.Stat(".")
	if err != nil || !os.SameFile(seen, info) {
		return nil, errors.Join(err, conflictf("%q on the way to it is being changed", name), opened.Close())
	}
	return opened, nil
}

// repositoryNames are what git reads in a folder that it takes for a
// repository, folded. See gitrepository-layout(5).
var repositoryNames = []string{
	"COMMONDIR", "CONFIG", "CONFIG.WORKTREE", "HOOKS", "INDEX", "INFO", "MODULES", "OBJECTS", "PACKED-REFS", "REFS", "WORKTREES",
}

// checkNoRepository keeps name from being changed in a folder that git takes, or
// with it would take, for a bare repository: git obeys the config in there.
// RuleBareRepo keeps a patch from adding the HEAD that makes it one.
func checkNoRepository(dir *os.Root, name string) error {
	if !slices.Contains(repositoryNames, gitpath.Fold(name)) {
		return nil
	}
	if _, err := dir.Lstat("HEAD"); err == nil {
		return conflictf("beside a file %q, %q can be part of a repository, whose config git obeys", "HEAD", name)
	}
	return nil
}

// readFile reads a regular file in dir, which nobody waits for if it is a pipe
// by now.
func readFile(dir *os.Root, name string) ([]byte, fs.FileInfo, error) {
	file, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, maxTreeBytes))
	return content, info, err
}

// siblings remembers, by folder, the names that are there, folded.
type siblings map[string]map[string]string

// checkAbsent wants nothing in dir to have name, or a name that some file
// system takes for it.
func (s siblings) checkAbsent(dir *folder, name string) error {
	names, err := s.names(dir)
	if err != nil {
		return err
	}
	switch other, ok := names[gitpath.Fold(name)]; {
	case ok && other == name:
		return conflictf("it is there already")
	case ok:
		return conflictf("%q is there, which differs from %q in case only", other, name)
	}
	// A file system may take names for one that fold doesn't.
	_, err = dir.root.Lstat(name)
	if err == nil {
		return conflictf("it is there already")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (s siblings) names(dir *folder) (map[string]string, error) {
	if names, ok := s[dir.path]; ok {
		return names, nil
	}
	file, err := dir.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	entries, err := file.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(entries))
	for _, entry := range entries {
		// Where two names fold alike already, the one that is meant exactly
		// is found by Lstat.
		names[gitpath.Fold(entry)] = entry
	}
	s[dir.path] = names
	return names, nil
}
