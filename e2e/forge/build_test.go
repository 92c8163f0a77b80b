package forge

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// server is a program of the forge's that is built once for each version of its
// module and of Go.
type server struct {
	module string // folder of the module that pins it, below this one
	path   string // import path
	cgo    bool
	flags  []string
	// beside are folders of the module's sources that it needs at run time.
	beside []string
}

// gitea's API calls its version "development" without the -X.
var gitea = server{
	module: "gitea", path: "code.gitea.io/gitea", cgo: true,
	flags:  []string{"-tags", "sqlite sqlite_unlock_notify", "-ldflags", "-s -w -X main.Version=1.26.0"},
	beside: []string{"templates", "options", "public"},
}

var actRunner = server{
	module: "runner", path: "gitea.com/gitea/runner",
	flags: []string{"-ldflags", "-s -w -X gitea.com/gitea/runner/internal/pkg/ver.version=v1.0.8"},
}

// program is the name of the built file.
func (s server) program() string { return filepath.Base(s.path) }

// installed gives the folder that holds the program and what is beside it,
// building it where the cache lacks it.
func (s server) installed() (string, error) {
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	key, err := s.key()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, s.program()+"-"+key)
	return dir, locked(cache, func() error {
		if _, err := os.Stat(dir); err == nil {
			return nil
		}
		return s.install(cache, dir)
	})
}

// install builds into a folder beside dir, then renames it: dir is whole or not
// there.
func (s server) install(cache, dir string) error {
	unfinished, err := os.MkdirTemp(cache, "unfinished-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(unfinished)
	if err := s.build(filepath.Join(unfinished, s.program())); err != nil {
		return err
	}
	if err := s.copyBeside(unfinished); err != nil {
		return err
	}
	return os.Rename(unfinished, dir)
}

func (s server) build(target string) error {
	cgo := "CGO_ENABLED=0"
	if s.cgo {
		cgo = "CGO_ENABLED=1"
	}
	_, err := goCommand(s.module, append([]string{"build", "-o", target}, append(s.flags, s.path)...), cgo)
	return err
}

func (s server) copyBeside(dir string) error {
	if len(s.beside) == 0 {
		return nil
	}
	out, err := goCommand(s.module, []string{"list", "-m", "-f", "{{.Dir}}", s.path})
	if err != nil {
		return err
	}
	sources := strings.TrimSpace(string(out))
	for _, name := range s.beside {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(sources, name))); err != nil {
			return err
		}
	}
	return nil
}

// key changes with everything that changes the program.
func (s server) key() (string, error) {
	version, err := goCommand(s.module, []string{"version"})
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintln(sum, string(version), s.path, s.cgo, s.flags, s.beside)
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(s.module, name))
		if err != nil {
			return "", err
		}
		sum.Write(b)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// buildBottle builds the binary of the working tree as the release is built. The
// name in the cache stays, so that the linker runs only when something changed.
func buildBottle(repository, target string) error {
	cache, err := cacheFolder()
	if err != nil {
		return err
	}
	where := sha256.Sum256([]byte(repository))
	kept := filepath.Join(cache, "bot-bottle-"+hex.EncodeToString(where[:8]))
	return locked(cache, func() error {
		args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", kept, "./cmd/bot-bottle"}
		if _, err := goCommand(repository, args, "CGO_ENABLED=0"); err != nil {
			return err
		}
		return copyFile(kept, target)
	})
}

// copyFile leaves the writing to another process: a file that one of ours still has
// open for writing can't be executed, and every fork keeps it open for a moment.
// Everybody may execute the copy.
func copyFile(from, to string) error {
	if out, err := exec.Command("cp", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("copying %q: %w\n%s", from, err, out)
	}
	return os.Chmod(to, 0o755)
}

func goCommand(dir string, args []string, env ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), append(env, "GOWORK=off", "GOFLAGS=-mod=readonly")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s in %q: %w\n%s", strings.Join(args, " "), dir, err, &stderr)
	}
	return out, nil
}

// cacheFolder is the user's alone: what is in it gets executed.
func cacheFolder() (string, error) {
	dir := os.Getenv("BOT_BOTTLE_TEST_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(base, "bot-bottle-tests")
	}
	return dir, os.MkdirAll(dir, 0o700)
}

// locked does it while no other process of tests builds into the cache.
func locked(cache string, do func() error) error {
	f, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking %q: %w", f.Name(), err)
	}
	return do()
}
