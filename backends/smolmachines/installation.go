package smolmachines

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/action/internal/term"
)

// installation is where smolvm is on this host.
type installation struct{ binary, libraries, agentRoot string }

const installHint = "install a release from https://github.com/smol-machines/smolvm/releases, the whole archive, and put `smolvm` on PATH; nixpkgs doesn't have it, upstream's own flake lags"

// find looks for smolvm and what belongs to it.
func (o Options) find() (installation, error) {
	var i installation
	var err error
	if i.binary, err = o.findBinary(); err != nil {
		return i, err
	}
	beside := filepath.Dir(i.binary)
	home, _ := os.UserHomeDir() // without one there are the other places
	i.libraries, err = firstFolder(o.Libraries, hasLibraries,
		filepath.Join(beside, "lib"), filepath.Join(beside, "../lib"), filepath.Join(beside, "../lib/smolvm"))
	if err != nil {
		return i, term.Errorf(term.StagePreflight, i.binary, "finding libkrun and libkrunfw: %w", err).WithHint("%s", installHint)
	}
	i.agentRoot, err = firstFolder(o.AgentRoot, isAgentRoot,
		filepath.Join(beside, "agent-rootfs"), filepath.Join(beside, "../share/smolvm/agent-rootfs"),
		filepath.Join(home, ".local/share/smolvm/agent-rootfs"))
	if err != nil {
		return i, term.Errorf(term.StagePreflight, i.binary, "finding the root file system of smolvm's agent: %w", err).WithHint("%s", installHint)
	}
	return i, o.checkPins(i)
}

// findBinary refuses what is no program: upstream's installer puts a shell script
// on PATH, beside or above the binary, and a script can't be pinned or confined.
func (o Options) findBinary() (string, error) {
	path := o.Binary
	if path == "" {
		found, err := exec.LookPath("smolvm")
		if err != nil {
			return "", term.Errorf(term.StagePreflight, "smolvm", "finding smolvm: %w", err).WithHint("%s", installHint)
		}
		path = found
	}
	real, err := filepath.Abs(path)
	if err == nil {
		real, err = filepath.EvalSymlinks(real)
	}
	if err != nil {
		return "", term.Errorf(term.StagePreflight, path, "finding smolvm: %w", err).WithHint("%s", installHint)
	}
	if beside := filepath.Join(filepath.Dir(real), "smolvm-bin"); isELF(beside) {
		return beside, nil // what upstream's wrapper starts
	}
	if !isELF(real) {
		return "", term.Errorf(term.StagePreflight, real, "finding smolvm: it is no program of this system, and there is no smolvm-bin beside it").WithHint("%s", installHint)
	}
	return real, nil
}

// isELF looks at the first bytes (elf(5)).
func isELF(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "\x7fELF"
}

// firstFolder gives the named folder, or else the first of places that will do.
func firstFolder(named string, good func(string) bool, places ...string) (string, error) {
	if named != "" {
		places = []string{named}
	}
	for _, p := range places {
		if good(p) {
			return filepath.EvalSymlinks(p)
		}
	}
	return "", fmt.Errorf("not in %s", strings.Join(places, ", "))
}

func hasLibraries(dir string) bool {
	for _, name := range []string{"libkrun.so*", "libkrunfw.so*"} {
		if found, err := filepath.Glob(filepath.Join(dir, name)); err != nil || len(found) == 0 {
			return false
		}
	}
	return true
}

func isAgentRoot(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir()
}

// checkPins compares the files that are pinned with what they are to be.
func (o Options) checkPins(i installation) error {
	for name, want := range o.Pins {
		path := i.binary
		if name != "smolvm" {
			path = filepath.Join(i.libraries, filepath.Base(name))
		}
		got, err := fileSum(path)
		if err != nil {
			return term.Errorf(term.StagePreflight, path, "comparing the SHA-256 with its pin: %w", err)
		}
		if !strings.EqualFold(got, want) {
			return term.Errorf(term.StagePreflight, path, "comparing the SHA-256 with its pin: wanted %s, found %s", want, got).
				WithHint("find out who changed the file; if it was a wanted update, pin the new sum")
		}
	}
	return nil
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
