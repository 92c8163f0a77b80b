package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"golang.org/x/sys/unix"

	"github.com/bot-bottle/action/internal/secret"
)

// HostFolder is where a host's operator keeps what no job may choose: config.yaml
// and, unless that says otherwise, the folders of bottles and agents.
const HostFolder = "/etc/bot-bottle"

// Config is the host's own configuration.
type Config struct {
	BottlesDir string      // key `bottles_dir`: absolute; empty: "bottles" in HostFolder
	Forges     []HostForge // key `forges`
}

// HostForge is a forge that the host has a credential for, to ask what a job's own
// token can't.
type HostForge struct {
	URL   string     // as a browser has it
	Token secret.Ref // file: or credential:; a job could set a variable
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
			"forges": func(n ast.Node, at string) {
				r.list(n, at, func(n ast.Node, at string) { c.Forges = append(c.Forges, r.forge(n, at)) })
			},
		}})
	}
	if err := asError(r.faults); err != nil {
		return Config{}, err
	}
	return c, nil
}

func (r *reader) forge(n ast.Node, at string) (f HostForge) {
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"url":   func(n ast.Node, at string) { f.URL = r.server(n, at) },
			"token": func(n ast.Node, at string) { f.Token = r.hostToken(n, at) },
		},
		required: []string{"url", "token"},
	})
	return f
}

func (r *reader) server(n ast.Node, at string) string {
	raw, ok := r.text(n, at)
	if !ok {
		return ""
	}
	if u, err := url.Parse(raw); err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" {
		r.at(at, "write it as a browser has it: https://gitea.example", errors.New("it is not the URL of a server"))
		return ""
	}
	return raw
}

func (r *reader) hostToken(n ast.Node, at string) secret.Ref {
	ref := r.tokenRef(n, at)
	if strings.HasPrefix(string(ref), "env:") {
		r.at(at, "use file:/path or credential:NAME", errors.New("under a runner a token from the environment would be the job's"))
	}
	return ref
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
