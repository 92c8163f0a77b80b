package preflight_test

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bot-bottle/action/preflight"
)

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }

// smolvm puts a program of that name on the PATH.
func smolvm(t *testing.T, content []byte, mode os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "smolvm")
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	return path
}

func TestSmolvm(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	wants(t, one(preflight.Smolvm(quiet())), "smolvm-missing", "install smolvm")
	wants(t, one(preflight.Smolvm(on(0, map[string]string{"etc/os-release": "ID=nixos"}))), "smolvm-missing", "not in nixpkgs", "hostPackages")

	path := smolvm(t, []byte("#!/bin/sh\necho smolvm 1.9.3\n"), 0o755)
	wants(t, one(preflight.Smolvm(quiet())), "smolvm", "smolvm 1.9.3 at "+path)
	for id, script := range map[string]string{
		"smolvm-broken":    "#!/bin/sh\necho hello\n",
		"smolvm-no-loader": "#!/nix/store/bash\n",
	} {
		smolvm(t, []byte(script), 0o755)
		wants(t, one(preflight.Smolvm(quiet())), id)
	}
	smolvm(t, []byte("#!/bin/sh\necho smolvm 1; exit 3\n"), 0o755)
	wants(t, one(preflight.Smolvm(quiet())), "smolvm-broken", "exit status 3")
	smolvm(t, []byte("#!/bin/sh\nprintf 'smolvm \\033[31m'\n"), 0o755)
	wants(t, one(preflight.Smolvm(quiet())), "smolvm-broken")
	smolvm(t, []byte("#!/bin/sh\nhead -c 1000000 /dev/zero\n"), 0o755)
	wants(t, one(preflight.Smolvm(quiet())), "smolvm-broken")
}

// A real program, which asks for a loader that isn't there, is not a missing one.
func TestSmolvmForAnotherLoader(t *testing.T) {
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	const loader = "/ld-linux-"
	at := bytes.Index(program, []byte(loader))
	if at < 0 {
		t.Fatal("/bin/true asks for no loader")
	}
	copy(program[at:], "/ld-nobody-")
	smolvm(t, program, 0o755)
	wants(t, one(preflight.Smolvm(quiet())), "smolvm-no-loader", "ld-nobody")
	wants(t, one(preflight.Smolvm(on(0, map[string]string{"etc/os-release": "ID=nixos"}))), "smolvm-no-loader", "nix-ld")
}

func TestSmolvmThatHangsIsCutOff(t *testing.T) {
	smolvm(t, []byte("#!/bin/sh\n/bin/sleep 1000 &\nwait\n"), 0o755)
	start := time.Now()
	wants(t, one(preflight.Smolvm(quiet())), "smolvm-broken", "no answer within 2s")
	if took := time.Since(start); took > 10*preflight.CutOff {
		t.Errorf("it took %v", took)
	}
}

func TestSmolvmThatMayNotBeExecuted(t *testing.T) {
	smolvm(t, []byte("#!/bin/sh\n"), 0o644)
	wants(t, one(preflight.Smolvm(quiet())), "smolvm-not-executable", "chmod a+rx")
}
