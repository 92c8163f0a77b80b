package guestroot

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/term"
)

// Entries gives what makes the guest's root file system, read-only for everything
// that is the host's. An error is a *term.Error of the preflight stage where the
// image is at fault.
func Entries(s backends.Spec) ([]Entry, error) {
	if s.Image.Packed() { // and not the host's tools in its place
		return nil, term.Errorf(term.StagePreflight, s.Image.Source(), "making the image: it was not unpacked").WithHint("this is a fault of bot-bottle: report it")
	}
	if s.Image.Rootfs != "" && len(s.Image.Programs) > 0 {
		return nil, term.Errorf(term.StagePreflight, s.Image.Rootfs, "making the image: programs of the host don't fit into another system's image").
			WithHint("install them in the image")
	}
	if s.Image.Rootfs != "" {
		return rootfsEntries(s.Image.Rootfs, s.Alias.String())
	}
	entries, err := hostTools("/", s.Alias.String())
	if err != nil {
		return nil, err
	}
	return appendPrograms(entries, s.Image.Programs)
}

// leftOut are the parts of /usr that are not host tools: what an administrator
// put there by hand may be readable and still nobody else's business.
var leftOut = []string{"local", "src", "games", "tmp"}

// aliases are the folders of the root that are links into /usr on most hosts, and
// folders of their own on others.
var aliases = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"}

// etcTools are the files and folders of the host's /etc without which its
// programs don't start: links that Debian's go through, and the loader's cache.
var etcTools = []string{"alternatives", "ld.so.cache"}

// hostTools makes the guest's root from the programs of the host at root ("/"
// but in tests). Each child of /usr is bound by itself and not recursively, so
// that nothing mounted below is taken along.
func hostTools(root, alias string) ([]Entry, error) {
	if _, err := os.Stat(filepath.Join(root, "etc/NIXOS")); err == nil {
		return nil, term.Errorf(term.StagePreflight, "image", "using the host's tools: NixOS has none below /usr").
			WithHint("give the bottle an image: `image: {rootfs: /path}`, for instance what `nix build` made of the tools it needs")
	}
	entries, err := bindChildren(guestFolders(), filepath.Join(root, "usr"), "/usr", leftOut)
	if err != nil {
		return nil, fmt.Errorf("reading the host's tools: %w", err)
	}
	for _, name := range aliases {
		entries = appendChild(entries, filepath.Join(root, name), "/"+name)
	}
	for _, name := range etcTools {
		entries = appendChild(entries, filepath.Join(root, "etc", name), "/etc/"+name)
	}
	return appendEtc(entries, etcFiles(alias)), nil
}

// bindChildren appends what the folder dir of the host holds, for the guest's
// folder target, without the names in except.
func bindChildren(entries []Entry, dir, target string, except []string) ([]Entry, error) {
	children, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, c := range children {
		if !slices.Contains(except, c.Name()) {
			entries = appendChild(entries, filepath.Join(dir, c.Name()), filepath.Join(target, c.Name()))
		}
	}
	return entries, nil
}

// appendChild appends the host's file or folder, if it is one, or the link as it
// stands. Devices, pipes and sockets are nobody's tools.
func appendChild(entries []Entry, source, target string) []Entry {
	info, err := os.Lstat(source)
	switch {
	case err != nil:
		return entries
	case info.IsDir(), info.Mode().IsRegular():
		return append(entries, Entry{Kind: KindBind, Source: source, Target: target})
	case info.Mode()&fs.ModeSymlink == 0:
		return entries
	}
	link, err := os.Readlink(source)
	if err != nil {
		return entries
	}
	return append(entries, Entry{Kind: KindSymlink, Source: link, Target: target})
}

func appendEtc(entries []Entry, files map[string]string) []Entry {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		entries = append(entries, Entry{Kind: KindFile, Target: "/etc/" + name, Data: []byte(files[name])})
	}
	return entries
}

// guestFolders are the empty folders of a made-up root.
func guestFolders() []Entry {
	modes := map[string]fs.FileMode{
		"/": 0o755, "/proc": 0o555, "/sys": 0o555, "/dev": 0o755, "/run": 0o755, "/etc": 0o755,
		"/tmp": 0o777 | fs.ModeSticky, "/var/tmp": 0o777 | fs.ModeSticky, "/root": 0o700,
		"/usr/local/bin": 0o755, "/opt": 0o755, "/srv": 0o755, "/mnt": 0o755,
		backends.GuestHome: 0o755, backends.GuestWorkspace: 0o755,
		filepath.Dir(backends.GuestBinary): 0o755, backends.GuestDoors: 0o700, backends.GuestEtc: 0o755,
	}
	var entries []Entry
	for path, mode := range modes {
		entries = append(entries, Entry{Kind: KindDir, Target: path, Mode: mode})
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Target, b.Target) })
	return entries
}

