package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/bot-bottle/action/internal/policy"
)

// checkWorkflows has the git-gate look, for each remote that may be pushed to, whether
// a workflow would run on this host, outside of the bottle, what the agent pushes: who
// works for an hour should not hear of that from the first push. It takes a fetch for
// each, whose time is a stage's of its own and not the launch's.
func (r *run) checkWorkflows(ctx context.Context) error {
	begun, asked := time.Now(), false
	defer func() {
		if took := time.Since(begun); asked {
			r.addStage("launch", -took) // it adds all of its own at its end
			r.addStage("workflows", took)
		}
	}()
	for _, g := range r.plan.Policy.Git {
		if len(g.Push) == 0 {
			continue
		}
		commit := ""
		if c := r.plan.Clone; c != nil && g.Name == policy.SelfRemote {
			commit = c.Commit
		}
		asked = true
		if err := r.sidecar.CheckWorkflows(ctx, g.Name, commit); err != nil {
			return fmt.Errorf("checking what a push would start: %w", err)
		}
	}
	return nil
}
