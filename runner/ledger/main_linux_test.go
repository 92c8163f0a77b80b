package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/term"
)

// childVariable makes the test binary act as one of the processes of a test.
const childVariable = "LEDGER_TEST_CHILD"

func TestMain(m *testing.M) {
	if name := os.Getenv(childVariable); name != "" {
		os.Exit(runChild(name, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// children are what the test binary can be, by name. What they print is their
// result; an error goes to stderr as a person would read it.
func children() map[string]func(context.Context, []string) error {
	return map[string]func(context.Context, []string) error{
		"lease":  childLease,
		"begin":  childBegin,
		"helper": childHelper,
		"live":   childLive,

		"read-only": childReadOnly,
		"full":      childFull,
		"fills":     childFills,
		"lockless":  childLockless,
	}
}

func runChild(name string, args []string) int {
	if err := children()[name](context.Background(), args); err != nil {
		fmt.Fprint(os.Stderr, term.Explain(err))
		return 1
	}
	return 0
}

// childLease begins a run, leases an alias, tells it, and lives until its stdin
// ends.
func childLease(ctx context.Context, args []string) error {
	l, _, err := Open(ctx, args[0], Options{})
	if err != nil {
		return err
	}
	r, _, err := l.Begin(ctx, NewRun{})
	if err != nil {
		return err
	}
	alias, err := l.LeaseAlias(ctx, r.ID)
	if err != nil {
		return err
	}
	return tellAndWait(alias)
}

// childBegin begins a run with a name, tells its id, and lives until its stdin
// ends. With a second argument, it starts a helper that inherits the lock and
// the stdin.
func childBegin(ctx context.Context, args []string) error {
	l, _, err := Open(ctx, args[0], Options{})
	if err != nil {
		return err
	}
	r, lock, err := l.Begin(ctx, NewRun{Name: args[1]})
	if err != nil {
		return err
	}
	if len(args) > 2 {
		helper := exec.Command("/proc/self/exe")
		helper.Env = []string{childVariable + "=helper"}
		helper.Stdin = os.Stdin
		helper.ExtraFiles = []*os.File{lock.File()}
		if err := helper.Start(); err != nil {
			return err
		}
	}
	return tellAndWait(r.ID)
}

// childHelper holds what it inherited until its stdin ends.
func childHelper(context.Context, []string) error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func childLive(ctx context.Context, args []string) error {
	l, _, err := Open(ctx, args[0], Options{})
	if err != nil {
		return err
	}
	live, err := l.Live(args[1])
	if err != nil {
		return err
	}
	_, errLock := l.TryLock(args[1])
	return tellAndWait(fmt.Sprint(os.Getpid(), live, errors.Is(errLock, ErrLive)))
}

func tellAndWait(what any) error {
	fmt.Println(what)
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// process is a running child.
type process struct {
	cmd   *exec.Cmd
	said  *bufio.Reader
	stdin io.Closer
	log   *strings.Builder
}

func command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	// A process under the race detector sleeps for a second before it exits,
	// unless it is told not to; hundreds of them need no second thread.
	cmd.Env = append(os.Environ(), childVariable+"="+name, "GORACE=atexit_sleep_ms=0", "GOMAXPROCS=1")
	return cmd
}

// start starts cmd and ends it with the test.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, log: new(strings.Builder)}
	cmd.Stderr = p.log
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	p.stdin, p.said = stdin, bufio.NewReader(stdout)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return p
}

// line gives the next line that the child printed.
func (p *process) line() (string, error) {
	line, err := p.said.ReadString('\n')
	if err != nil {
		_ = p.cmd.Wait() // it has closed its output; after this its log is complete
		return "", fmt.Errorf("reading from child %d: %w: %s", p.cmd.Process.Pid, err, p.log)
	}
	return strings.TrimSpace(line), nil
}

func (p *process) mustLine(t *testing.T) string {
	t.Helper()
	line, err := p.line()
	must(t, err)
	return line
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	must(t, p.cmd.Process.Kill())
	_, err := p.cmd.Process.Wait()
	must(t, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(term.Explain(err))
	}
}

// stateDir gives a state folder that is ours.
func stateDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o700))
	return dir
}

func open(t *testing.T, dir string, options ...Options) *Ledger {
	t.Helper()
	l, notices, err := Open(t.Context(), dir, append(options, Options{})[0])
	must(t, err)
	if len(notices) > 0 {
		t.Fatalf("opening a good ledger gave notices: %v", notices)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func begin(t *testing.T, l *Ledger, name string) (Run, *Lock) {
	t.Helper()
	r, lock, err := l.Begin(t.Context(), NewRun{Name: name})
	must(t, err)
	t.Cleanup(func() { lock.Release() })
	return r, lock
}

// refused checks that err is one that a person can act upon and says what.
func refused(t *testing.T, err error, stage term.Stage, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("it was not refused")
	}
	text := term.Explain(err)
	if got := term.StageOf(err, ""); got != stage {
		t.Errorf("stage %q, want %q: %s", got, stage, text)
	}
	for _, w := range append(words, "\nhint: ") {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not said in:\n%s", w, text)
		}
	}
}

// soon is a context that ends when the test would hang.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
