package runner

import (
	"context"

	"github.com/bot-bottle/action/preflight"
)

// Preflight asks whether this host can run the named backend (Auto or "": each
// that this build has), without a job and without any effect. An error is about
// the name.
func Preflight(ctx context.Context, backend string, deps Deps) ([]preflight.Finding, error) {
	var findings []preflight.Finding
	known := false
	for _, b := range deps.Backends {
		if backend == "" || backend == Auto || backend == b.Name() {
			known = true
			findings = append(findings, preflight.Run(ctx, b.Checks(Plan{}.spec(deps, "preflight", preflightAlias)))...)
		}
	}
	if !known {
		return nil, unknownBackend(backend, deps.Backends)
	}
	return findings, nil
}
