package main

import (
	"context"

	"github.com/bot-bottle/action/runner"
)

// planOf stands in for runner.MakePlan until that is merged.
func planOf(ctx context.Context, w *world, req runner.Request) (runner.Plan, error) {
	f := runFlags{agent: req.Agent, backend: req.Backend, name: req.Name, reportDir: req.ReportDir, timeout: req.Timeout, root: req.Root}
	if len(req.Bottles) > 0 {
		f.bottle = req.Bottles[0]
	}
	if req.Workspace != nil {
		f.workspace = req.Workspace.Dir
	}
	return makePlan(ctx, w, f, req.Timeout > 0, req.Argv)
}
