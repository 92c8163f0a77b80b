package backends

import (
	"context"
	"errors"
	"time"
)

// What follows is for backends behind which another process does the work: a daemon
// that has to be asked what it can do, and that may still be working on a request
// when the one who sent it is gone.

// Looker is a Backend that has to look at this host before it can tell what it
// gives. Only Name and Remove may be called before.
type Looker interface {
	Backend
	// Look gives the backend as this host has it. It changes nothing and doesn't
	// take longer than a check may; what it has not found fails in Checks.
	Look(context.Context) Backend
}

// Looked gives b, which has looked where it has to.
func Looked(ctx context.Context, b Backend) Backend {
	if l, ok := b.(Looker); ok {
		return l.Look(ctx)
	}
	return b
}

// Lander is a Backend whose guest can come about after the process that asked for it
// has died.
type Lander interface {
	// LandsIn is how long after Create began that is possible; more than 0.
	LandsIn() time.Duration
}

// LandsIn gives how long after Create began a guest of b can still come about, or 0.
func LandsIn(b Backend) time.Duration {
	if l, ok := b.(Lander); ok {
		return l.LandsIn()
	}
	return 0
}

// TaskHolder is a Guest that holds the limit on its tasks by itself, so that process
// 1 in it need not.
type TaskHolder interface{ HoldsTasks() bool }

// HoldsTasks tells whether g holds the limit on its tasks by itself.
func HoldsTasks(g Guest) bool {
	h, ok := g.(TaskHolder)
	return ok && h.HoldsTasks()
}

// answered is an error after which nothing is under way any more.
type answered struct{ error }

func (a answered) Unwrap() error { return a.error }

// Answered marks an error of Create or Start after which nothing is under way any
// more: the daemon has given an answer, or was never asked. It is nil for nil.
func Answered(err error) error {
	if err == nil {
		return nil
	}
	return answered{err}
}

// IsAnswered tells whether err, or what it wraps, is marked by Answered.
func IsAnswered(err error) bool { return errors.As(err, new(answered)) }
