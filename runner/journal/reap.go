package journal

import (
	"context"
	"errors"
	"slices"

	"github.com/bot-bottle/action/runner/ledger"
)

// Report is what a reap found and did.
type Report struct {
	Live       []string    `json:"live"`       // ids of runs that were left alone
	Reaped     []string    `json:"reaped"`     // ids of dead runs of which nothing is left
	Remainders []Remainder `json:"remainders"` // what is left of the others
}

// Reap settles every dead run, oldest first. A run is dead if its lock can be
// taken, and the lock is held while it is settled; so live runs are never
// touched, and several reaps may run side by side, in whatever pid namespaces,
// each run being settled by one of them. A run that another reap has at that
// moment counts as live.
//
// Between two runs it heeds ctx. The error says that the ledger could not be
// read or that ctx ended; what was done until then is in the report.
func Reap(ctx context.Context, l *ledger.Ledger, registry Registry) (Report, error) {
	var report Report
	runs, err := l.OpenRuns(ctx)
	if err != nil {
		return report, err
	}
	for _, r := range slices.Backward(runs) {
		if ctx.Err() != nil {
			return report, context.Cause(ctx)
		}
		if err := report.reap(ctx, l, registry, r.ID); err != nil {
			report.Remainders = append(report.Remainders, remainder(ledger.Obligation{Run: r.ID}, err))
		}
	}
	return report, l.SweepLocks(ctx)
}

// reap settles one run, if it is dead. An error says that it could not be
// found out, or not be recorded.
func (report *Report) reap(ctx context.Context, l *ledger.Ledger, registry Registry, run string) error {
	lock, err := l.TryLock(run)
	if errors.Is(err, ledger.ErrLive) {
		report.Live = append(report.Live, run)
		return nil
	}
	if err != nil {
		return err
	}
	// Since it was listed, the run may have ended or another reap settled it.
	r, err := l.Run(ctx, run)
	if err != nil {
		return errors.Join(err, lock.Release())
	}
	if r.State == ledger.StateSettled {
		return lock.Remove()
	}
	j := New(l, lock, registry)
	left := j.Settle(ctx)
	report.Remainders = append(report.Remainders, left...)
	if err := j.Close(ctx); err != nil {
		return err
	}
	if len(left) == 0 {
		report.Reaped = append(report.Reaped, run)
	}
	return nil
}