// rootfsEntries takes a folder as the guest's root. It has to have a shell, and
// no socket: a socket below it would be a door that nobody guards.
func rootfsEntries(dir, alias string) ([]Entry, error) {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return nil, term.Errorf(term.StagePreflight, dir, "opening the image's root file system: %w", cmpErr(err, errors.New("not a folder"))).
			WithHint("`image.rootfs` is the absolute path of an unpacked root file system, made for instance by mmdebstrap or `docker export`")
	}
	if err := hasShell(dir); err != nil {
		return nil, term.Errorf(term.StagePreflight, dir, "looking for /bin/sh in the image: %w", err).
			WithHint("is %q the top of a root file system? It should hold bin, etc and usr", dir)
	}
	if path, err := findSocket(dir); err != nil || path != "" {
		return nil, term.Errorf(term.StagePreflight, dir, "checking the image for sockets: %w", cmpErr(err, fmt.Errorf("%q is one", path))).
			WithHint("a socket in the image would be reachable from the guest; remove it")
	}
	return bindImage(dir, alias)
}

// ownFolders of an image's root are made up: they are the kernel's, ours, or
// emptied at each boot.
var ownFolders = []string{"proc", "sys", "dev", "run", "tmp", "bottle", "workspace", "etc", "home", "var"}

// bindImage binds what is in the image, child by child, so that our own folders
// fit in between. Of /etc, what names users and hosts is made up.
func bindImage(dir, alias string) ([]Entry, error) {
	etc, err := imageEtc(dir, alias)
	if err != nil {
		return nil, err
	}
	entries, err := bindChildren(guestFolders(), dir, "/", ownFolders)
	if err != nil {
		return nil, fmt.Errorf("reading the image: %w", err)
	}
	except := map[string][]string{"etc": append(slices.Collect(maps.Keys(etc)), "resolv.conf"), "home": {backends.AgentUser}, "var": {"tmp", "run"}}
	for _, name := range slices.Sorted(maps.Keys(except)) {
		own, err := hasFolder(dir, name)
		if err == nil && own {
			entries, err = bindChildren(entries, filepath.Join(dir, name), "/"+name, except[name])
		}
		if err != nil {
			return nil, fmt.Errorf("reading the image: %w", err)
		}
	}
	return appendEtc(entries, etc), nil
}

// hasFolder tells whether the image has the folder name, which need not be. A link
// in its place is refused: it leads to a folder of the host's.
func hasFolder(dir, name string) (bool, error) {
	path := filepath.Join(dir, name)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err == nil && !info.IsDir():
		return false, term.Errorf(term.StagePreflight, path, "opening a folder of the image: it is a link, or no folder").
			WithHint("make /%s a folder of the image itself, or leave it out", name)
	}
	return err == nil, err
}

// imageEtc is the made-up part of /etc, with the image's own users kept.
func imageEtc(dir, alias string) (map[string]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the image: %w", err)
	}
	defer root.Close()
	files := etcFiles(alias)
	for _, name := range []string{"passwd", "group"} {
		own, _ := root.ReadFile("etc/" + name) // an image without users is fine
		files[name] += otherUsers(string(own))
	}
	for _, name := range []string{"services", "protocols", "shells", "os-release"} {
		if _, err := root.Lstat("etc/" + name); err == nil {
			delete(files, name)
		}
	}
	return files, nil
}

// otherUsers are the lines of a passwd or group file (passwd(5)) whose name and
// id are not among ours.
func otherUsers(file string) string {
	var b strings.Builder
	for line := range strings.Lines(file) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 3 || slices.Contains([]string{"root", backends.AgentUser, "nobody", "nogroup"}, f[0]) || slices.Contains([]string{"0", "1000", "65534"}, f[2]) {
			continue
		}
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// maxLinks bounds the links that are followed to the shell (as in path_resolution(7)).
const maxLinks = 40

// hasShell follows /bin/sh as the guest would, absolute links from dir.
func hasShell(dir string) error {
	rest, at := []string{"bin", "sh"}, "/"
	for links := 0; len(rest) > 0; {
		next := filepath.Join(at, rest[0]) // Join cleans: ".." stops at "/"
		info, err := os.Lstat(filepath.Join(dir, next))
		if err != nil {
			return fmt.Errorf("no %q", next)
		}
		rest = rest[1:]
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return errors.New("too many links")
		}
		target, err := os.Readlink(filepath.Join(dir, next))
		if err != nil {
			return err
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.FieldsFunc(target, func(r rune) bool { return r == '/' }), rest...)
	}
	info, err := os.Lstat(filepath.Join(dir, at))
	if err == nil && (!info.Mode().IsRegular() || info.Mode()&0o111 == 0) {
		err = fmt.Errorf("%q is not a program", at)
	}
	return err
}

// findSocket gives the first socket below dir, or "".
func findSocket(dir string) (found string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSocket != 0 {
			found = path
			return fs.SkipAll
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil // what we can't read, the guest can't reach
		}
		return err
	})
	return found, err
}
