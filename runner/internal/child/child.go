// Package child lets a test binary be the processes of its tests: programs that
// are started, say a line when they are ready, live until their stdin ends, and
// can be killed at that instant. It is for tests of what holds between processes.
package child

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

	"github.com/bot-bottle/action/internal/term"
)

// variable makes the test binary act as the child that it names.
const variable = "BOT_BOTTLE_TEST_CHILD"

// Program is what a child does. What it prints is its result.
type Program func(ctx context.Context, args []string) error

// Main runs the tests, or the child that this process is to be. It is the
// TestMain of a package whose tests have children, and does not return.
func Main(m *testing.M, programs map[string]Program) {
	name := os.Getenv(variable)
	if name == "" {
		os.Exit(m.Run())
	}
	if err := programs[name](context.Background(), os.Args[1:]); err != nil {
		fmt.Fprint(os.Stderr, term.Explain(err)) // as a person would read it
		os.Exit(1)
	}
	os.Exit(0)
}

// Command is a child that has not been started.
func Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	// A process under the race detector sleeps for a second before it exits,
	// unless it is told not to; hundreds of them need no second thread.
	cmd.Env = append(os.Environ(), variable+"="+name, "GORACE=atexit_sleep_ms=0", "GOMAXPROCS=1")
	return cmd
}

// Say prints the line that says that the child is ready, and waits until its
// stdin ends.
func Say(what any) error {
	fmt.Println(what)
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// Process is a running child.
type Process struct {
	cmd   *exec.Cmd
	said  *bufio.Reader
	stdin io.Closer
	log   *strings.Builder
}

// Start starts cmd and ends it with the test.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{cmd: cmd, log: new(strings.Builder)}
	cmd.Stderr = p.log
	stdin, errIn := cmd.StdinPipe()
	stdout, errOut := cmd.StdoutPipe()
	Must(t, errors.Join(errIn, errOut))
	p.stdin, p.said = stdin, bufio.NewReader(stdout)
	Must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return p
}

// PID gives the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Line gives the next line that the child printed.
func (p *Process) Line() (string, error) {
	line, err := p.said.ReadString('\n')
	if err != nil {
		_ = p.cmd.Wait() // it has closed its output; after this its log is complete
		return "", fmt.Errorf("reading from child %d: %w: %s", p.PID(), err, p.log)
	}
	return strings.TrimSpace(line), nil
}

// MustLine is Line, where a test can't go on without.
func (p *Process) MustLine(t testing.TB) string {
	t.Helper()
	line, err := p.Line()
	Must(t, err)
	return line
}

// CloseInput ends the child's stdin, and that of whoever inherited it.
func (p *Process) CloseInput(t testing.TB) {
	t.Helper()
	Must(t, p.stdin.Close())
}

// Kill kills the child with SIGKILL and waits until it is gone.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	Must(t, p.cmd.Process.Kill())
	_, err := p.cmd.Process.Wait()
	Must(t, err)
}

// Must ends the test if there is an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(term.Explain(err))
	}
}
