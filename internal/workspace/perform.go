package workspace

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"
)

// tempPrefix begins the names of files that aren't in place yet.
const tempPrefix = ".bot-bottle-"

// staged is a step whose new content lies beside its target.
type staged struct {
	step
	temp string // path of the file with the new content; "" where the file goes
}

// perform carries out steps. First all new content is written beside its
// target, where a full disk or a missing right shows; then the files are
// replaced one by one, and put back if one can't be.
func perform(ctx context.Context, root *os.Root, steps []step) error {
	made := &madeFolders{root: root}
	stages, err := stageAll(ctx, root, steps, made)
	if err != nil {
		return errors.Join(err, dropAll(root, stages), made.remove())
	}
	for i, stage := range stages {
		if err := commit(root, stage); err != nil {
			err = fmt.Errorf("replacing %q: %w", stage.path, err)
			return errors.Join(err, putBack(root, stages[:i]), dropAll(root, stages[i:]), made.remove())
		}
	}
	removeEmptied(root, steps)
	return nil
}

func stageAll(ctx context.Context, root *os.Root, steps []step, made *madeFolders) ([]staged, error) {
	var stages []staged
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return stages, err
		}
		stage, err := stageOne(root, step, made)
		if err != nil {
			return stages, fmt.Errorf("writing %q: %w", step.path, err)
		}
		stages = append(stages, stage)
	}
	return stages, nil
}

func stageOne(root *os.Root, s step, made *madeFolders) (staged, error) {
	if s.after == nil {
		return staged{step: s}, nil
	}
	if err := made.ensure(path.Dir(s.path)); err != nil {
		return staged{}, err
	}
	temp, err := writeTemp(root, s.path, s.after, s.before)
	return staged{step: s, temp: temp}, err
}

// writeTemp writes content beside target and gives its path. Mode and owner are
// like's where that is given; otherwise the umask and the folder decide.
func writeTemp(root *os.Root, target string, content, like *state) (string, error) {
	parent, _, err := openParent(root, target)
	if err != nil {
		return "", err
	}
	defer parent.root.Close()
	name := tempPrefix + rand.Text()
	file, err := parent.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, content.mode)
	if err != nil {
		return "", err
	}
	_, err = file.Write(content.content)
	err = errors.Join(err, adopt(file, parent.root, content, like), file.Close())
	if err != nil {
		return "", errors.Join(err, parent.root.Remove(name))
	}
	return path.Join(parent.path, name), nil
}

// adopt gives file the owner of what it stands for, or of the folder for a new
// one, and the mode if it stands for something.
func adopt(file *os.File, parent *os.Root, content, like *state) error {
	if like == nil {
		info, err := parent.Stat(".")
		if err != nil {
			return err
		}
		return chownLike(info, file.Chown)
	}
	return errors.Join(chownLike(like.info, file.Chown), file.Chmod(content.mode))
}

// chownLike gives away what root makes in a user's checkout. Others own what
// they make, and can't.
func chownLike(info fs.FileInfo, chown func(uid, gid int) error) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return chown(int(stat.Uid), int(stat.Gid))
}

// commit replaces, makes or removes one file, if it still is what was planned
// with.
func commit(root *os.Root, s staged) error {
	parent, name, err := openParent(root, s.path)
	if err != nil {
		return err
	}
	defer parent.root.Close()
	if err := unchanged(parent.root, name, s.before); err != nil {
		return err
	}
	if s.after == nil {
		return parent.root.Remove(name)
	}
	return parent.root.Rename(path.Base(s.temp), name)
}

// unchanged wants name to be as it was when the plan was made.
func unchanged(parent *os.Root, name string, before *state) error {
	info, err := parent.Lstat(name)
	switch {
	case before == nil && errors.Is(err, fs.ErrNotExist):
		return nil
	case before == nil && err == nil:
		return errors.New("something else has made it meanwhile")
	case err != nil:
		return err
	case !os.SameFile(info, before.info) || info.Size() != before.info.Size() || !info.ModTime().Equal(before.info.ModTime()):
		return errors.New("something else has changed it meanwhile")
	}
	return nil
}

// putBack undoes stages that were committed, newest first.
func putBack(root *os.Root, stages []staged) error {
	var failed []error
	for _, stage := range slices.Backward(stages) {
		if err := putBackOne(root, stage); err != nil {
			failed = append(failed, fmt.Errorf("putting back %q (it stays changed): %w", stage.path, err))
		}
	}
	return errors.Join(failed...)
}

func putBackOne(root *os.Root, s staged) error {
	if s.before == nil {
		return removeFile(root, s.path)
	}
	temp, err := writeTemp(root, s.path, s.before, s.before)
	if err != nil {
		return err
	}
	parent, name, err := openParent(root, s.path)
	if err != nil {
		return err
	}
	defer parent.root.Close()
	return parent.root.Rename(path.Base(temp), name)
}

// dropAll removes content that didn't come into place.
func dropAll(root *os.Root, stages []staged) error {
	var failed []error
	for _, stage := range stages {
		if stage.temp != "" {
			failed = append(failed, removeFile(root, stage.temp))
		}
	}
	return errors.Join(failed...)
}

func removeFile(root *os.Root, target string) error {
	parent, name, err := openParent(root, target)
	if err != nil {
		return err
	}
	defer parent.root.Close()
	return parent.root.Remove(name)
}

// removeEmptied removes the folders that lost their last file: git knows none
// without. One that isn't empty stays, and the error says no more than that.
func removeEmptied(root *os.Root, steps []step) {
	for _, step := range steps {
		if step.after != nil {
			continue
		}
		for dir := path.Dir(step.path); dir != "."; dir = path.Dir(dir) {
			if removeFolder(root, dir) != nil {
				break
			}
		}
	}
}

func removeFolder(root *os.Root, dir string) error {
	parent, name, err := openParent(root, dir)
	if err != nil {
		return err
	}
	defer parent.root.Close()
	opened, err := openFolder(parent.root, name)
	if err != nil {
		return err
	}
	opened.Close()
	return parent.root.Remove(name)
}

// madeFolders remembers the folders that were made for new files.
type madeFolders struct {
	root  *os.Root
	paths []string // parents first
}

// ensure makes dir and the folders it lies in.
func (m *madeFolders) ensure(dir string) error {
	if dir == "." {
		return nil
	}
	for i, c := range dir + "/" {
		if c != '/' {
			continue
		}
		if err := m.ensureOne(dir[:i]); err != nil {
			return err
		}
	}
	return nil
}

func (m *madeFolders) ensureOne(dir string) error {
	parent, name, err := openParent(m.root, dir)
	if err != nil {
		return err
	}
	defer parent.root.Close()
	err = parent.root.Mkdir(name, 0o777)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	m.paths = append(m.paths, dir)
	return adoptFolder(parent.root, name)
}

// adoptFolder gives a new folder the owner of the one it lies in. It is opened
// first: its name may stand for something else by now.
func adoptFolder(parent *os.Root, name string) error {
	info, err := parent.Stat(".")
	if err != nil {
		return err
	}
	made, err := openFolder(parent, name)
	if err != nil {
		return err
	}
	defer made.Close()
	return chownLike(info, func(uid, gid int) error { return made.Chown(".", uid, gid) })
}

// remove removes what was made and is empty again.
func (m *madeFolders) remove() error {
	var failed []error
	for _, dir := range slices.Backward(m.paths) {
		if err := removeFolder(m.root, dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
