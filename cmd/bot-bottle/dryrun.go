package main

import (
	"cmp"
	"context"
	"io"

	"github.com/bot-bottle/action/internal/manifest"
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
	_, printErr := io.WriteString(out, text)
	return cmp.Or(err, printErr)
}
