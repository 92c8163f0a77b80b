// Package preflight asks whether this host can do what a job needs, before the
// job has any effect. It is a leaf: it has the checks of the host itself, with what
// helps on which distribution, and runs them and those of the backends side by
// side.
package preflight

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Status is the result of a check.
type Status string

// The statuses.
const (
	OK   Status = "ok"
	Warn Status = "warn" // the job can run; somebody should look
	Fail Status = "fail" // the job can't run here
)

// CutOff is how long a check may take. One that hangs (a dead NFS mount, a
// wedged daemon) is a finding, not a hanging job.
const CutOff = 2 * time.Second

// grace is how long after its context has ended a check may take to clean up.
const grace = 500 * time.Millisecond

var noAnswer = Entry{"no-answer", Fail, "A check was cut off.",
	[]Remedy{{"", "find out what hangs (a file system, a service), then try again"}}}

// Finding is what a check found. Remedy is a whole instruction, present unless
// the status is OK.
type Finding struct {
	ID      string `json:"id"` // stable, kebab-case
	Status  Status `json:"status"`
	Subject string `json:"subject"` // the path, program or feature it is about
	Found   string `json:"found"`
	Remedy  string `json:"remedy,omitempty"`
}

// Check is one question to the host. Run must not change the host; where it has
// to try something, it tries it in a child process.
type Check struct {
	ID      string
	Subject string
	Run     func(context.Context) Finding // ID and Subject are filled in where empty
}

// Run runs the checks side by side and gives their findings in the order of
// checks. A check that takes longer than CutOff gives a failed finding.
func Run(ctx context.Context, checks []Check) []Finding {
	findings := make([]Finding, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() { findings[i] = c.bounded(ctx) })
	}
	wg.Wait()
	return findings
}

// bounded does not wait for a check that ignores its context: its goroutine is
// left behind with the hanging call.
func (c Check) bounded(ctx context.Context) Finding {
	ctx, cancel := context.WithTimeout(ctx, CutOff)
	defer cancel()
	done := make(chan Finding, 1)
	go func() { done <- c.Run(ctx) }()
	f := Finding{ID: noAnswer.ID, Status: noAnswer.Status, Found: fmt.Sprintf("no answer within %v", CutOff), Remedy: noAnswer.remedy(nil)}
	select {
	case f = <-done:
	case <-ctx.Done():
		select { // one that heeds its context has children to end, and may know more
		case f = <-done:
		case <-time.After(grace):
		}
	}
	if f.ID == "" {
		f.ID = c.ID
	}
	if f.Subject == "" {
		f.Subject = c.Subject
	}
	return f
}

// Failed gives the findings whose status is Fail.
func Failed(findings []Finding) []Finding {
	var failed []Finding
	for _, f := range findings {
		if f.Status == Fail {
			failed = append(failed, f)
		}
	}
	return failed
}
