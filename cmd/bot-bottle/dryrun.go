package main

import (
	"cmp"
	"context"
	"io"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/runner"
)

// dryRun prints what a job would do, and then fails as the job would.
func dryRun(ctx context.Context, out io.Writer, req runner.Request, asJSON bool) error {
	preview, ok, err := runner.Explain(ctx, req)
	if !ok {
		return err
	}
	if asJSON {
		return cmp.Or(err, writeJSON(out, preview))
	}
	text, yamlErr := manifest.YAML(preview)
	if yamlErr != nil {
		return yamlErr
	}
	// The task can hold what somebody wrote into an issue.
	harmless := neutralize.NewWriter(out, neutralize.Options{})
	_, printErr := io.WriteString(harmless, text)
	return cmp.Or(err, printErr, harmless.Close())
}
