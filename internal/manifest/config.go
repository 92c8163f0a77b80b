package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml/ast"

	"golang.org/x/sys/unix"
)

// HostFolder is where a host's operator keeps what no job may choose: config.yaml
// and, unless that says otherwise, the folders of bottles and agents.
const HostFolder = "/etc/bot-bottle"

// Config is the host's own configuration.
type Config struct {
	BottlesDir string // key `bottles_dir`: absolute; empty: "bottles" in HostFolder
}

// LoadConfig reads config.yaml from a folder, which has to be root's, as the file
// has, with nobody else able to write; without the file everything is at its
// default.
func LoadConfig(folder string) (Config, error) { return loadConfig(folder, 0) }

// loadConfig is LoadConfig for files that belong to owner.
func loadConfig(folder string, owner int) (Config, error) {
	path := filepath.Join(folder, "config.yaml")
	b, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil
	}
	for _, p := range []string{folder, path} {
		if err == nil {
			err = onlyFor(p, owner)
		}
	}
	if err != nil {
		return Config{}, asError([]Fault{{Path: path, Err: err, Hint: fmt.Sprintf("as root: chown root:root %s %[2]s && chmod go-w %[1]s %[2]s", folder, path)}})
	}
	var c Config
	r := newReader(path)
	if n, ok := r.parse(b); ok {
		r.mapping(n, "", schema{fields: map[string]func(ast.Node, string){
			"bottles_dir": func(n ast.Node, at string) { c.BottlesDir = r.absolute(n, at) },
		}})
	}
	if err := asError(r.faults); err != nil {
		return Config{}, err
	}
	return c, nil
}

// onlyFor tells what is wrong where anybody but owner could have written path.
func onlyFor(path string, owner int) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("looking at %q: %w", path, err)
	}
	var s unix.Stat_t
	if err := unix.Lstat(path, &s); err != nil {
		return fmt.Errorf("looking at %q: %w", path, err)
	}
	if info.Mode()&fs.ModeSymlink != 0 || int(s.Uid) != owner || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others than root can change %q", path)
	}
	return nil
}
