package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/internal/child"
)

func TestMain(m *testing.M) { child.Main(m, children()) }

// children are what the test binary can be, by name.
func children() map[string]child.Program {
	return map[string]child.Program{
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
	return child.Say(alias)
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
		helper := child.Command("helper")
		helper.Stdin = os.Stdin
		helper.ExtraFiles = []*os.File{lock.File()}
		if err := helper.Start(); err != nil {
			return err
		}
	}
	return child.Say(r.ID)
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
	return child.Say(fmt.Sprint(os.Getpid(), live, errors.Is(errLock, ErrLive)))
}

func must(t *testing.T, err error) { t.Helper(); child.Must(t, err) }

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
