package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode"
)

// git runs the host's git on one repository folder.
//
// A repository's own config can name programs that git runs: core.fsmonitor,
// core.hooksPath, filters, diff drivers, and, when an object of a partial clone
// is missing, the upload-pack command or "ext::" URL of a remote. So the
// checkout's repository is only asked for names and tree listings, which use
// none of them, and with every transport forbidden; whatever reads the index or
// the working tree runs on a store, whose config is ours.
type git struct {
	program string // absolute path of git
	dir     string // --git-dir: never discovered, so a planted repository isn't either
}

// gitWaitDelay is how long output is awaited after git was killed: nothing it
// starts outlives it, so this only covers a stuck file system.
const gitWaitDelay = 2 * time.Second

// maxGitMessage bounds what of git's stderr becomes part of an error.
const maxGitMessage = 1 << 10

// findGit looks up git in PATH.
func findGit() (string, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return "", err
	}
	return filepath.Abs(program)
}

// environment is all that git sees of ours. See git(1), "Environment Variables".
func (g git) environment() []string {
	return []string{
		"PATH=" + filepath.Dir(g.program),
		"HOME=/dev/null",
		"LC_ALL=C", // messages are compared and quoted in errors
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_OPTIONAL_LOCKS=0",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_NO_LAZY_FETCH=1",     // since git 2.39.4
		"GIT_ALLOW_PROTOCOL=none", // no protocol has this name: no transport at all
	}
}

// inert are settings that hold over the repository's own.
var inert = []string{
	"-c", "core.fsmonitor=false",
	"-c", "core.hooksPath=/dev/null",
	"-c", "core.untrackedCache=false",
	"-c", "core.attributesFile=/dev/null",
	"-c", "submodule.recurse=false",
	"-c", "diff.ignoreSubmodules=all",
	"-c", "gc.auto=0",
}

// command prepares git with args.
func (g git) command(ctx context.Context, args ...string) *exec.Cmd {
	all := append([]string{"--git-dir=" + g.dir, "--no-pager"}, inert...)
	cmd := exec.CommandContext(ctx, g.program, append(all, args...)...)
	cmd.Env = g.environment()
	cmd.Dir = filepath.Dir(g.dir)
	cmd.WaitDelay = gitWaitDelay
	return cmd
}

// output runs git with args and gives what it printed.
func (g git) output(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := g.command(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	return capture(cmd)
}

// capture runs a prepared git and gives what it printed.
func capture(cmd *exec.Cmd) (string, error) {
	var out strings.Builder
	cmd.Stdout = &out
	err := run(cmd)
	return out.String(), err
}

// run runs a prepared git. The error names the subcommand and what git said.
func run(cmd *exec.Cmd) error {
	message := &boundedBuffer{max: maxGitMessage}
	cmd.Stderr = message
	if err := cmd.Run(); err != nil {
		return gitError(cmd, message, err)
	}
	return nil
}

func gitError(cmd *exec.Cmd, message *boundedBuffer, err error) error {
	said := printable(message.kept.String())
	if said == "" {
		return fmt.Errorf("running git %s: %w", subcommand(cmd), err)
	}
	return fmt.Errorf("running git %s: %w: %s", subcommand(cmd), err, said)
}

// subcommand gives the first argument that is git's subcommand.
func subcommand(cmd *exec.Cmd) string {
	for i := 1; i < len(cmd.Args); i++ {
		switch arg := cmd.Args[i]; {
		case arg == "-c":
			i++
		case !strings.HasPrefix(arg, "-"):
			return arg
		}
	}
	return ""
}

// exitCode gives the exit code in err, or -1 where git didn't exit by itself.
func exitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

// printable makes one line of s without control characters: file names that
// somebody else chose are in it.
func printable(s string) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(clean), " ")
}

// boundedBuffer keeps the first max bytes and drops the rest. The buffer is no
// embedded one: its ReadFrom would go past the bound.
type boundedBuffer struct {
	kept bytes.Buffer
	max  int
}

// Write keeps what there is room for. It never fails.
func (b *boundedBuffer) Write(p []byte) (int, error) {
	if room := b.max - b.kept.Len(); room > 0 {
		b.kept.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
