// Package testenv is the small world that tests of this repository share: real
// binaries, short folders for sockets, and the rule that a skip is not a pass.
package testenv

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// UnprivilegedID is the user and group id that tests started by root use for an
// ordinary user. It belongs to nobody.
const UnprivilegedID = 1_999_000_001

// Skip skips t with the reason, or fails it where CI is set: there the set-up
// step has to provide what tests need.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("would be skipped, which is a failure in CI: %s", reason)
	}
	t.Skip(reason)
}

var (
	building sync.Mutex
	built    = map[string]string{}
)

// Binary builds the main package pkg (an import path, or one relative to the
// test's folder) statically, once for each process of tests, and gives its path.
// Everybody on the host can execute it.
func Binary(t testing.TB, pkg string, tags ...string) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	key := pkg + " " + strings.Join(tags, ",")
	if path := built[key]; path != "" {
		return path
	}
	path, err := build(pkg, tags)
	if err != nil {
		t.Fatalf("building %s: %v", pkg, err)
	}
	built[key] = path
	return path
}

// build keeps the result under a name of the user's own that is the same in
// every run, so that the linker runs again only when something has changed.
func build(pkg string, tags []string) (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(wd + pkg + strings.Join(tags, ",")))
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("bot-bottle-test-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Getuid()) {
		return "", fmt.Errorf("%q is not a folder of ours", dir)
	}
	path := filepath.Join(dir, filepath.Base(pkg)+"-"+hex.EncodeToString(sum[:6]))
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-tags", strings.Join(tags, ","), "-o", path, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
}

// ShortDir makes a folder with a short path, because the path of a socket has
// only 108 bytes (unix(7)). Everybody can pass through it, nobody else can list
// it. It is removed after the test.
func ShortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "bb")
	if err != nil {
		t.Fatalf("making a folder: %v", err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatalf("opening a folder: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// AsUser makes cmd run as an ordinary user where the test itself runs as root.
func AsUser(cmd *exec.Cmd) *exec.Cmd { return As(UnprivilegedID, cmd) }

// As makes cmd run as the user and group id where the test itself runs as root.
func As(id int, cmd *exec.Cmd) *exec.Cmd {
	if os.Getuid() != 0 {
		return cmd
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}
	return cmd
}

// UserID is the id of the ordinary user that AsUser takes: the caller's own
// where that is not root.
func UserID() int {
	if uid := os.Getuid(); uid != 0 {
		return uid
	}
	return UnprivilegedID
}
