package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/guest"
	"github.com/bot-bottle/action/internal/guest/control"
	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/term"
)

// guestPath is the PATH of everything that is run in a guest.
const guestPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// grace is how long a task has to end after SIGTERM: enough to write a file, too
// short to hold up a cancelled job.
const grace = 2 * time.Second

// Outcome is how a task ended.
type Outcome struct {
	Code     int // exit code; 128 plus the signal where one ended it
	Duration time.Duration
	Reason   string // why it could not be started, in the guest's words; empty: it was
}

// failed is the error of a helper of ours that did not end well, with what it
// said.
func (o Outcome) failed(said string) error {
	if o.Reason != "" {
		return errors.New(o.Reason)
	}
	return fmt.Errorf("it ended with code %d: %s", o.Code, neutralize.Text(said))
}

// Work runs a task in the guest. The error is about the bottle, the doors or the
// time: how the task itself ended is in the Outcome.
func (p *Proven) Work(ctx context.Context, t Task) (Outcome, error) {
	if p == nil || p.run == nil {
		panic("runner: work in a guest that was not proven")
	}
	return p.run.exec(ctx, t)
}

// exec runs t while watching the guest and the sidecar.
func (r *run) exec(ctx context.Context, t Task) (Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go r.watch(ctx, cancel)
	exit, err := r.control.Exec(ctx, r.command(t))
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return Outcome{}, r.explainBreak(err)
	}
	code := exit.Code
	if exit.Signal != 0 {
		code = 128 + exit.Signal
	}
	return Outcome{Code: code, Duration: exit.Duration, Reason: neutralize.Text(exit.Error)}, nil
}

// watch ends ctx when the guest or the sidecar does.
func (r *run) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	select {
	case <-r.sidecar.Done():
		cancel(fmt.Errorf("%w: the sidecar ended: %w", ErrBroken, orUnknown(r.sidecar.Err())))
	case <-r.guest.Done():
		cancel(fmt.Errorf("%w: the guest ended: %w", ErrBroken, orUnknown(r.guest.Err())))
	case <-ctx.Done():
	}
}

// explainBreak prefers the guest's own reason, which can come a moment after
// control has closed.
func (r *run) explainBreak(err error) error {
	var limit TimeLimitError
	var signal SignalError
	if errors.As(err, &limit) || errors.As(err, &signal) || errors.Is(err, ErrStarterGone) || errors.Is(err, context.Canceled) {
		return err
	}
	select {
	case <-r.guest.Done():
		if why := r.guest.Err(); why != nil {
			err = fmt.Errorf("the guest ended: %w", why)
		}
	case <-time.After(breakDelay):
	}
	if !errors.Is(err, ErrBroken) {
		err = fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return inStage(term.StageWork, err)
}

// breakDelay is how long the end of the guest's processes may come after the end
// of control.
const breakDelay = 500 * time.Millisecond

// command is t as control wants it.
func (r *run) command(t Task) control.Cmd {
	cmd := control.Cmd{
		Command: guest.Command{
			Argv:  t.Argv,
			Env:   append(r.environment(t.Root), t.Env...),
			Dir:   backends.GuestWorkspace,
			UID:   backends.AgentID,
			GID:   backends.AgentID,
			Grace: grace,
		},
		Stdin:  t.Stdin,
		Stdout: orDiscard(t.Stdout),
		Stderr: orDiscard(t.Stderr),
	}
	if t.Root {
		cmd.UID, cmd.GID = 0, 0
		cmd.ManyUsers = r.plan.Policy.Limits.BestEffort
	}
	return cmd
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// environment is what every process in the guest is given; a bottle's own
// variables come after it and win.
func (r *run) environment(root bool) []string {
	user, home := backends.AgentUser, backends.GuestHome
	if root {
		user, home = "root", "/root"
	}
	env := []string{"PATH=" + cmp.Or(r.imagePath, guestPath), "HOME=" + home, "USER=" + user, "LOGNAME=" + user, "LANG=C.UTF-8", "TERM=dumb", "SHELL=/bin/sh", "BOT_BOTTLE=1"}
	env = append(env, guest.Environment(r.alias, path.Join(backends.GuestEtc, caFile), path.Join(backends.GuestEtc, trustFile))...)
	return append(env, r.gitEnvironment()...)
}

// agentTask is the plan's task with the bottle's variables. Those that are
// secrets enter the guest here and nowhere else.
func (r *run) agentTask() Task {
	t := r.plan.Task
	env := []string{r.canary.name + "=" + r.canary.value}
	for _, v := range r.plan.Policy.Env {
		env = append(env, v.Name+"="+v.Value)
	}
	t.Env = append(env, t.Env...)
	return t
}
