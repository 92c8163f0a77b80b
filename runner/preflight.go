package runner

import (
	"cmp"
	"context"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/preflight"
)

// Preflight asks whether this host can run the named backend (Auto or "": each
// that this build has), without a job and without any effect. An error is about
// the name.
func Preflight(ctx context.Context, backend string, deps Deps) ([]preflight.Finding, error) {
	backend = cmp.Or(backend, Auto)
	if err := CheckBackend(backend, deps.Backends); err != nil {
		return nil, err
	}
	var findings []preflight.Finding
	for _, b := range deps.Backends {
		if backend == Auto || backend == b.Name() {
			findings = append(findings, preflight.Run(ctx, backends.Looked(ctx, b).Checks(Plan{}.spec(deps, "preflight", preflightAlias)))...)
		}
	}
	return findings, nil
}
