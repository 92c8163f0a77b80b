package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
)

// cli is a program as its makers ship it.
type cli struct {
	name    string // of the program, and of the provider
	title   string
	pkg     string // npm package
	least   version
	install string // how to get it
	// native are the places of a program that needs no Node.js, from the npm
	// package's folder: {platform} is npm's word (linux-x64), {triple} Rust's.
	native []string
	// helpers says that a native program of the npm package has others beside its
	// own folder, so that the folder above is needed whole.
	helpers bool
}

// program gives the command in the guest and what of the host it needs.
func (c cli) program(ctx context.Context, in Input) ([]string, []policy.Program, error) {
	if in.Image.Rootfs != "" {
		path, err := c.inImage(in.Image.Rootfs)
		return []string{path}, nil, err
	}
	if in.Image.Packed() { // looked for in the guest, by its PATH
		return []string{c.name}, nil, nil
	}
	found, err := c.find(in.Lookup)
	if err != nil {
		return nil, nil, err
	}
	command, programs, err := c.mountable(ctx, found, in.Lookup)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range programs {
		if err := checkTree(p.Host); err != nil {
			return nil, nil, err
		}
	}
	return command, programs, nil
}

// mountable finds out what of the host is needed to run the program at found.
func (c cli) mountable(ctx context.Context, found string, lookup func(string) (string, bool)) ([]string, []policy.Program, error) {
	path, err := filepath.EvalSymlinks(found)
	if err != nil {
		return nil, nil, c.unusable(found, err)
	}
	dir, meta, err := c.packageOf(path)
	if err != nil {
		return nil, nil, c.unusable(found, err)
	}
	if meta.Version != "" && !parseVersion(meta.Version).atLeast(c.least) {
		return nil, nil, term.Errorf(term.StagePreflight, found, "checking %s: its version %s is older than %s", c.title, meta.Version, c.least).
			WithHint("update it: %s", c.install)
	}
	if native := c.nativeIn(dir); native != "" {
		path = native
	}
	kind, err := kindOf(path)
	switch {
	case err != nil:
		return nil, nil, c.unusable(found, err)
	case kind == kindNative:
		command, program := c.nativeProgram(path)
		return []string{command}, []policy.Program{program}, nil
	case kind == kindNode && dir != "":
		return c.nodeProgram(ctx, found, path, dir, meta, lookup)
	}
	return nil, nil, c.unusable(found, errors.New("it is neither a program of this system nor one for Node.js from its npm package"))
}

func (c cli) unusable(path string, err error) error {
	return term.Errorf(term.StagePreflight, path, "looking at %s: %w", c.title, err).WithHint("install it anew: %s", c.install)
}

// guestDir is where the program is in the guest.
func (c cli) guestDir() string { return filepath.Join(policy.ProgramRoot, c.name) }

func (c cli) nativeProgram(path string) (command string, p policy.Program) {
	bin := filepath.Dir(path)
	top := filepath.Dir(bin)
	if !c.helpers || filepath.Base(filepath.Dir(top)) != "vendor" { // bin may be one that others share
		guest := filepath.Join(c.guestDir(), c.name)
		return guest, policy.Program{Host: path, Guest: guest}
	}
	return filepath.Join(c.guestDir(), filepath.Base(bin), filepath.Base(path)), policy.Program{Host: top, Guest: c.guestDir()}
}

// nativeIn gives the package's native program for this system, or "".
func (c cli) nativeIn(dir string) string {
	if dir == "" {
		return ""
	}
	names := strings.NewReplacer("{platform}", npmPlatform(), "{triple}", rustTriple())
	for _, place := range c.native {
		path, err := filepath.EvalSymlinks(filepath.Join(dir, names.Replace(place)))
		if err != nil {
			continue
		}
		if kind, err := kindOf(path); err == nil && kind == kindNative {
			return path
		}
	}
	return ""
}

// npmPlatform is npm's word for this system (os and cpu of package.json).
func npmPlatform() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	return runtime.GOOS + "-" + arch
}

// rustTriple is the target of a static build for this system.
func rustTriple() string {
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	return arch + "-unknown-linux-musl"
}

// metadata is what is read of a package.json.
type metadata struct {
	Name    string
	Version string
	Engines struct{ Node string }
}

// maxMetadata is far above the largest package.json of these packages.
const maxMetadata = 1 << 20

// packageOf gives the folder of the npm package that path is in, or "". It looks
// no higher than such packages are deep.
func (c cli) packageOf(path string) (string, metadata, error) {
	dir := path
	for range 4 {
		dir = filepath.Dir(dir)
		b, err := readBounded(filepath.Join(dir, "package.json"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var m metadata
		if err == nil {
			err = json.Unmarshal(b, &m)
		}
		if err != nil {
			return "", metadata{}, err
		}
		if m.Name == c.pkg {
			return dir, m, nil
		}
	}
	return "", metadata{}, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxMetadata))
}

// kind of a program.
type kind int

const (
	kindOther kind = iota
	kindNative
	kindNode
)

// kindOf looks at the first bytes: ELF's magic, or a line that names node.
func kindOf(path string) (kind, error) {
	f, err := os.Open(path)
	if err != nil {
		return kindOther, err
	}
	defer f.Close()
	head := make([]byte, 128)
	n, _ := io.ReadFull(f, head) // a shorter file is neither
	head = head[:n]
	line, _, _ := bytes.Cut(head, []byte("\n"))
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return kindNative, nil
	case bytes.HasPrefix(line, []byte("#!")) && bytes.Contains(line, []byte("node")):
		return kindNode, nil
	}
	return kindOther, nil
}
