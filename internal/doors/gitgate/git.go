package gitgate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bot-bottle/action/internal/neutralize"
)

// Git runs git's programs as the door does: with nothing of the host's but the
// programs.
type Git struct {
	Program string   // path of git
	Home    string   // an empty folder
	Wrap    []string // a command that confines what follows it; empty: none
}

// configuration is all that git is told. What isn't here has git's default: it reads
// no file but the mirror's own, which this package wrote.
var configuration = []string{
	"core.hooksPath=/dev/null",
	"core.fsmonitor=false",
	"core.attributesFile=/dev/null",
	"core.excludesFile=/dev/null",
	"core.bigFileThreshold=8m", // larger blobs are streamed, never held
	"core.logAllRefUpdates=false",
	"core.packedRefsTimeout=10000",
	"core.filesRefLockTimeout=10000",
	"gc.auto=0",
	"maintenance.auto=false",
	"receive.autogc=false",
	"fetch.unpackLimit=1", // packs, not a file for each object
	"pack.threads=1",
	"pack.windowMemory=64m",
	"pack.deltaCacheSize=32m",
	"uploadpack.allowFilter=true",
	"uploadpack.allowReachableSHA1InWant=true", // what partial clones ask for
	"safe.directory=*",
	"protocol.allow=never",
	"protocol.fd.allow=always", // a pipe that this package opened
	"credential.helper=",
	"advice.detachedHead=false",
	"gpg.program=/bin/false",
	"submodule.recurse=false",
	"fetch.recurseSubmodules=false",
	"push.recurseSubmodules=no",
}

// Command gives git with args on the repository at dir. Its process group ends with
// ctx. env is added to an environment that has nothing of ours.
func (g Git) Command(ctx context.Context, dir string, env []string, args ...string) *exec.Cmd {
	argv := append([]string{}, g.Wrap...)
	argv = append(argv, g.Program)
	for _, c := range configuration {
		argv = append(argv, "-c", c)
	}
	argv = append(argv, args...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append([]string{
		"GIT_DIR=" + dir, "HOME=" + g.Home, "XDG_CONFIG_HOME=" + g.Home, "TMPDIR=" + g.Home,
		"PATH=" + filepath.Dir(g.Program), "LC_ALL=C", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false", "SSH_ASKPASS=/bin/false", "GIT_PROTOCOL_FROM_USER=0",
		"GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1", "GIT_OPTIONAL_LOCKS=0", "GIT_SSH_COMMAND=/bin/false",
	}, env...)
	cmd.Dir = g.Home
	cmd.SysProcAttr = processGroup()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// maxTold bounds what is kept of what git prints.
const maxTold = 4 << 10

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

// Write keeps the last maxTold bytes.
func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if extra := len(t.b) - maxTold; extra > 0 {
		t.b = append(t.b[:0], t.b[extra:]...)
	}
	return len(p), nil
}

// String gives it made harmless, without what git says in passing.
func (t *tail) String() string { return strings.TrimSpace(neutralize.Text(string(t.b))) }

// run runs git to its end with what it reads, nil for nothing, and gives what it
// printed, at most maxOutput bytes.
func (g Git) run(ctx context.Context, dir string, env []string, in io.Reader, args ...string) ([]byte, error) {
	var out bytes.Buffer
	var told tail
	cmd := g.Command(ctx, dir, env, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &bounded{w: &out, left: maxOutput}, &told
	if err := cmd.Run(); err != nil {
		return nil, gitError(ctx, args[0], err, &told)
	}
	return out.Bytes(), nil
}

// maxOutput bounds what git may print where all of it is kept.
const maxOutput = 64 << 20

var errTooMuch = errors.New("git printed more than was asked of it")

type bounded struct {
	w    *bytes.Buffer
	left int
}

// Write is an error beyond the bound, which ends git.
func (b *bounded) Write(p []byte) (int, error) {
	if len(p) > b.left {
		return 0, errTooMuch
	}
	b.left -= len(p)
	return b.w.Write(p)
}

// gitError says what git did not do, in its own words.
func gitError(ctx context.Context, verb string, err error, told *tail) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if text := told.String(); text != "" {
		return fmt.Errorf("running git %s: %w: %s", verb, err, text)
	}
	return fmt.Errorf("running git %s: %w", verb, err)
}

// FindGit gives the path of the git on the PATH, links followed.
func FindGit() (program string, err error) {
	program, err = exec.LookPath("git")
	if err == nil {
		program, err = filepath.EvalSymlinks(program)
	}
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return "", fmt.Errorf("looking for git: %w", err)
	}
	return program, nil
}
