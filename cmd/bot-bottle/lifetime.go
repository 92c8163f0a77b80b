package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/bot-bottle/action/internal/lifeline"
	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/outlet"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
	"github.com/bot-bottle/action/runner/ledger"
)

// console is where this process writes: every word of a job's, and every verb's
// errors, go through these two.
type console struct{ stdout, stderr *outlet.Outlet }

func newConsole() console {
	return console{stdout: outlet.New(os.Stdout), stderr: outlet.New(os.Stderr)}
}

// hurry lets nobody hold us up by not reading.
func (c console) hurry() {
	c.stdout.Hurry()
	c.stderr.Hurry()
}

// explain tells of an error, of which a guest or a forge may have chosen a part.
func (c console) explain(err error) {
	c.hurry()
	out := neutralize.NewWriter(c.stderr, neutralize.Options{})
	defer out.Close()
	fmt.Fprint(out, term.Explain(err))
}

// leave writes nothing more: the reader is gone, and what it left behind may be
// somebody else's.
func (c console) leave() {
	c.stdout.Abandon()
	c.stderr.Abandon()
	lifeline.Detach(os.Stdout, os.Stderr) // nothing can be told of an error
}

// begin gives the context of a job. It ends, with its cause, at a signal or at the
// starter's death; after that, output that nobody takes holds nothing up. From
// here on a closed pipe is an error and not our death: what is in the ledger has to
// be undone first.
func begin(parent context.Context, c console, spec string) (job context.Context, end func(), err error) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // to the end of the process
	verb, over := context.WithCancel(parent)                // a job that was told to end is watched on
	dead, err := lifeline.Watch(verb, lifelineSpec(spec, os.Getenv))
	if err != nil {
		over()
		return nil, nil, err
	}
	job, cancel := context.WithCancelCause(verb)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go watchOver(verb, cancel, signals, dead, c)
	return job, func() { signal.Stop(signals); over() }, nil
}

func watchOver(verb context.Context, cancel context.CancelCauseFunc, signals <-chan os.Signal, dead <-chan struct{}, c console) {
	for {
		select {
		case s := <-signals:
			cancel(runner.SignalError{Signal: s})
			c.hurry()
		case <-dead:
			cancel(runner.ErrStarterGone)
			c.leave()
			return
		case <-verb.Done():
			return
		}
	}
}

// lifelineSpec resolves "auto": a CI runner kills the step's process, and ours
// lives on as an orphan, unless we watch for it.
func lifelineSpec(spec string, getenv func(string) string) string {
	if spec != "auto" {
		return spec
	}
	if ledger.UnderRunner(getenv) {
		return lifeline.Parent
	}
	return lifeline.None
}
