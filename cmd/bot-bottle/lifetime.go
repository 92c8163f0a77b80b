package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/bot-bottle/action/internal/lifeline"
	"github.com/bot-bottle/action/runner"
)

// lifetime is what can end a job from outside, and the output that goes on while
// somebody reads it.
type lifetime struct {
	stdout, stderr io.Writer
	end            func()
}

// begin gives the context of a job. It ends, with its cause, at a signal or at the
// starter's death; after that, output that nobody takes holds nothing up.
func begin(parent context.Context, spec string) (context.Context, *lifetime, error) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 4)
	// SIGPIPE is caught so that a closed pipe is an error and not our death.
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	dead, err := lifeline.Watch(ctx, lifelineSpec(spec, os.Getenv))
	if err != nil {
		cancel(nil)
		return nil, nil, err
	}
	abandoned := make(chan struct{})
	life := &lifetime{stdout: newOutlet(os.Stdout, abandoned), stderr: newOutlet(os.Stderr, abandoned)}
	life.end = func() { signal.Stop(signals); cancel(nil) }
	go watchOver(ctx, cancel, signals, dead, sync.OnceFunc(func() { close(abandoned) }))
	return ctx, life, nil
}

// stallAfterEnd is how long output may stall once the job is to end: long enough
// for a slow terminal, short enough for whoever cancels.
const stallAfterEnd = 2 * time.Second

func watchOver(ctx context.Context, cancel context.CancelCauseFunc, signals <-chan os.Signal, dead <-chan struct{}, abandon func()) {
	for {
		select {
		case s := <-signals:
			if s != syscall.SIGPIPE {
				cancel(runner.SignalError{Signal: s})
				time.AfterFunc(stallAfterEnd, abandon)
			}
		case <-dead:
			cancel(runner.ErrStarterGone)
			abandon()
			lifeline.Detach(os.Stdout, os.Stderr) // nothing can be told of an error
			return
		case <-ctx.Done():
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
	if getenv("CI") != "" {
		return lifeline.Parent
	}
	return lifeline.None
}

// outlet writes to a file until it is abandoned; after that it takes everything
// and writes nothing. A write that is stuck when that happens is left behind.
type outlet struct {
	mu        sync.Mutex
	file      *os.File
	abandoned <-chan struct{}
}

func newOutlet(f *os.File, abandoned <-chan struct{}) *outlet {
	return &outlet{file: f, abandoned: abandoned}
}

// Write writes p, or drops it.
func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-o.abandoned:
		return len(p), nil
	default:
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	own := append([]byte(nil), p...) // the caller may change p once we return
	go func() {
		n, err := o.file.Write(own)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-o.abandoned:
		return len(p), nil
	}
}
