package runner

import (
	"context"

	"github.com/bot-bottle/action/runner/journal"
)

// Reap settles every dead run that the ledger knows. Live runs are not touched,
// and any number of reaps may run side by side.
func Reap(ctx context.Context, deps Deps) (journal.Report, error) {
	return journal.Reap(ctx, deps.Ledger, deps.registry())
}
