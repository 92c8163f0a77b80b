package preflight

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var (
	smolvmMissing = Entry{"smolvm-missing", Fail, "smolvm is not on PATH.",
		[]Remedy{{"nixos", "smolvm is not in nixpkgs: take the flake of its own repository, and put the package into hostPackages of the runner module (or the service's path)"}, {"", "install smolvm by its own instructions, and put it on the PATH of the runner's service: a service doesn't read a shell's profile"}}}
	smolvmNotExecutable = Entry{"smolvm-not-executable", Fail, "smolvm is there, and this user may not execute it.",
		[]Remedy{{"", "chmod a+rx {path} and the folders above it; and see that its file system isn't mounted noexec"}}}
	smolvmNoLoader = Entry{"smolvm-no-loader", Fail, "smolvm is there and can't start, because the dynamic loader that it was built for is not.",
		[]Remedy{{"nixos", "the released binary is built for other distributions: take smolvm's own flake, or programs.nix-ld.enable = true;"}, {"", "install the C library that it was built for ({loader}), or take the release for this system"}}}
	smolvmBroken = Entry{"smolvm-broken", Fail, "What is called smolvm doesn't tell its version.",
		[]Remedy{{"", "see what {path} --version says; reinstall smolvm if it is not what it should be"}}}
)

// Smolvm asks for smolvm on the PATH of this process, and for its version. What
// the version is good for is the backend's to say.
func Smolvm(h Host) Check {
	return Check{ID: "smolvm", Subject: "smolvm", Run: func(ctx context.Context) Finding {
		path, err := exec.LookPath("smolvm")
		if err == nil {
			return h.smolvmVersion(ctx, path)
		}
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			path := filepath.Join(dir, "smolvm")
			if info, err := os.Stat(path); errors.Is(err, fs.ErrPermission) || err == nil && info.Mode().IsRegular() {
				return h.Found(smolvmNotExecutable, "not executable", "{path}", path)
			}
		}
		return h.Found(smolvmMissing, "not on PATH")
	}}
}

// maxVersion bounds what is taken of a program's answer.
const maxVersion = 256

func (h Host) smolvmVersion(ctx context.Context, path string) Finding {
	var out bounded
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent"}
	cmd.Stdout, cmd.WaitDelay = &out, grace/2
	// Its children, if it is a script, end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	switch err := cmd.Run(); {
	case ctx.Err() != nil:
		return h.Found(smolvmBroken, fmt.Sprintf("%q gives no answer within %v", path, CutOff.Round(time.Second)), "{path}", path)
	case errors.Is(err, fs.ErrNotExist):
		return h.Found(smolvmNoLoader, fmt.Sprintf("%q is there, its loader %q is not", path, wantedLoader(path)), "{path}", path, "{loader}", wantedLoader(path))
	case errors.Is(err, fs.ErrPermission):
		return h.Found(smolvmNotExecutable, reason(err), "{path}", path)
	case err != nil:
		return h.Found(smolvmBroken, fmt.Sprintf("%q --version: %s", path, reason(err)), "{path}", path)
	}
	line, _, _ := strings.Cut(out.String(), "\n")
	if !strings.HasPrefix(line, "smolvm ") || !printable(line) {
		return h.Found(smolvmBroken, fmt.Sprintf("%q --version answers something else", path), "{path}", path)
	}
	return Passed(line + " at " + path)
}

// wantedLoader gives what the kernel looks for in vain when it says of a program
// that is there that it isn't: its loader, or the interpreter of a script.
func wantedLoader(path string) string {
	f, err := elf.Open(path)
	if err == nil {
		defer f.Close()
		return loaderOf(f)
	}
	b, _ := os.ReadFile(path)
	line, _, _ := bytes.Cut(b[:min(len(b), maxVersion)], []byte("\n"))
	return strings.TrimSpace(strings.TrimPrefix(string(line), "#!"))
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// bounded keeps the first bytes that are written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), maxVersion-b.Len())])
	return len(p), nil
}
