package manifest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"golang.org/x/sys/unix"

	"github.com/bot-bottle/action/internal/meter"
	"github.com/bot-bottle/action/internal/secret"
)

// HostFolder is where a host's operator keeps what no job may choose: config.yaml
// and, unless that says otherwise, the folders of bottles and agents.
const HostFolder = "/etc/bot-bottle"

// Config is the host's own configuration.
type Config struct {
	BottlesDir string      // key `bottles_dir`: absolute; empty: "bottles" in HostFolder
	Forges     []HostForge // key `forges`
	Docker     HostDocker  // key `docker`
	Smolvm     HostSmolvm  // key `smolmachines`
	// Prices are the operator's own, of the key `prices` or the file prices.yaml; nil:
	// there are none. See PriceTable.
	Prices meter.Prices
}

// HostDocker are the host's settings of the docker backend.
type HostDocker struct {
	Runtime string // key `runtime`: the engine's name of it; empty: the strongest that is registered
}

// HostSmolvm are the host's settings of the smolmachines backend.
type HostSmolvm struct {
	Mode          string            // key `mode`: SmolvmSocket or SmolvmAllowlist; empty: the former
	StrictVersion bool              // key `strict_version`: releases are refused that are newer than the newest known one
	SHA256        map[string]string // key `sha256`: in hex, of smolvm and of its libraries, by the file's name
}

// The modes of the smolmachines backend.
const (
	SmolvmSocket    = "socket"
	SmolvmAllowlist = "allowlist"
)

// HostForge is a forge that the host has a credential for, to ask what a job's own
// token can't.
type HostForge struct {
	URL   string     // as a browser has it
	Token secret.Ref // file: or credential:; a job could set a variable
	// SSH is where its repositories are reached, user@host or user@host:port; empty:
	// git@ and the host of URL. HostKey pins that server, as a bottle's does; empty:
	// each bottle has to.
	SSH, HostKey string
}

// Is tells whether server, as a runner names it, is this forge: by scheme, host, port
// and path, since a credential is never sent anywhere else.
func (f HostForge) Is(server string) bool {
	a, errA := url.Parse(f.URL)
	b, errB := url.Parse(server)
	return errA == nil && errB == nil && a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host) &&
		strings.TrimRight(a.Path, "/") == strings.TrimRight(b.Path, "/")
}

// LoadConfig reads config.yaml and prices.yaml from a folder, which has to be root's,
// as the files have, with nobody else able to write; without them everything is at
// its default.
func LoadConfig(folder string) (Config, error) { return loadConfig(folder, 0) }

// loadConfig is LoadConfig for files that belong to owner.
func loadConfig(folder string, owner int) (Config, error) {
	c, err := loadConfigFile(folder, owner)
	if err == nil {
		err = c.loadPrices(folder, owner)
	}
	if err != nil {
		return Config{}, err
	}
	return c, nil
}

func loadConfigFile(folder string, owner int) (Config, error) {
	path := filepath.Join(folder, "config.yaml")
	b, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil
	}
	if err := onlyRoots(folder, path, owner, err); err != nil {
		return Config{}, err
	}
	var c Config
	r := newReader(path)
	if n, ok := r.parse(b); ok {
		r.mapping(n, "", schema{fields: map[string]func(ast.Node, string){
			"bottles_dir": func(n ast.Node, at string) { c.BottlesDir = r.absolute(n, at) },
			"forges": func(n ast.Node, at string) {
				r.list(n, at, func(n ast.Node, at string) { c.Forges = append(c.Forges, r.forge(n, at)) })
			},
			"docker":       func(n ast.Node, at string) { c.Docker = r.docker(n, at) },
			"smolmachines": func(n ast.Node, at string) { c.Smolvm = r.smolvm(n, at) },
			"prices":       func(n ast.Node, at string) { c.Prices = r.prices(n, at) },
		}})
	}
	if err := asError(r.faults); err != nil {
		return Config{}, err
	}
	return c, nil
}

func (r *reader) docker(n ast.Node, at string) (d HostDocker) {
	r.mapping(n, at, schema{fields: map[string]func(ast.Node, string){
		"runtime": func(n ast.Node, at string) { d.Runtime, _ = r.text(n, at) },
	}})
	return d
}

func (r *reader) smolvm(n ast.Node, at string) (s HostSmolvm) {
	r.mapping(n, at, schema{fields: map[string]func(ast.Node, string){
		"mode":           func(n ast.Node, at string) { s.Mode = r.smolvmMode(n, at) },
		"strict_version": func(n ast.Node, at string) { s.StrictVersion, _ = r.boolean(n, at) },
		"sha256":         func(n ast.Node, at string) { s.SHA256 = r.digests(n, at) },
	}})
	return s
}

func (r *reader) smolvmMode(n ast.Node, at string) string {
	mode, ok := r.text(n, at)
	if ok && mode != SmolvmSocket && mode != SmolvmAllowlist {
		r.at(at, "write socket or allowlist", fmt.Errorf("%.80q is no mode", mode))
	}
	return mode
}

// sha256Digits are those of a SHA-256 in hex.
const sha256Digits = 64

// digests reads the SHA-256 of files, by the file's name.
func (r *reader) digests(n ast.Node, at string) map[string]string {
	all := map[string]string{}
	r.eachPair(n, at, func(name string, _ int, value ast.Node, place string) {
		digest, ok := r.text(value, place)
		if _, err := hex.DecodeString(digest); ok && (err != nil || len(digest) != sha256Digits) {
			r.at(place, "`sha256sum FILE` prints it", errors.New("it is not a SHA-256 in hex"))
		}
		if name != filepath.Base(name) {
			r.at(place, "write the file's name alone", fmt.Errorf("%.80q is a path", name))
		}
		all[name] = digest
	})
	return all
}

func (r *reader) forge(n ast.Node, at string) (f HostForge) {
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"url":      func(n ast.Node, at string) { f.URL = r.server(n, at) },
			"token":    func(n ast.Node, at string) { f.Token = r.hostToken(n, at) },
			"ssh":      func(n ast.Node, at string) { f.SSH = r.sshServer(n, at) },
			"host_key": func(n ast.Node, at string) { f.HostKey = r.hostKey(n, at) },
		},
		required: []string{"url", "token"},
	})
	return f
}

func (r *reader) sshServer(n ast.Node, at string) string {
	text, ok := r.text(n, at)
	if ok && (strings.ContainsAny(text, "/?#") || checkSSH("ssh://"+text+"/x") != nil) {
		r.at(at, "write user@host or user@host:port, such as git@gitea.example:2222", fmt.Errorf("%.80q is no SSH server", text))
	}
	return text
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

// onlyRoots tells what is wrong with a file of the host's that was read with err, or
// with its folder.
func onlyRoots(folder, path string, owner int, err error) error {
	for _, p := range []string{folder, path} {
		if err == nil {
			err = onlyFor(p, owner)
		}
	}
	if err == nil {
		return nil
	}
	return asError([]Fault{{Path: path, Err: err, Hint: fmt.Sprintf("as root: chown root:root %s %[2]s && chmod go-w %[1]s %[2]s", folder, path)}})
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
